-- Adds to counters of a session, once for each sequence number of a process. KEYS: state. ARGV: lifetime, process, sequence number, then keys and numbers.
local known = 'p:' .. ARGV[2]
if tonumber(redis.call('HGET', KEYS[1], known) or '0') < tonumber(ARGV[3]) then
  for i = 4, #ARGV, 2 do
    redis.call('HINCRBY', KEYS[1], 'u:' .. ARGV[i], ARGV[i + 1])
  end
  redis.call('HSET', KEYS[1], known, ARGV[3])
  redis.call('EXPIRE', KEYS[1], ARGV[1])
end
return 1
