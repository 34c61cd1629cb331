-- Appends entries to the inbox, each business key once; all of the call or nothing.
--
-- KEYS[1]        the inbox stream
-- KEYS[2]        says that its first entry is younger than ARGV[3]: up for as long as that must hold, since whatever comes
--                to be the first is younger still. Looking at the entry took 7 us of 26 a call
-- KEYS[3..n+2]   the seen mark of each entry: holds the id of the first event with that business key
-- ARGV[1]        greatest length of the stream
-- ARGV[2]        how long a seen mark lives, ms
-- ARGV[3]        how long its first entry may have waited, ms
-- ARGV[4..]      four for each entry: event id, business key, door, body
-- Returns the id of the first event of each key (the entry's own id: appended now, or by an earlier try of the same
-- call), or a number: the length of the stream when it is full, the age of its first entry, ms, below zero when it is old.
--
-- The first write of a call is a SET, which the server refuses when it is out of memory; a script that has written may
-- go on writing. So a call is never half done.
local length = redis.call('XLEN', KEYS[1])
if length >= tonumber(ARGV[1]) then return length end
if length > 0 and redis.call('GET', KEYS[2]) ~= ARGV[3] then
  local oldest = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)[1][1]
  local now = redis.call('TIME')
  local age = now[1] * 1000 + math.floor(now[2] / 1000) - tonumber(string.match(oldest, '^%d+'))
  if age >= tonumber(ARGV[3]) then return -age end
  redis.call('SET', KEYS[2], ARGV[3], 'PX', ARGV[3] - age)
end

local first = {}
for i = 3, #KEYS do
  local at = 4 + (i - 3) * 4
  local id = ARGV[at]
  if redis.call('SET', KEYS[i], id, 'NX', 'PX', ARGV[2]) then
    redis.call('XADD', KEYS[1], '*', 'id', id, 'key', ARGV[at + 1], 'door', ARGV[at + 2], 'body', ARGV[at + 3])
    first[i - 2] = id
  else
    first[i - 2] = redis.call('GET', KEYS[i])
    -- A write, so that a repeat after a lost reply has something to wait for on its way to the disk.
    if first[i - 2] == id then redis.call('PEXPIRE', KEYS[i], ARGV[2]) end
  end
end
return first
