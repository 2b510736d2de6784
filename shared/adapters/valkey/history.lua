-- History in Valkey or Redis: its commands, one call for each micro-batch, over the records of records.lua
-- and the values of values.lua.
--
-- KEYS[1] holds the sequence: the epoch, the number of changes counted in it, and the process that counts. All keys
-- carry its hash tag, so they are on its node. KEYS[2], if given, is the name of a job that fills the store.
-- Everything is read and computed before the first write: a server that refuses writes, or that is giving its keys to
-- another one, refuses the call as a whole. What the client has to tell is noted first; that can be repeated.
--
-- One call is for one shard. A fact may have records on other shards, which take it by visits. Its home notes what they
-- have to count, as an entry beside the value, until the client tells that they did. A shard remembers each visit as a
-- step, by its identity. SHARD is nil where one shard holds all history: then there are neither entries nor steps.

local NO_READS, NO_PLACE = string.rep(pack('<f', NAN), LIFE.reads), string.rep('\255', 8) -- UNCOUNTED

-- Return a life, given its head and what follows it, with the reads before an ask and its place.
local function counted_life(head, reads, epoch, number, tail)
  return sub(head, 1, LIFE.place_at) .. packed_place(epoch, number)
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

-- Return the text at a place in a text of entries of one length; nil if it has none.
local function entry_at(entries, i)
  local entry = sub(entries, (i - 1) * ENTRY + 1, i * ENTRY)
  if #entry > 0 and string.byte(entry) > 0 then return entry end
end

-- message, life and record seconds, version of the claim, claims up to the version, heads of lives up to the reads,
-- keys and facts, an entry of each, number of things to note, each of them, then the name of each life. Return the
-- number of damaged values, then the life of each: the new one, or the first one, with a claim of the side. With
-- several shards the entries of each life follow.
-- An empty store claims, but reads and counts nothing: every account would look new. Such a life is counted when it
-- is asked for again, with the facts of that message: the other side may tell others.
local function observe()
  local message_seconds, life_seconds, record_seconds, version, claims, heads = unpack(ARGV, 2, 7)
  local keys, weights, marks, numbers, entries, notes = unpack(ARGV, 8, 13)
  local first = 13 + notes
  for i = 14, first do note(ARGV[i], life_seconds) end
  local epoch, before = sequence()
  local counted, lives, owed, new, replies, count = before, {}, {}, {}, {0}, #ARGV - first
  local plan, facts = before and plans(weights, marks), facts_of(keys, weights, marks, numbers)
  for i = 1, count do
    local name = ARGV[first + i]
    local claim = sub(claims, (i - 1) * CLAIM.bytes + 1, i * CLAIM.bytes) .. version
    local stored = not lives[name] and call('GET', PREFIX .. name)
    local life = lives[name] or whole(name, stored)
    if stored then owed[name] = entries_of(name) end
    local head = sub(heads, (i - 1) * LIFE.head + 1, i * LIFE.head)
    if not life then
      life = head .. NO_READS .. claim
    else
      life = claimed(life, claim)
    end
    if before and sub(life, LIFE.place_at + 1, LIFE.place_at + 8) == NO_PLACE then
      counted = counted + 1
      local reads, entry = table.concat(ask(plan, facts(i))), entry_at(entries, i)
      life = counted_life(head, reads, epoch, counted, sub(life, LIFE.bytes + 1))
      if entry then
        owed[name], new[name] = owed[name] or {}, {packed_place(epoch, counted), entry}
        table.insert(owed[name], new[name][1])
        table.insert(owed[name], entry)
      end
    end
    lives[name], replies[i + 1] = life, life
    if SHARD then replies[count + i + 1] = owed[name] or {} end
  end
  store(record_seconds)
  keep(lives, new, message_seconds, life_seconds, record_seconds)
  if before and counted > before then count_to(epoch, counted) end
  replies[1] = damaged
  return replies
end

-- life seconds, then what there is to note.
local function stored()
  for i = 3, #ARGV do note(ARGV[i], ARGV[2]) end
  return {damaged}
end

-- message seconds, then names of lives: keep them for as long, as a change by them has no row yet.
local function prolong()
  for i = 3, #ARGV do
    call('EXPIRE', PREFIX .. ARGV[i], ARGV[2])
    expire_entries(ARGV[i], ARGV[2])
  end
  return {damaged}
end

-- Return a stored step; nil if it is missing or damaged. One of an ask goes on with a byte for each role, 1 if it was
-- read, and the reads.
local function whole_step(step)
  if not step then return nil end
  local length = 8
  if #step > 8 then
    length = 8 + #ROLES
    for place, role in ipairs(ROLES) do
      if string.byte(step, 8 + place) == 1 then length = length + 4 * role.layout.width end
    end
  end
  if #step == length then return step end
  damaged = damaged + 1
end

