-- Who of a drain's messages may have started: a list that the drain's leases grow, and that a sweep takes from it.
--
-- KEYS[1]  the list while its drain may go on: the run id of the server that it was begun on, then the ids that each
--          lease gave permits to, joined (sender.lua appends them)
-- KEYS[2]  the same list once it is fenced: without KEYS[1] the drain gets no permit any more
-- ARGV[1]  begin | fence
-- ARGV[2]  how long it is kept, ms
-- fence answers 0 when nobody can say who started, else 1 and the ids, joined.
local open, fenced, op = KEYS[1], KEYS[2], ARGV[1]
local run_id = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')

if op == 'begin' then
  redis.call('RPUSH', open, run_id)
  return redis.call('PEXPIRE', open, ARGV[2])
end

-- Asked twice (the sweep died before its commit, or two sweep at once) it answers the same.
if redis.call('EXISTS', open) == 1 then redis.call('RENAME', open, fenced) end
local found = redis.call('LRANGE', fenced, 0, -1)
-- A restarted server may have forgotten the last second of the list, a replica what had not reached it.
if found[1] ~= run_id then return {0} end
return {1, table.concat(found, '', 2)}
