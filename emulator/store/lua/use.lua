-- Counts the use of a rule and sets flags, unless the rule is used up or other flags are set than those seen when it was chosen.
-- KEYS: state. ARGV: lifetime, rule key, limit ('' for none), flags seen, flags afterwards. Returns the use (false if not counted) and the flags.
local flags = redis.call('HGET', KEYS[1], 'flags') or ''
local use = tonumber(redis.call('HGET', KEYS[1], 'u:' .. ARGV[2]) or '0') + 1
if flags ~= ARGV[4] or (ARGV[3] ~= '' and use > tonumber(ARGV[3])) then
  return {false, flags}
end
redis.call('HSET', KEYS[1], 'u:' .. ARGV[2], use)
if flags ~= ARGV[5] then
  redis.call('HSET', KEYS[1], 'flags', ARGV[5])
end
redis.call('EXPIRE', KEYS[1], ARGV[1])
return {use, ARGV[5]}
