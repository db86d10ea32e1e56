-- Gives a session its own scenario, or none if the version is ''; counters and flags are deleted. KEYS: state, text, prefixes. ARGV: lifetime, version, text.
redis.call('DEL', KEYS[1], KEYS[2], KEYS[3])
if ARGV[2] ~= '' then
  redis.call('HSET', KEYS[1], 'version', ARGV[2])
  redis.call('SET', KEYS[2], ARGV[3], 'EX', ARGV[1])
  redis.call('EXPIRE', KEYS[1], ARGV[1])
end
return 1
