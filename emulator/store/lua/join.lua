-- Announces a process, or that it still lives. KEYS: processes (a sorted set by the second until which they live), identity.
-- ARGV: process, version, seconds that it lives without a sign, lifetime, a new identity. Returns the identity of the data,
-- and the version of a living process that has another one ('' if there is none).
local now = tonumber(redis.call('TIME')[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - 60)
for _, other in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], now, '+inf')) do
  local version = other:match('^[^@]*@(.*)$')
  if version ~= ARGV[2] then
    return {'', version}
  end
end
redis.call('ZADD', KEYS[1], now + tonumber(ARGV[3]), ARGV[1])
redis.call('EXPIRE', KEYS[1], ARGV[4])
redis.call('SET', KEYS[2], ARGV[5], 'NX', 'EX', ARGV[4])
redis.call('EXPIRE', KEYS[2], ARGV[4])
return {redis.call('GET', KEYS[2]), ''}
