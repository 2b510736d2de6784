-- Records of history: the recurrence of shared/features/layout.py, for the facts of one call.
--
-- shared/adapters/valkey/script.py puts tables before this text, written from the layout: LAYOUTS, ROLES and SPANS,
-- and others for history.lua, which follows. Places count from 1. Records are tables of numbers, stored as packed
-- values of the types of their layout. Facts come as in shared/features/facts.py, but only with the columns of weights
-- and marks that are in use in this call.
--
-- The contacts of a payer are the fields of one hash: bytes of the key of a contact -> its record. The field SEEN holds
-- the fingerprints of those that are forgotten; a record, also one that is forgotten by its time, outweighs it.

local call, pack, unpack_struct, sub, floor = redis.call, struct.pack, struct.unpack, string.sub, math.floor
local INFINITY, NAN = math.huge, 0 / 0
local PREFIX = sub(KEYS[1], 1, -2)
local MISSING = string.rep('\0', 8)
local EVER = #SPANS.rates + #SPANS.starts + 1

local damaged = 0 -- stored values of another length than theirs, which are as good as missing
local records = {} -- name -> record: name, layout, numbers (none: it is missing), changed, exact (not rounded yet)
local left, own = {[EVER] = 1}, {[EVER] = 1} -- by span: the share left of a record, and of a fact

