-- History in Valkey or Redis: its commands, one call for each micro-batch, over the records of records.lua.
--
-- KEYS[1] holds the sequence: the epoch, the number of changes counted in it, and the process that counts. All keys
-- carry its hash tag, so they are on its node. KEYS[2], if given, is the name of a job that fills the store.
-- Everything is computed before the first write: a server that refuses writes refuses the call as a whole.
-- Rows that are stored are noted first, so that a redelivery is answered by them; that can be repeated.

local EPOCHS, HOLDER = PREFIX .. 'e', PREFIX .. 'h'
local running, former -- the process of this server; the epoch that another process counted in, and its last number

-- Return the text of the sequence as epoch, number and process; nil in a store that was never filled, or was emptied.
local function stored_sequence()
  local epoch, number, process = string.match(call('GET', KEYS[1]) or '', '^(%d+) (%d+) (%x+)$')
  return tonumber(epoch), tonumber(number), process
end

-- Return the name of this server's process: another one at each start and after each failover.
local function this_process()
  return string.match(call('INFO', 'server'), 'run_id:(%x+)')
end

local function next_epoch(epoch)
  return math.max(epoch + 1, tonumber(call('TIME')[1]) - EPOCH.origin)
end

-- Return the epoch and the number of changes counted in it; nil in an empty store. Another process may have lost the
-- last changes, so it counts in an epoch of its own.
local function sequence()
  local epoch, number, process = stored_sequence()
  if not epoch then return nil end
  running = this_process()
  if process ~= running or number >= EPOCH.numbers then
    former = string.format('%.0f %.0f', epoch, number)
    epoch, number = next_epoch(epoch), 0
  end
  return epoch, number
end

-- Store the number of changes counted in an epoch.
local function count_to(epoch, number)
  if former then call('RPUSH', EPOCHS, former) end
  call('SET', KEYS[1], string.format('%.0f %.0f %s', epoch, number, running))
end

