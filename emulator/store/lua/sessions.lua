-- The sessions that may have state, the least recently used first. KEYS: sessions (a sorted set by their last use). ARGV: 'list', 'add', 'remove' or 'clear', lifetime,
-- most sessions, session.
if ARGV[1] == 'add' then
  local time = redis.call('TIME')
  redis.call('ZADD', KEYS[1], tonumber(time[1]) + tonumber(time[2]) / 1e6, ARGV[4])
  redis.call('ZREMRANGEBYRANK', KEYS[1], 0, -tonumber(ARGV[3]) - 1)
  redis.call('EXPIRE', KEYS[1], ARGV[2])
elseif ARGV[1] == 'remove' then
  redis.call('ZREM', KEYS[1], ARGV[4])
end
local listed = redis.call('ZRANGE', KEYS[1], 0, -1)
if ARGV[1] == 'clear' then
  redis.call('DEL', KEYS[1])
end
return listed
