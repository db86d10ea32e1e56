-- Removes the exchanges of a session from the journal, or all. KEYS: journal, meta. ARGV: 'all' or 'session', session.
if ARGV[1] == 'all' then
  redis.call('DEL', KEYS[1])
  redis.call('HSET', KEYS[2], 'bytes', 0)
else
  local start, bytes = '-', 0
  repeat
    local entries = redis.call('XRANGE', KEYS[1], start, '+', 'COUNT', 50)
    for _, entry in ipairs(entries) do
      start = '(' .. entry[1]
      if entry[2][2] == ARGV[2] then
        redis.call('XDEL', KEYS[1], entry[1])
      else
        bytes = bytes + #entry[2][4]
      end
    end
  until #entries == 0
  redis.call('HSET', KEYS[2], 'bytes', bytes)
end
return redis.call('HINCRBY', KEYS[2], 'epoch', 1)
