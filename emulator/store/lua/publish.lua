-- Publishes a message; returns how many processes receive it. KEYS: none. ARGV: channel, message.
return redis.call('PUBLISH', ARGV[1], ARGV[2])
