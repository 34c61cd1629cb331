-- Appends one receipt body, unless the stream is full.
--
-- KEYS[1]   the receipts stream
-- ARGV[1]   greatest length of the stream
-- ARGV[2..] provider, body, query
-- Returns the id of the new entry, or the length of the stream as a number when it is full.
local length = redis.call('XLEN', KEYS[1])
if length >= tonumber(ARGV[1]) then return length end
return redis.call('XADD', KEYS[1], '*', 'provider', ARGV[2], 'body', ARGV[3], 'query', ARGV[4])
