-- Appends exchanges to the journal, once for each sequence number of a process, and trims it to its bounds.
-- KEYS: journal (a stream), meta. ARGV: lifetime, process, sequence number, most entries, most bytes, then session and record of each.
local known = 'p:' .. ARGV[2]
if tonumber(redis.call('HGET', KEYS[2], known) or '0') >= tonumber(ARGV[3]) then
  return 0
end
local bytes = tonumber(redis.call('HGET', KEYS[2], 'bytes') or '0')
for i = 6, #ARGV, 2 do
  local position = redis.call('HINCRBY', KEYS[2], 'position', 1)
  redis.call('XADD', KEYS[1], position .. '-0', 'session', ARGV[i], 'record', ARGV[i + 1])
  bytes = bytes + #ARGV[i + 1]
end
local entries = redis.call('XLEN', KEYS[1])
while entries > tonumber(ARGV[4]) or bytes > tonumber(ARGV[5]) do
  local oldest = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)[1]
  if not oldest then
    bytes = 0
    break
  end
  redis.call('XDEL', KEYS[1], oldest[1])
  entries = entries - 1
  bytes = bytes - #oldest[2][4]
end
redis.call('HSET', KEYS[2], 'bytes', bytes, known, ARGV[3])
redis.call('EXPIRE', KEYS[1], ARGV[1])
redis.call('EXPIRE', KEYS[2], ARGV[1])
return 1
