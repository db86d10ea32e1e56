-- The exchanges behind a position, all of them if the epoch is another one: it changes when exchanges are removed before their time.
-- KEYS: journal, meta. ARGV: epoch, position. Returns the epoch, the position of the oldest entry, and the entries.
local epoch = redis.call('HGET', KEYS[2], 'epoch') or '0'
local position = tonumber(redis.call('HGET', KEYS[2], 'position') or '0')
local start = epoch == ARGV[1] and '(' .. ARGV[2] .. '-0' or '-'
local oldest = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)[1]
return {epoch, oldest and tonumber(oldest[1]:match('%d+')) or position + 1, redis.call('XRANGE', KEYS[1], start, '+')}
