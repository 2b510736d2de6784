-- Take, or release, the lock of one case. KEYS[1] is the lock. ARGV are the holder, and the milliseconds of the lock, or
-- 0 to release it. Return the holder, '' where nobody holds it any more.
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return holder end
if ARGV[2] == '0' then
  redis.call('DEL', KEYS[1])
  return ''
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return ARGV[1]
