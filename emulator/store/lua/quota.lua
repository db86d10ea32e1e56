-- Token buckets, as `emulator.engine.quota.TokenBuckets` keeps them in memory. A bucket is a text: levels of requests and tokens with their
-- moment, the moments at which queued requests will be admitted, the tickets in flight, and those that wait for a place; `|` between them.
-- KEYS: buckets (a hash), their last use (a sorted set), living processes (a sorted set). ARGV: what to do, now in seconds ('' for the
-- server's time), the channel that wakes waiting tickets, and more. A ticket is `process:number`; those of dead processes are dropped.
local MOST, MINUTE, TOLERANCE = 10000, 60, 1e-6
local time = redis.call('TIME')
local wall = tonumber(time[1]) + tonumber(time[2]) / 1e6
local now = ARGV[2] ~= '' and tonumber(ARGV[2]) or wall

local function number(text)
  return text ~= '' and tonumber(text) or nil
end

local function show(value)
  return string.format('%.17g', value)
end

local living = {}
local function is_alive(ticket)
  local process = ticket:match('^(.*):')
  if living[process] == nil then
    living[process] = tonumber(redis.call('ZSCORE', KEYS[3], process) or '0') > wall
  end
  return living[process]
end

local function words(text, keep)
  local found = {}
  for word in text:gmatch('%S+') do
    if keep(word) then found[#found + 1] = word end
  end
  return found
end

local function refill(bucket, requests, tokens)
  local minutes = math.max(0, now - bucket.moment) / MINUTE
  bucket.requests = requests and math.min(requests, bucket.requests + requests * minutes) or 0
  bucket.tokens = tokens and math.min(tokens, bucket.tokens + tokens * minutes) or 0
  bucket.moment = math.max(now, bucket.moment)
end

local function load_bucket(field, requests, tokens)
  local text = redis.call('HGET', KEYS[1], field)
  if not text then
    return {field = field, moment = now, requests = requests or 0, tokens = tokens or 0, queued = {}, flying = {}, waiting = {}}
  end
  local levels, queued, flying, waiting = text:match('^(.-)|(.-)|(.-)|(.*)$')
  local moment, left, tokens_left = levels:match('^(%S+) (%S+) (%S+)$')
  local bucket = {field = field, moment = tonumber(moment), requests = tonumber(left), tokens = tonumber(tokens_left)}
  bucket.queued = words(queued, function(at) return tonumber(at) > math.max(now, bucket.moment) end)
  bucket.flying = words(flying, is_alive)
  bucket.waiting = words(waiting, is_alive)
  refill(bucket, requests, tokens)
  return bucket
end

local function save(bucket)
  local levels = show(bucket.moment) .. ' ' .. show(bucket.requests) .. ' ' .. show(bucket.tokens)
  local lists = {levels, table.concat(bucket.queued, ' '), table.concat(bucket.flying, ' '), table.concat(bucket.waiting, ' ')}
  redis.call('HSET', KEYS[1], bucket.field, table.concat(lists, '|'))
  redis.call('ZADD', KEYS[2], wall, bucket.field)
end

local function find(list, ticket)
  for i, one in ipairs(list) do
    if one == ticket then return i end
  end
end

local function wake(bucket)
  if #bucket.waiting > 0 then
    redis.call('PUBLISH', ARGV[3], table.concat(bucket.waiting, ' '))
  end
end

local function leave_queue(bucket, ticket)
  local at = find(bucket.waiting, ticket)
  if at then
    table.remove(bucket.waiting, at)
    wake(bucket)
  end
end

-- ARGV: ..., lifetime, ticket, tokens, whether it may wait, then of each demand: field, requests, tokens, concurrent, length and seconds of its queue.
local function enter()
  local lifetime, ticket, needed, may_wait = ARGV[4], ARGV[5], tonumber(ARGV[6]), ARGV[7] == '1'
  local entered, delay = {}, 0
  local function refuse(result, queue)
    if may_wait then
      for _, bucket in ipairs(entered) do
        if bucket ~= queue then leave_queue(bucket, ticket) end
      end
      if queue and not find(queue.waiting, ticket) then
        queue.waiting[#queue.waiting + 1] = ticket
      end
      for _, bucket in ipairs(entered) do save(bucket) end
    end
    return result
  end
  for i = 8, #ARGV, 6 do
    local bucket = load_bucket(ARGV[i], number(ARGV[i + 1]), number(ARGV[i + 2]))
    bucket.limits = {requests = number(ARGV[i + 1]), tokens = number(ARGV[i + 2]), concurrent = number(ARGV[i + 3])}
    bucket.length, bucket.timeout = tonumber(ARGV[i + 4]), tonumber(ARGV[i + 5])
    entered[#entered + 1] = bucket
  end
  for which, bucket in ipairs(entered) do
    local limits = bucket.limits
    local place = find(bucket.waiting, ticket)
    local ahead = place and place - 1 or #bucket.waiting
    if limits.concurrent and #bucket.flying + ahead >= limits.concurrent then
      local queue = bucket.length > 0 and (place or #bucket.waiting < bucket.length) and bucket or nil
      return refuse({'full', which - 1, #bucket.flying, #bucket.waiting, place and 1 or 0}, queue)
    end
    local short
    for _, limit in ipairs({'requests', 'tokens'}) do
      local per_minute, amount = limits[limit], limit == 'requests' and 1 or needed
      if per_minute then
        local seconds = (math.min(amount, per_minute) - bucket[limit]) / per_minute * MINUTE
        if seconds > TOLERANCE and (not short or seconds > short.seconds) then
          short = {limit = limit, per_minute = per_minute, left = bucket[limit], needed = amount, seconds = seconds}
        end
      end
    end
    if short and not (may_wait and short.seconds <= bucket.timeout + TOLERANCE and #bucket.queued < bucket.length) then
      local told = {'short', which - 1, short.limit, show(short.per_minute), show(short.left), show(short.needed), show(short.seconds), #bucket.queued}
      return refuse(told)
    end
    bucket.short = short
  end
  for _, bucket in ipairs(entered) do
    if bucket.limits.requests then bucket.requests = bucket.requests - 1 end
    if bucket.limits.tokens then bucket.tokens = bucket.tokens - needed end
    if bucket.short then
      bucket.queued[#bucket.queued + 1] = show(bucket.moment + bucket.short.seconds)
      delay = math.max(delay, bucket.short.seconds)
    end
    bucket.flying[#bucket.flying + 1] = ticket
    leave_queue(bucket, ticket)
    save(bucket)
  end
  local surplus = redis.call('HLEN', KEYS[1]) - MOST
  if surplus > 0 then
    for _, field in ipairs(redis.call('ZRANGE', KEYS[2], 0, surplus - 1)) do
      redis.call('HDEL', KEYS[1], field)
      redis.call('ZREM', KEYS[2], field)
    end
  end
  redis.call('EXPIRE', KEYS[1], lifetime)
  redis.call('EXPIRE', KEYS[2], lifetime)
  return {'entered', show(delay)}
end

-- ARGV: ..., ticket, tokens beyond those that it entered with, then of each demand: field, requests, tokens. A ticket that has left changes nothing.
local function leave()
  local ticket, more = ARGV[4], tonumber(ARGV[5])
  for i = 6, #ARGV, 3 do
    if redis.call('HEXISTS', KEYS[1], ARGV[i]) == 1 then
      local tokens = number(ARGV[i + 2])
      local bucket = load_bucket(ARGV[i], number(ARGV[i + 1]), tokens)
      leave_queue(bucket, ticket)
      local at = find(bucket.flying, ticket)
      if at then
        table.remove(bucket.flying, at)
        if tokens then bucket.tokens = math.min(tokens, bucket.tokens - more) end
        wake(bucket)
      end
      save(bucket)
    end
  end
  return 1
end

-- ARGV: ..., then of each quota: the beginning of its fields, requests, tokens. Returns of each: field, levels, queued, in flight and waiting of its buckets.
local function list()
  local shown, fields = {}, redis.call('HKEYS', KEYS[1])
  for i = 4, #ARGV, 3 do
    local buckets = {}
    for _, field in ipairs(fields) do
      if field:sub(1, #ARGV[i]) == ARGV[i] then
        local bucket = load_bucket(field, number(ARGV[i + 1]), number(ARGV[i + 2]))
        buckets[#buckets + 1] = {field, show(bucket.requests), show(bucket.tokens), #bucket.queued, #bucket.flying, #bucket.waiting}
      end
    end
    shown[#shown + 1] = buckets
  end
  return shown
end

-- ARGV: ..., 'all' or the text that stands in the fields of a session's buckets.
local function reset()
  if ARGV[4] == 'all' then
    redis.call('DEL', KEYS[1], KEYS[2])
    return 1
  end
  for _, field in ipairs(redis.call('HKEYS', KEYS[1])) do
    if field:find(ARGV[4], 1, true) then
      redis.call('HDEL', KEYS[1], field)
      redis.call('ZREM', KEYS[2], field)
    end
  end
  return 1
end

return ({enter = enter, leave = leave, list = list, reset = reset})[ARGV[1]]()
