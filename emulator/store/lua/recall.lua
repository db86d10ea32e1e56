-- Remembers digests of a prompt's prefixes, shortest first; returns how many of them were known, from the first.
-- KEYS: prefixes (a sorted set by when each was last sent), state. ARGV: lifetime, most, digests.
local known = 0
for i = #ARGV, 3, -1 do
  if redis.call('ZSCORE', KEYS[1], ARGV[i]) then
    known = i - 2
    break
  end
end
local moment = redis.call('HINCRBY', KEYS[2], 'prefixes', #ARGV - 2) - (#ARGV - 2)
for i = 3, #ARGV do
  redis.call('ZADD', KEYS[1], moment + i, ARGV[i])
end
redis.call('ZREMRANGEBYRANK', KEYS[1], 0, -tonumber(ARGV[2]) - 1)
redis.call('EXPIRE', KEYS[1], ARGV[1])
redis.call('EXPIRE', KEYS[2], ARGV[1])
return known