-- Count an ask in the records of this shard; return the part of its step behind the place.
local function visited_ask(plan, keys, fact)
  local reads, named, found = ask(plan, keys, fact), {}, {}
  for place = 1, #ROLES do
    local is_named = key_of(keys, place) ~= MISSING
    named[place] = is_named and '\1' or '\0'
    if is_named then found[#found + 1] = reads[place] end
  end
  return table.concat(named) .. table.concat(found)
end

-- message and record seconds, keys and facts, of each visit whether it is an ask and its number of facts, then the name
-- of each step. Return the number of damaged values, then each step: the new one, or the first one.
local function visit()
  local message_seconds, record_seconds, keys, weights, marks, numbers, items = unpack(ARGV, 2, 8)
  local epoch, before = sequence()
  if not before then return empty() end
  local counted, steps, replies, next_fact = before, {}, {0}, 1
  local plan, facts = plans(weights, marks), facts_of(keys, weights, marks, numbers)
  for i = 1, #ARGV - 8 do
    local is_ask, count_of = unpack_struct('<I4I4', items, (i - 1) * 8 + 1)
    local name = ARGV[8 + i]
    local step = steps[name] or whole_step(call('GET', PREFIX .. name))
    if not step then
      counted = counted + 1
      step = packed_place(epoch, counted)
      if is_ask == 1 then
        step = step .. visited_ask(plan, facts(next_fact))
      else
        for fact = next_fact, next_fact + count_of - 1 do count(plan, facts(fact)) end
      end
      steps[name] = step
    end
    next_fact = next_fact + count_of
    replies[i + 1] = step
  end
  store(record_seconds)
  for name, step in pairs(steps) do call('SET', PREFIX .. name, step, 'EX', message_seconds) end
  if counted > before then count_to(epoch, counted) end
  replies[1] = damaged
  return replies
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

-- Return a value with the place of its change, and with the claims of the stored life, also its returns if the value has
-- none.
local function changed(name, value, place_at, place, stored)
  if place_at >= 0 then value = sub(value, 1, place_at) .. place .. sub(value, place_at + 9) end
  if not stored or sub(name, 1, 1) ~= LIFE.letter then return value end
  local kept_from = #value > LIFE.bytes and claims_at(stored) or LIFE.bytes
  return with_recount(value, stored) .. sub(stored, kept_from + 1)
end

-- Return whether a change of a value follows from the stored one.
local function follows(name, value, expected, stored)
  if (stored and unpack_struct('<I4', stored) or 0) ~= expected then return false end
  return not (stored and sub(name, 1, 1) == LIFE.letter and contradicts(value, stored))
end

-- message, life and record seconds, keys and facts, of each change its expected version, offset of the place, number of
-- facts and bytes of its entry, the entries, number of things to note, each of them, then the name and value of each.
-- Return the number of damaged values, the epoch, then the low half of the place of each change, UNPLACED, CONFLICT or
-- LOST. The reads that a change rests on are among the notes, if its life lacks them.
local function change()
  local message_seconds, life_seconds, record_seconds, keys, weights, marks, numbers = unpack(ARGV, 2, 8)
  local items, entries, first = ARGV[9], ARGV[10], 11 + ARGV[11]
  for i = 12, first do note(ARGV[i], life_seconds) end
  local epoch, before = sequence()
  if not before then return empty() end
  local counted, values, new, replies, next_fact, entry_at = before, {}, {}, {0, epoch}, 1, 1
  local plan, facts = plans(weights, marks), facts_of(keys, weights, marks, numbers)
  for i = 1, #items / 16 do
    local expected, place_at, count_of, length = unpack_struct('<I4i4I4I4', items, (i - 1) * 16 + 1)
    local name, value = ARGV[first + 2 * i - 1], ARGV[first + 2 * i]
    local stored = values[name] or whole(name, call('GET', PREFIX .. name))
    local place, packed = UNPLACED, NO_PLACE
    if not follows(name, value, expected, stored) then
      place = CONFLICT
    elseif not stored and sub(name, 1, 1) == LIFE.letter and is_lost(value, epoch, before) then
      place = LOST
    else
      if count_of > 0 then
        counted = counted + 1
        place, packed = NUMBERS_FROM + counted, packed_place(epoch, counted)
      end
      for fact = next_fact, next_fact + count_of - 1 do count(plan, facts(fact)) end
      values[name] = changed(name, value, place_at, packed, stored)
      if SHARD then call('EXISTS', PREFIX .. ENTRIES .. name) end -- refused here if its slot moves
      if length > 0 then
        new[name] = new[name] or {}
        table.insert(new[name], packed)
        table.insert(new[name], sub(entries, entry_at, entry_at + length - 1))
      end
    end
    next_fact, entry_at = next_fact + count_of, entry_at + length
    replies[i + 2] = place
  end
  store(record_seconds)
  keep(values, new, message_seconds, life_seconds, record_seconds)
  if counted > before then count_to(epoch, counted) end
  replies[1] = damaged
  return replies
end

-- names. Return the number of damaged values, then the value of each name, and with several shards its entries.
local function find()
  if not sequence() then return empty() end
  local replies, count = {0}, #ARGV - 1
  for i = 1, count do
    local name = ARGV[i + 1]
    replies[i + 1] = whole(name, call('GET', PREFIX .. name)) or false
    if SHARD then replies[count + i + 1] = entries_of(name) end
  end
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
  observe = observe, visit = visit, change = change, find = find, fill = fill, forget = forget, put = put, counted = counted,
  resume = resume, stored = stored, prolong = prolong, answer = answer, epochs = epochs, hold = hold,
  is_empty = is_empty,
}
if KEYS[2] and call('GET', HOLDER) ~= KEYS[2] then
  return redis.error_reply('HELD the job does not hold the store of history, or no longer')
end
return commands[ARGV[1]]()
