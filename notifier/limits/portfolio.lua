-- The unique recipients of one portfolio in a moving window.
--
-- KEYS[1]  sorted set: hashed recipient, scored by when a message for it was last admitted (us)
-- ARGV[1]  now; 0: the server's own time (tests drive theirs)
-- ARGV[2]  window, us
-- ARGV[3]  tier: greatest number of recipients in the window
-- ARGV[4..] hashed recipients, in order
-- Returns how many are in the window after the call, then for each recipient 1 (admitted) or 0.
local key, now = KEYS[1], tonumber(ARGV[1])
if now == 0 then
  local t = redis.call('TIME')
  now = t[1] * 1000000 + t[2]
end
local window, tier = tonumber(ARGV[2]), tonumber(ARGV[3])

redis.call('ZREMRANGEBYSCORE', key, '-inf', string.format('%.0f', now - window))
local used = redis.call('ZCARD', key)
local answer = {0}
for i = 4, #ARGV do
  local known = redis.call('ZSCORE', key, ARGV[i])
  local admitted = known or used < tier
  if admitted then
    redis.call('ZADD', key, string.format('%.0f', now), ARGV[i])
    if not known then used = used + 1 end
  end
  answer[#answer + 1] = admitted and 1 or 0
end
if #ARGV > 3 then redis.call('PEXPIRE', key, math.ceil(window / 1000)) end
answer[1] = used
return answer
