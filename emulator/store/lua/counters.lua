-- Counters of all processes. KEYS: counters (a hash), living processes (a sorted set). ARGV: lifetime, a process, the number of its open streams,
-- then names and what to add to each. Returns the names and numbers; of open streams those of living processes only.
for i = 4, #ARGV, 2 do
  redis.call('HINCRBY', KEYS[1], 'c:' .. ARGV[i], ARGV[i + 1])
end
redis.call('HSET', KEYS[1], 'o:' .. ARGV[2], ARGV[3])
redis.call('EXPIRE', KEYS[1], ARGV[1])
local now = tonumber(redis.call('TIME')[1])
local found, open = {}, 0
local fields = redis.call('HGETALL', KEYS[1])
for i = 1, #fields, 2 do
  local kind, name = fields[i]:sub(1, 2), fields[i]:sub(3)
  if kind == 'c:' then
    found[#found + 1] = name
    found[#found + 1] = fields[i + 1]
  elseif tonumber(redis.call('ZSCORE', KEYS[2], name) or '0') > now then
    open = open + tonumber(fields[i + 1])
  else
    redis.call('HDEL', KEYS[1], fields[i])
  end
end
return {open, found}
