-- Takes from the buckets of API keys, for many requests at once.
--
-- KEYS[1..k]      a bucket for each key: the microsecond at which it will be full again (GCRA)
-- ARGV[1]         k
-- ARGV[2..2k+1]   rate (events a second) and burst (events) of each bucket
-- ARGV[2k+2..]    a pair for each request, in their order: which bucket, how many events
-- Returns for each request 0 when it may go on, else after how many ms it may.
--
-- A request that is refused takes nothing, so that a small one behind it may still go.
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local k = tonumber(ARGV[1])
local full, cost, most = {}, {}, {}
for i = 1, k do
  cost[i] = 1000000 / tonumber(ARGV[2 * i])
  most[i] = tonumber(ARGV[2 * i + 1]) * cost[i]
  full[i] = math.max(tonumber(redis.call('GET', KEYS[i]) or 0), now)
end

local answers = {}
for at = 2 * k + 2, #ARGV, 2 do
  local i = tonumber(ARGV[at])
  local after = full[i] + tonumber(ARGV[at + 1]) * cost[i]
  local wait = after - now - most[i]
  if wait > 0 then
    answers[#answers + 1] = math.ceil(wait / 1000)
  else
    full[i] = after
    answers[#answers + 1] = 0
  end
end
for i = 1, k do
  if full[i] > now then
    redis.call('SET', KEYS[i], string.format('%.0f', full[i]), 'PX', math.ceil((full[i] - now) / 1000) + 1)
  end
end
return answers
