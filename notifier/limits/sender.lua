-- The permits of one sender: GCRA with leases, throttles and recovery. All times in us of this server's clock.
--
-- KEYS[1]  hash, written at every lease:
--            tat           when the next permit may be used
--            seen          the clock at the last call, to notice that it was set back
--            base          permits a second right after the last throttle
--            throttled_at  when that was
--            throttles     how often the provider said "too fast"
--            waited        for how long, in all, somebody waited for the time of a permit
--            waits_until   up to where that is counted
-- ARGV[1]  lease | give_back | throttled | start_low | state
-- ARGV[2]  now; 0: the server's own time (tests drive theirs)
-- ARGV[3]  configured permits a second
-- ARGV[4]  jitter: how far apart permit and arrival may drift, added to the second that is guarded
-- ARGV[5]  ahead: how far into the future a permit may be leased
-- ARGV[6]  recovery: share of the configured rate that comes back in a second without a throttle
-- ARGV[7]  how long an unused sender is remembered, ms
-- KEYS[2]  lease: the departures of the drain that asks (departures.lua); absent: it keeps none
-- Every answer begins with now, which ties the caller's clock to ours.
-- ARGV[8..]  lease: permits wanted, the ids of who wants them, joined, how long those are kept, ms
--            give_back: token, time to give back · throttled, start_low: pause, floor of the rate
local key, op = KEYS[1], ARGV[1]
local now = tonumber(ARGV[2])
if now == 0 then
  local t = redis.call('TIME')
  now = t[1] * 1000000 + t[2]
end
local rate, jitter, ahead, recovery = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])

local names = {'tat', 'seen', 'base', 'throttled_at', 'throttles', 'waited', 'waits_until'}
local found = redis.call('HMGET', key, unpack(names))
local s = {}
for i, name in ipairs(names) do s[name] = tonumber(found[i]) end

-- The clock was set back: every time we keep goes back with it, so nobody owes more than at the last call.
local back = (s.seen or now) - now
if back > 0 then
  for _, name in ipairs({'tat', 'throttled_at', 'waits_until'}) do
    if s[name] then s[name] = s[name] - back end
  end
end
s.seen = now

local function whole(number) return string.format('%.0f', number) end

local function current()
  if not s.base then return rate end
  return math.min(rate, s.base + rate * recovery * (now - s.throttled_at) / 1000000)
end

local function save()
  local fields = {}
  for _, name in ipairs(names) do
    if s[name] then
      fields[#fields + 1] = name
      fields[#fields + 1] = name == 'base' and string.format('%.6f', s[name]) or whole(s[name])
    end
  end
  redis.call('HSET', key, unpack(fields))
  redis.call('PEXPIRE', key, ARGV[7])
end

-- A permit is the moment before the first byte: whoever gets one is noted. False: the list was taken, the drain fenced.
local function depart(ids, wanted, granted, kept)
  if redis.call('RPUSHX', KEYS[2], string.sub(ids, 1, #ids / wanted * granted)) == 0 then return false end
  redis.call('PEXPIRE', KEYS[2], kept)
  return true
end

-- Answers: time of the first permit, spacing, permits granted, token, how long until there may be another. -1 granted:
-- the drain is fenced.
local function lease(wanted, ids, kept)
  local spacing = math.ceil((1000000 + jitter) / current())
  local first = math.max(s.tat or now, now)
  local granted = math.max(0, math.min(wanted, math.floor((now + ahead - first) / spacing) + 1))
  if KEYS[2] and granted > 0 and not depart(ids, wanted, granted, kept) then return {whole(now), '0', '1', -1, '0', '0'} end
  s.tat = first + granted * spacing
  local wait = math.max(0, s.tat - ahead - now)
  -- Whoever asked waits until the time of its last permit; who got fewer than it asked for, until it may ask again.
  -- Counting empty leases alone showed 0 s for a sender that was used to 98 % all day.
  local served = granted < wanted and now + wait or now
  if granted > 0 then served = math.max(served, first + (granted - 1) * spacing) end
  local counted = math.max(now, s.waits_until or now)
  if served > counted then
    s.waited = (s.waited or 0) + served - counted
    s.waits_until = served
  end
  save()
  return {whole(now), whole(first), whole(spacing), granted, whole(s.tat), whole(wait)}
end

-- Takes back the last permits of a lease, if nobody leased, and nothing was pushed, after it.
local function give_back(token, time)
  if not s.tat or back > 0 or whole(s.tat) ~= token then return {whole(now), 0} end
  s.tat = s.tat - time
  save()
  return {whole(now), 1}
end

-- Answers to what left before the pause tell nothing new: they are counted, and halve nothing again.
local function slow_down(pause, floor)
  if not s.throttled_at or now >= s.throttled_at + pause then
    s.base = math.max(math.min(rate, floor), current() / 2)
    s.throttled_at = now
    s.tat = math.max(s.tat or now, now + pause)
  end
  save()
end

if op == 'lease' then return lease(tonumber(ARGV[8]), ARGV[9], ARGV[10]) end
if op == 'give_back' then return give_back(ARGV[8], tonumber(ARGV[9])) end
if op == 'throttled' then s.throttles = (s.throttles or 0) + 1 end
if op == 'throttled' or op == 'start_low' then slow_down(tonumber(ARGV[8]), tonumber(ARGV[9])) end
return {
  whole(now),
  string.format('%.6f', current()), whole(s.waited or 0), whole(s.throttles or 0), whole(s.throttled_at or 0),
}