local CONTACT = LAYOUTS.contact
local SEEN, FIELD_FROM, FIELD_TO, FINGERPRINT = '', 2, 6, 4 -- the bytes of a key that are its field, and of a fingerprint
local PRUNED, SCANNED = 32, 256 -- of 256 new contacts so many look for forgotten ones, among so many buckets
local GRACE = 7 * SPANS.period -- a Pix that comes late may still read a contact that others have forgotten
local contact_places = {}
for place, role in ipairs(ROLES) do
  role.layout = LAYOUTS[role.kind]
  if role.layout == CONTACT then contact_places[#contact_places + 1] = place end
end
for _, layout in pairs(LAYOUTS) do
  local never = {}
  for i = 1, layout.marks do never[i] = NAN end
  for i = layout.marks + 1, layout.width do never[i] = 0 end
  layout.reads_if_missing = pack(layout.reads, unpack(never))
  for i = 1, layout.width do never[i] = NAN end
  layout.reads_of_none = pack(layout.reads, unpack(never))
end

-- Write the share that is left at `to` of a count at `since`, by span.
local function decay(since, to, share)
  local rates, starts = SPANS.rates, SPANS.starts
  local count = #rates
  for span = 1, count do share[span] = 2 ^ ((since - to) * rates[span]) end
  for i = 1, #starts do
    local start = starts[i]
    share[count + i] = floor((since - start) / SPANS.period) == floor((to - start) / SPANS.period) and 1 or 0
  end
end

-- Return the numbers of a stored record. Times are stored without their sign, and as 0 while nothing happened.
local function opened(layout, stored)
  local numbers, signs = {unpack_struct(layout.format, stored)}, layout.signs
  for i = 1, #signs do
    local time = numbers[i]
    if time == 0 then numbers[i] = -INFINITY else numbers[i] = time * signs[i] end
  end
  return numbers
end

-- Return the stored form of numbers, which end with it.
local function closed(layout, numbers)
  local signs = layout.signs
  for i = 1, #signs do
    local time = numbers[i]
    if time == -INFINITY then numbers[i] = 0 else numbers[i] = time * signs[i] end
  end
  return pack(layout.format, unpack(numbers, 1, layout.width))
end

-- Return a new record of a layout from its stored form, if there is one.
local function record_of(name, layout, stored)
  if stored and #stored ~= layout.bytes then
    damaged, stored = damaged + 1, false
  end
  return {name = name, layout = layout, numbers = stored and opened(layout, stored) or nil}
end

-- Return a record as it is after the facts of before: each rounds the record to its stored form.
local function settled(found)
  if found.exact then
    found.numbers, found.exact = opened(found.layout, closed(found.layout, found.numbers)), false
  end
  return found
end

-- Return the record of a key; of a contact, once it was fetched.
local function record(layout, key)
  local name = layout.letter .. key
  local known = records[name]
  if known then return settled(known) end
  known = record_of(PREFIX .. name, layout, call('GET', PREFIX .. name))
  records[name] = known
  return known
end

-- Fetch the contacts of a fact, which are those of its payer: the first key.
local function fetch_contacts(keys)
  local owner, names, fields = sub(keys, 1, 8), {}, {}
  for i = 1, #contact_places do
    local last = 8 * contact_places[i]
    local key = sub(keys, last - 7, last)
    local name = CONTACT.letter .. key
    if key ~= MISSING and not records[name] then
      names[#names + 1], fields[#fields + 1] = name, sub(key, FIELD_FROM, FIELD_TO)
    end
  end
  if #names == 0 then return end
  local hash = PREFIX .. CONTACT.letter .. owner
  local stored = call('HMGET', hash, SEEN, unpack(fields))
  for i = 1, #names do
    local found = record_of(hash, CONTACT, stored[i + 1])
    found.field, found.seen, found.new = fields[i], stored[1], not stored[i + 1]
    records[names[i]] = found
  end
end

-- Return the place of a fingerprint among the fingerprints of forgotten contacts; nil if it is not there.
local function place_of(fingerprint, seen)
  local at = string.find(seen, fingerprint, 1, true)
  while at and at % FINGERPRINT ~= 1 do at = string.find(seen, fingerprint, at + 1, true) end
  return at
end

-- Return the fingerprints of forgotten contacts with one of them, or without it.
local function with_fingerprint(seen, fingerprint, holds)
  local at = place_of(fingerprint, seen)
  if holds and not at then return seen .. fingerprint end
  if at and not holds then return sub(seen, 1, at - 1) .. sub(seen, at + FINGERPRINT) end
  return seen
end

-- Return whether a contact that has no record was seen before.
local function was_seen(found)
  return found.seen and place_of(sub(found.field, 1, FINGERPRINT), found.seen)
end

-- Return whether a record is forgotten by a time.
local function forgotten(layout, numbers, at)
  return layout.lasts and at - numbers[1] > layout.lasts
end

-- Return numbers of a layout to which nothing happened, at a time.
local function blank(layout, at)
  local numbers = {at}
  for i = 2, layout.marks do numbers[i] = -INFINITY end
  for i = layout.marks + 1, layout.width do numbers[i] = 0 end
  return numbers
end

-- Move numbers to R = max(T, at); return T.
local function move(layout, numbers, at)
  local before = numbers[1]
  if before >= at then return before end
  decay(before, at, left)
  local spans = layout.spans
  for i = layout.marks + 1, layout.width do numbers[i] = numbers[i] * left[spans[i]] end
  numbers[1] = at
  return before
end

-- Return the packed reads at `at` of numbers that were moved from the time `before`, which was their first mark. The
-- sum of a period that is over is lost: a fact of before reads it as NaN.
local function reads_of(layout, numbers, before, at)
  local reached, from_now, of_mark, marks = numbers[1], layout.from_now, layout.of_mark, {numbers[1] - before}
  for i = 2, layout.marks do
    local value = reached * from_now[i] + numbers[i] * of_mark[i]
    if value == INFINITY or value == -INFINITY then value = NAN end
    marks[i] = value
  end
  local read, first = pack(layout.reads_marks, unpack(marks)), layout.marks + 1
  if reached == at then return read .. pack(layout.reads_counters, unpack(numbers, first, layout.width)) end
  decay(at, reached, left)
  local counters = {unpack(numbers, first, layout.width)}
  for i = 1, #counters do
    local span = layout.spans[layout.marks + i]
    if span > #SPANS.rates and left[span] == 0 then counters[i] = NAN end
  end
  return read .. pack(layout.reads_counters, unpack(counters))
end

-- Return the packed reads of a record that stays as it is.
local function peek(layout, found, at)
  local numbers = found.numbers
  if not numbers then
    return layout.lasts and was_seen(found) and layout.reads_if_seen or layout.reads_if_missing
  end
  if forgotten(layout, numbers, at) then
    return numbers[layout.seen_by] > NEW and layout.reads_if_seen or layout.reads_if_missing
  end
  local copy = {unpack(numbers, 1, layout.width)}
  local before = move(layout, copy, at)
  return reads_of(layout, copy, before, at)
end

-- Move a record to the time of a fact; return its time of before, nil if it was missing and is now created.
local function touch(layout, found, at)
  found.changed = true
  local numbers = found.numbers
  if numbers and not forgotten(layout, numbers, at) then return move(layout, numbers, at) end
  found.numbers = blank(layout, at)
  return nil
end

-- Add a fact in a role to a record that was moved to its time; one that comes too late adds nothing.
local function add(plan, found, fact)
  local raises, counts, at, numbers, lasts = plan.raises, plan.counts, fact[1], found.numbers, found.layout.lasts
  found.exact = true
  local late = numbers[1] > at
  if late and lasts and numbers[1] - at > lasts then return end
  if late then decay(at, numbers[1], own) end
  for i = 1, #raises, 2 do
    local place, value = raises[i], fact[raises[i + 1]]
    if value > numbers[place] then numbers[place] = value end
  end
  for i = 1, #counts, 3 do
    local place, weight = counts[i], fact[counts[i + 1]]
    if late then weight = weight * own[counts[i + 2]] end
    numbers[place] = numbers[place] + weight
  end
end

-- Return for each role where the columns in use are added: places of marks and counters, and columns of the facts.
local function plans(weights, marks)
  local found = {}
  for place, role in ipairs(ROLES) do
    local raises, counts = {}, {}
    for i = 1, #weights do
      for _, counter in ipairs(role.counts[string.byte(weights, i) + 1]) do
        counts[#counts + 1], counts[#counts + 2] = counter, 1 + i
        counts[#counts + 1] = role.layout.spans[counter]
      end
    end
    for i = 1, #marks do
      for _, mark in ipairs(role.raises[string.byte(marks, i) + 1]) do
        raises[#raises + 1], raises[#raises + 2] = mark, 1 + #weights + i
      end
    end
    found[place] = {raises = raises, counts = counts}
  end
  return found
end

-- Return a function that gives the keys of a fact's records, and the fact, time first.
local function facts_of(keys, weights, marks, numbers)
  local width = 1 + #weights + #marks
  local format, key_bytes = '<' .. string.rep('d', width), 8 * #ROLES
  return function(i)
    local fact = {unpack_struct(format, numbers, (i - 1) * width * 8 + 1)}
    return sub(keys, (i - 1) * key_bytes + 1, i * key_bytes), fact
  end
end

-- Return the key at a place.
local function key_of(keys, place)
  return sub(keys, 8 * place - 7, 8 * place)
end

-- Count a fact in all records that it names.
local function count(plan, keys, fact)
  local named = {}
  fetch_contacts(keys)
  for place, role in ipairs(ROLES) do
    local key = key_of(keys, place)
    if key ~= MISSING then
      local layout = role.layout
      named[place] = record(layout, key)
      touch(layout, named[place], fact[1])
    end
  end
  for place, found in pairs(named) do add(plan[place], found, fact) end
end

-- Move the record of a role to the time of an ask; return its packed reads, as of just before.
local function touch_and_read(layout, found, at)
  local before = touch(layout, found, at)
  return before and reads_of(layout, found.numbers, before, at) or layout.reads_if_missing
end

-- Count an ask in the roles in which it counts; return the packed reads of each role, as of just before.
local function ask(plan, keys, fact)
  local reads, named, once, at = {}, {}, {}, fact[1]
  fetch_contacts(keys)
  for place = 1, #ROLES do
    local role = ROLES[place]
    local key, layout = key_of(keys, place), role.layout
    if key == MISSING then
      reads[place] = layout.reads_of_none
    else
      local found = record(layout, key)
      if role.asked then
        once[found] = once[found] or touch_and_read(layout, found, at) -- an account that pays itself has two roles
        reads[place], named[place] = once[found], found
      else
        reads[place] = peek(layout, found, at)
      end
    end
  end
  for place, found in pairs(named) do add(plan[place], found, fact) end
  return reads
end

-- Keep of the contacts in a part of a hash that are forgotten by a time only that they were seen. A small hash is
-- looked through as a whole, of a large one some buckets from one on that depends on a field.
local function prune(hash, field_of, at)
  local bucket = string.byte(field_of, 2) + 256 * string.byte(field_of, 3)
  local seen, gone = call('HGET', hash, SEEN) or '', {}
  local entries = call('HSCAN', hash, bucket, 'COUNT', SCANNED)[2]
  for i = 1, #entries, 2 do
    local field, stored = entries[i], entries[i + 1]
    local numbers = field ~= SEEN and #stored == CONTACT.bytes and opened(CONTACT, stored)
    if numbers and forgotten(CONTACT, numbers, at) then
      gone[#gone + 1] = field
      seen = with_fingerprint(seen, sub(field, 1, FINGERPRINT), numbers[CONTACT.seen_by] > NEW)
    end
  end
  if #gone == 0 then return end
  call('HDEL', hash, unpack(gone))
  if seen == '' then call('HDEL', hash, SEEN) else call('HSET', hash, SEEN, seen) end
end

-- Store the records that changed.
local function store(seconds)
  local hashes, pruned = {}, {}
  for _, found in pairs(records) do
    if found.changed then
      local name, field, at = found.name, found.field, found.numbers[1]
      local stored = closed(found.layout, found.numbers)
      if not field then
        call('SET', name, stored, 'EX', seconds)
      else
        local entries = hashes[name] or {}
        entries[#entries + 1], entries[#entries + 2] = field, stored
        hashes[name] = entries
        if found.new and string.byte(field) < PRUNED then pruned[name] = {field, at} end
      end
    end
  end
  for name, entries in pairs(hashes) do
    call('HSET', name, unpack(entries))
    call('EXPIRE', name, seconds)
  end
  for name, from in pairs(pruned) do prune(name, from[1], from[2] - GRACE) end
end

-- Return the hash and the field of the contact at a place.
local function contact_at(keys, payers, place)
  local name = PREFIX .. CONTACT.letter .. key_of(payers, place)
  return name, sub(key_of(keys, place), FIELD_FROM, FIELD_TO)
end

-- Store records as they are; return their number. Contacts of one payer that follow each other are one write.
local function fill_records(layout, keys, payers, filled, seconds)
  local rows, width, entries = #keys / 8, layout.bytes, {}
  for i = 1, rows do
    local stored = sub(filled, (i - 1) * width + 1, i * width)
    if layout ~= CONTACT then
      call('SET', PREFIX .. layout.letter .. key_of(keys, i), stored, 'EX', seconds)
    else
      local name, field = contact_at(keys, payers, i)
      entries[#entries + 1], entries[#entries + 2] = field, stored
      if i == rows or key_of(payers, i) ~= key_of(payers, i + 1) then
        call('HSET', name, unpack(entries))
        call('EXPIRE', name, seconds)
        entries = {}
      end
    end
  end
  return rows
end

-- Erase contacts, also that they were seen; return the number of those that there were.
local function forget_contacts(keys, payers)
  local erased = 0
  for i = 1, #keys / 8 do
    local name, field = contact_at(keys, payers, i)
    local seen = call('HGET', name, SEEN) or ''
    local rest = with_fingerprint(seen, sub(field, 1, FINGERPRINT), false)
    local there = call('HDEL', name, field) + (rest ~= seen and 1 or 0)
    if rest == '' then call('HDEL', name, SEEN) elseif rest ~= seen then call('HSET', name, SEEN, rest) end
    erased = erased + math.min(there, 1)
  end
  return erased
end
