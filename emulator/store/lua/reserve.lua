-- Reserves numbers of exchanges; returns the last of them. KEYS: meta. ARGV: lifetime, how many.
local last = redis.call('HINCRBY', KEYS[1], 'number', ARGV[2])
redis.call('EXPIRE', KEYS[1], ARGV[1])
return last
