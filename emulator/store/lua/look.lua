-- A session's state. KEYS: state, text. ARGV: the version of the scenario that the caller has.
-- Returns the version, its text if that differs from the caller's (else false), the flags, and each counter with its value.
local version = redis.call('HGET', KEYS[1], 'version') or ''
local text = version ~= '' and version ~= ARGV[1] and redis.call('GET', KEYS[2])
local uses = {}
local fields = redis.call('HGETALL', KEYS[1])
for i = 1, #fields, 2 do
  if fields[i]:sub(1, 2) == 'u:' then
    uses[#uses + 1] = fields[i]:sub(3)
    uses[#uses + 1] = fields[i + 1]
  end
end
return {version, text, redis.call('HGET', KEYS[1], 'flags') or '', uses}
