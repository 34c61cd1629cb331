-- Claims idempotency keys, for many requests at once.
--
-- KEYS[i]         a key: `<fingerprint>` while its request runs, `<fingerprint><result>` afterwards
-- ARGV[1]         how long a running request holds its key, ms
-- ARGV[2..]       the fingerprint of each request
-- Returns for each an empty text when the key is now its own, else what the key holds.
local answers = {}
for i = 1, #KEYS do
  if redis.call('SET', KEYS[i], ARGV[i + 1], 'NX', 'PX', ARGV[1]) then
    answers[i] = ''
  else
    answers[i] = redis.call('GET', KEYS[i])
  end
end
return answers
