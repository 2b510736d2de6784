-- The purse of the control group: one call, which pays all that it can of what is asked.
--
-- KEYS are what was spent in the day, what was spent in the month, and the ticket of each spend. ARGV are the caps of
-- day and month, the seconds for which day, month and tickets are kept, then of each spend its cost and 1 if its Pix was
-- asked for before. Return what is left, then 1 or 0 for each spend.
--
-- What was spent is written before the tickets: a server that refuses a write in between has then paid nobody.
local day, month = tonumber(redis.call('GET', KEYS[1]) or 0), tonumber(redis.call('GET', KEYS[2]) or 0)
local left = math.max(0, math.min(tonumber(ARGV[1]) - day, tonumber(ARGV[2]) - month))
local reply, new, spent = {}, {}, 0
for i = 3, #KEYS do
  local ticket, cost, again = KEYS[i], tonumber(ARGV[2 * i]), ARGV[2 * i + 1]
  local paid = new[ticket] or redis.call('EXISTS', ticket) == 1
  if not paid and again == '0' and cost <= left then
    paid, left, spent, new[ticket] = true, left - cost, spent + cost, true
  end
  reply[i - 1] = paid and 1 or 0
end
if next(new) then
  redis.call('SET', KEYS[1], string.format('%.0f', day + spent), 'EX', ARGV[3])
  redis.call('SET', KEYS[2], string.format('%.0f', month + spent), 'EX', ARGV[4])
  for ticket in pairs(new) do redis.call('SET', ticket, 1, 'EX', ARGV[5]) end
end
reply[1] = left
return reply
