-- Appends one webhook body of a shop's platform, unless the stream is full.
--
-- KEYS[1]   the webhooks stream
-- ARGV[1]   greatest length of the stream
-- ARGV[2..] shop, source, headers as JSON, body
-- Returns the id of the new entry, or the length of the stream as a number when it is full.
local length = redis.call('XLEN', KEYS[1])
if length >= tonumber(ARGV[1]) then return length end
return redis.call('XADD', KEYS[1], '*', 'shop', ARGV[2], 'source', ARGV[3], 'headers', ARGV[4], 'body', ARGV[5])
