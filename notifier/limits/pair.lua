-- Token buckets of sender-recipient pairs, kept as the time at which the bucket would be full again. Times in us.
--
-- KEYS     one a message, repeated when a recipient has several: "<full at>:<held until>"
-- ARGV[1]  admit | back | block
-- ARGV[2]  now; 0: the server's own time (tests drive theirs)
-- ARGV[3]  capacity: tokens in a full bucket
-- ARGV[4]  refill: time for one token
-- ARGV[5]  block: the pause
-- admit returns for each message how long to wait; 0: its token is taken.
local op, now = ARGV[1], tonumber(ARGV[2])
if now == 0 then
  local t = redis.call('TIME')
  now = t[1] * 1000000 + t[2]
end
local capacity, refill = tonumber(ARGV[3]), tonumber(ARGV[4])

-- A clock that was set back must not lock a recipient out: nothing is owed beyond an empty bucket.
local function load(key)
  local full, hold = string.match(redis.call('GET', key) or '', '^(%d+):(%d+)$')
  full, hold = tonumber(full or 0), tonumber(hold or 0)
  return math.max(now, math.min(full, math.max(now, hold) + capacity * refill)), hold
end

local function save(key, full, hold)
  local left = math.max(full, hold) - now
  if left <= 0 then
    redis.call('DEL', key)
  else
    redis.call('SET', key, string.format('%.0f:%.0f', full, hold), 'PX', math.ceil(left / 1000))
  end
end

local denied = {}

local function admit(key)
  local full, hold = load(key)
  local wait = math.max(0, full - (capacity - 1) * refill - now, hold - now)
  if wait == 0 then
    save(key, full + refill, hold)
    return 0
  end
  denied[key] = (denied[key] or -1) + 1  -- the second of a batch that has to wait waits for the token after
  return wait + denied[key] * refill
end

local function back(key)
  local full, hold = load(key)
  save(key, math.max(now, full - refill), hold)
  return 0
end

-- The provider's bucket is empty, whatever ours says: after the pause there is one token, not forty-five.
local function block(key)
  local full, hold = load(key)
  local until_ = now + tonumber(ARGV[5])
  save(key, math.max(full, until_ + (capacity - 1) * refill), math.max(hold, until_))
  return 0
end

local act = ({admit = admit, back = back, block = block})[op]
local waits = {}
for i, key in ipairs(KEYS) do waits[i] = string.format('%.0f', act(key)) end
return waits
