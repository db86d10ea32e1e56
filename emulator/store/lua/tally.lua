-- Increments a counter of a session and returns it. KEYS: state. ARGV: lifetime, key.
local value = redis.call('HINCRBY', KEYS[1], 'u:' .. ARGV[2], 1)
redis.call('EXPIRE', KEYS[1], ARGV[1])
return value