-- Return whether a life tells of an ask that this history has lost: one counted after the last change that it kept of
-- the epoch, by a process whose place another one took.
local function is_lost(life, epoch, counted)
  local number, of_epoch = unpack_struct('<I4I4', life, LIFE.place_at + 1)
  if of_epoch == epoch then return number > counted end
  local ends = call('LRANGE', EPOCHS, 0, -1)
  if former then ends[#ends + 1] = former end
  for i = 1, #ends do
    local ended, kept = string.match(ends[i], '^(%d+) (%d+)$')
    if tonumber(ended) == of_epoch and number > tonumber(kept) then return true end
  end
  return false
end

local function empty()
  return redis.error_reply('EMPTY the store of history has to be filled first')
end

-- Return the offset behind the claim or answer of a life at an offset. The letters of answers are small.
local function behind(life, at)
  local length_at = at + (string.byte(life, at + 1) < 97 and CLAIM.length_at or 2)
  local low, high = string.byte(life, length_at, length_at + 1)
  return high and length_at + 1 + low + 256 * high or #life + 1
end

-- Return the offset of the claim or answer of a letter; nil if a life has none.
local function part_of(life, letter)
  local at = LIFE.bytes
  while at < #life do
    if sub(life, at + 1, at + 1) == letter then return at end
    at = behind(life, at)
  end
end

-- Return whether the rows of all claims of a life are stored; nil if it is not a whole life.
local function is_stored(life)
  local at, stored = LIFE.bytes, true
  while at < #life do
    local letter, state = string.byte(life, at + 1, at + 2)
    if letter < 97 and state ~= 1 then stored = false end
    at = behind(life, at)
  end
  if at == #life then return stored end
end

-- Return a stored value; nil if it is missing or damaged.
local function whole(name, value)
  if not value then return nil end
  local intact
  if sub(name, 1, 1) == LIFE.letter then intact = is_stored(value) ~= nil else intact = #value >= 4 end
  if intact then return value end
  damaged = damaged + 1
  return nil
end

-- Store values for as long as their letters say. A life is kept for as long as a message that has no row yet may come
-- back; once all rows are stored, only for the usual time between its deliveries and outcomes.
local function keep(values, message_seconds, life_seconds, record_seconds)
  for name, value in pairs(values) do
    local seconds = record_seconds
    if sub(name, 1, 1) == LIFE.letter then seconds = is_stored(value) and life_seconds or message_seconds end
    call('SET', PREFIX .. name, value, 'EX', seconds)
  end
end

-- Note that the row of a side is stored, given the letter of the side and the name of the life.
local function settle(row, life_seconds)
  local name = sub(row, 2)
  local life = whole(name, call('GET', PREFIX .. name))
  local at = life and part_of(life, sub(row, 1, 1))
  if not at then return end
  call('SETRANGE', PREFIX .. name, at + 1, '\1')
  if is_stored(sub(life, 1, at + 1) .. '\1' .. sub(life, at + 3)) then call('EXPIRE', PREFIX .. name, life_seconds) end
end

local NO_READS, NO_PLACE = string.rep(pack('<f', NAN), LIFE.reads), string.rep('\255', 8) -- UNCOUNTED

-- Return a life, given its head and what follows it, with the reads before an ask and its place.
local function counted_life(head, reads, epoch, number, tail)
  return sub(head, 1, LIFE.place_at) .. pack('<I4I4', number, epoch)
    .. sub(head, LIFE.place_at + 9, LIFE.head) .. reads .. tail
end

-- Return a life with the claim of a side, or with one more asking in the claim that the side has.
local function claimed(life, claim)
  local at = part_of(life, sub(claim, 1, 1))
  if not at then return life .. claim end
  local low, high = string.byte(life, at + 3, at + 4)
  local number = math.min(low + 256 * high + 1, 65535)
  return sub(life, 1, at + 2) .. pack('<I2', number) .. sub(life, at + 5)
end

-- message, life and record seconds, version of the claim, claims up to the version, heads of lives up to the reads,
-- keys and facts, number of stored rows, each of them, then the name of each life. Return the number of damaged
-- values, then the life of each: the new one, or the first one, with a claim of the side.
-- An empty store claims, but reads and counts nothing: every account would look new. Such a life is counted when it
-- is asked for again.
local function observe()
  local message_seconds, life_seconds, record_seconds, version, claims, heads = unpack(ARGV, 2, 7)
  local keys, weights, marks, numbers, rows = unpack(ARGV, 8, 12)
  local first = 12 + rows
  for i = 13, first do settle(ARGV[i], life_seconds) end
  local epoch, before = sequence()
  local counted, lives, replies = before, {}, {0}
  local plan, facts = before and plans(weights, marks), facts_of(keys, weights, marks, numbers)
  for i = 1, #ARGV - first do
    local name = ARGV[first + i]
    local claim = sub(claims, (i - 1) * CLAIM.bytes + 1, i * CLAIM.bytes) .. version
    local life = lives[name] or whole(name, call('GET', PREFIX .. name))
    if not life then
      life = sub(heads, (i - 1) * LIFE.head + 1, i * LIFE.head) .. NO_READS .. claim
    else
      life = claimed(life, claim)
    end
    if before and sub(life, LIFE.place_at + 1, LIFE.place_at + 8) == NO_PLACE then
      counted = counted + 1
      life = counted_life(life, ask(plan, facts(i)), epoch, counted, sub(life, LIFE.bytes + 1))
    end
    lives[name], replies[i + 1] = life, life
  end
  store(record_seconds)
  keep(lives, message_seconds, life_seconds, record_seconds)
  if before and counted > before then count_to(epoch, counted) end
  replies[1] = damaged
  return replies
end

-- life seconds, then the side and name of each row that is stored.
local function stored()
  for i = 3, #ARGV do settle(ARGV[i], ARGV[2]) end
  return {damaged}
end

-- The name of each life, and an answer: keep it if it is the first one of its side, whose row is not stored.
local function answer()
  for i = 2, #ARGV, 2 do
    local life = whole(ARGV[i], call('GET', PREFIX .. ARGV[i]))
    local letter = sub(ARGV[i + 1], 1, 1)
    local at = life and part_of(life, string.upper(letter))
    if at and string.byte(life, at + 2) ~= 1 and not part_of(life, letter) then
      call('APPEND', PREFIX .. ARGV[i], ARGV[i + 1])
    end
  end
  return {damaged}
end

-- Return a value with the place of its change, and with the claims of the stored life.
local function changed(name, value, place_at, place, stored)
  if place_at >= 0 then value = sub(value, 1, place_at) .. place .. sub(value, place_at + 9) end
  if stored and sub(name, 1, 1) == LIFE.letter then return value .. sub(stored, LIFE.bytes + 1) end
  return value
end

-- message, life and record seconds, keys and facts, of each change its expected version, offset of the place and
-- number of facts, then its name and value. Return the number of damaged values, the epoch, then the number of each
-- change, UNPLACED, CONFLICT or LOST.
local function change()
  local message_seconds, life_seconds, record_seconds, keys, weights, marks, numbers, items = unpack(ARGV, 2, 9)
  local epoch, before = sequence()
  if not before then return empty() end
  local counted, values, replies, next_fact = before, {}, {0, epoch}, 1
  local plan, facts = plans(weights, marks), facts_of(keys, weights, marks, numbers)
  for i = 1, #items / 12 do
    local expected, place_at, count_of = unpack_struct('<I4i4I4', items, (i - 1) * 12 + 1)
    local name, value = ARGV[8 + 2 * i], ARGV[9 + 2 * i]
    local stored = values[name] or whole(name, call('GET', PREFIX .. name))
    local place, packed = UNPLACED, NO_PLACE
    if (stored and unpack_struct('<I4', stored) or 0) ~= expected then
      place = CONFLICT
    elseif not stored and sub(name, 1, 1) == LIFE.letter and is_lost(value, epoch, before) then
      place = LOST
    else
      if count_of > 0 then
        counted = counted + 1
        place, packed = counted, pack('<I4I4', counted, epoch)
      end
      for fact = next_fact, next_fact + count_of - 1 do count(plan, facts(fact)) end
      values[name] = changed(name, value, place_at, packed, stored)
    end
    next_fact = next_fact + count_of
    replies[i + 2] = place
  end
  store(record_seconds)
  keep(values, message_seconds, life_seconds, record_seconds)
  if counted > before then count_to(epoch, counted) end
  replies[1] = damaged
  return replies
end

-- names. Return the number of damaged values, then the value of each name.
local function find()
  if not sequence() then return empty() end
  local replies = {0}
  for i = 2, #ARGV do replies[i] = whole(ARGV[i], call('GET', PREFIX .. ARGV[i])) or false end
  replies[1] = damaged
  return replies
end

-- seconds, kind, keys, payers of contacts, records: store records that a replay has computed.
local function fill()
  local seconds, kind, keys, payers, filled = unpack(ARGV, 2, 6)
  return fill_records(LAYOUTS[kind], keys, payers, filled, seconds)
end

-- keys, payers: erase contacts. Return the number erased.
local function forget()
  return forget_contacts(ARGV[2], ARGV[3])
end

-- seconds, then name and value of each: store values as they are.
local function put()
  for i = 3, #ARGV, 2 do call('SET', PREFIX .. ARGV[i], ARGV[i + 1], 'EX', ARGV[2]) end
  return (#ARGV - 2) / 2
end

-- Return 1 if this history has counted a change, or was filled with changes, else 0.
local function counted()
  local epoch, number = stored_sequence()
  return epoch and (number > 0 or call('EXISTS', EPOCHS) == 1) and 1 or 0
end

-- Return 1 if this history was never opened, or was emptied since, else 0.
local function is_empty()
  return stored_sequence() and 0 or 1
end

-- seconds, name of a job: reserve a store that has counted nothing, and close it. Return 1, or 0 if it has counted, or
-- another job has reserved it.
local function hold()
  local holder = call('GET', HOLDER)
  if counted() == 1 or (holder and holder ~= ARGV[3]) then return 0 end
  call('SET', HOLDER, ARGV[3], 'EX', ARGV[2])
  call('DEL', KEYS[1])
  return 1
end

-- Epoch and number of the last change that the records hold: count on in a new epoch. Return 1, or 0 if this history
-- has counted already.
local function resume()
  if counted() == 1 then return 0 end
  call('DEL', HOLDER)
  local epoch, number = tonumber(ARGV[2]), tonumber(ARGV[3])
  running = this_process()
  if number > 0 then former = string.format('%.0f %.0f', epoch, number) end
  count_to(next_epoch(epoch), 0)
  return 1
end

-- Return the former epochs, each with the last number that is kept of it, in their order.
local function epochs()
  return call('LRANGE', EPOCHS, 0, -1)
end

local commands = {
  observe = observe, change = change, find = find, fill = fill, forget = forget, put = put, counted = counted,
  resume = resume, stored = stored, answer = answer, epochs = epochs, hold = hold, is_empty = is_empty,
}
if KEYS[2] and call('GET', HOLDER) ~= KEYS[2] then
  return redis.error_reply('HELD the job does not hold the store of history, or no longer')
end
return commands[ARGV[1]]()
