-- History in Valkey or Redis: the recurrence of shared/features/layout.py, one call for each micro-batch.
--
-- shared/adapters/valkey/script.py puts tables before this text, written from the layout: LAYOUTS, ROLES, SPANS, LIFE
-- and CLAIM. Places count from 1. Records are tables of numbers, stored as packed doubles. Facts come as in
-- shared/features/facts.py, but only with the columns of weights and marks that are in use in this call.
--
-- KEYS[1] holds the sequence, the number of changes counted. All keys carry its hash tag, so they are on its node.
-- Everything is computed before the first write: a server that refuses writes refuses the call as a whole.

local call, pack, unpack_struct, sub, floor = redis.call, struct.pack, struct.unpack, string.sub, math.floor
local INFINITY, NAN = math.huge, 0 / 0
local PREFIX = sub(KEYS[1], 1, -2)
local MISSING = string.rep('\0', 8)
local EVER, CONFLICT, UNPLACED = #SPANS.rates + #SPANS.starts + 1, -3, -1

local damaged = 0 -- stored values of another length than theirs, which are as good as missing
local records = {} -- name -> {name, layout, numbers, whether it changed}; no numbers: the record is missing
local left, own = {[EVER] = 1}, {[EVER] = 1} -- by span: the share left of a record, and of a fact

for _, role in ipairs(ROLES) do role.layout = LAYOUTS[role.kind] end
for _, layout in pairs(LAYOUTS) do
  local never = {}
  for i = 1, layout.marks do never[i] = NAN end
  for i = layout.marks + 1, layout.width do never[i] = 0 end
  layout.reads_if_missing = pack(layout.reads, unpack(never))
  for i = 1, layout.width do never[i] = NAN end
  layout.reads_of_none = pack(layout.reads, unpack(never))
end

-- Return the number of changes counted; nil in a store that was never filled, or was emptied since.
local function sequence()
  return tonumber(call('GET', KEYS[1]) or nil)
end

local function empty()
  return redis.error_reply('EMPTY the store of history has to be filled first')
end

local function decay(since, to, share)
  local rates, starts = SPANS.rates, SPANS.starts
  local count = #rates
  for span = 1, count do share[span] = 2 ^ ((since - to) * rates[span]) end
  for i = 1, #starts do
    local start = starts[i]
    share[count + i] = floor((since - start) / SPANS.period) == floor((to - start) / SPANS.period) and 1 or 0
  end
end

-- Return the record of a key.
local function record(layout, key)
  local name = PREFIX .. layout.letter .. key
  local known = records[name]
  if known then return known end
  local stored = call('GET', name)
  if stored and #stored ~= layout.bytes then
    damaged, stored = damaged + 1, false
  end
  known = {name, layout, stored and {unpack_struct(layout.format, stored)} or nil, false}
  records[name] = known
  return known
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

-- Return the packed reads at `at` of numbers that were moved from the time `before`. The sum of a period that is over is
-- lost: a fact of before reads it as NaN.
local function reads_of(layout, numbers, before, at)
  local reached, from_now, of_mark, marks = numbers[1], layout.from_now, layout.of_mark, {numbers[1] - before}
  for i = 2, layout.marks do
    local value = reached * from_now[i] + numbers[i] * of_mark[i]
    if value == INFINITY or value == -INFINITY then value = NAN end
    marks[i] = value
  end
  local packed = pack(layout.reads_marks, unpack(marks))
  if reached == at then return packed .. pack(layout.reads_counters, unpack(numbers, layout.marks + 1, layout.width)) end
  decay(at, reached, left)
  local counters = {unpack(numbers, layout.marks + 1, layout.width)}
  for i = 1, #counters do
    local span = layout.spans[layout.marks + i]
    if span > #SPANS.rates and left[span] == 0 then counters[i] = NAN end
  end
  return packed .. pack(layout.reads_counters, unpack(counters))
end

-- Return the packed reads of a record that stays as it is.
local function peek(layout, found, at)
  if not found[3] then return layout.reads_if_missing end
  local copy = {unpack(found[3], 1, layout.width)}
  local before = move(layout, copy, at)
  return reads_of(layout, copy, before, at)
end

-- Move a record to the time of a fact; return its time of before, nil if it was missing and is now created.
local function touch(layout, found, at)
  found[4] = true
  if found[3] then return move(layout, found[3], at) end
  found[3] = {unpack_struct(layout.format, layout.blank)}
  found[3][1] = at
  return nil
end

-- Add a fact in a role to numbers that were moved to its time.
local function add(plan, numbers, fact)
  local raises, counts, at = plan.raises, plan.counts, fact[1]
  local late = numbers[1] > at
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

-- Return an iterator over the facts of a call: the keys of its records, and the fact, time first.
local function facts_of(keys, weights, marks, numbers)
  local width = 1 + #weights + #marks
  local format, key_bytes = '<' .. string.rep('d', width), 8 * #ROLES
  return function(i)
    return sub(keys, (i - 1) * key_bytes + 1, i * key_bytes), {unpack_struct(format, numbers, (i - 1) * width * 8 + 1)}
  end
end

local function key_of(keys, place)
  return sub(keys, 8 * place - 7, 8 * place)
end

-- Count a fact in all records that it names.
local function count(plan, keys, fact)
  local named = {}
  for place, role in ipairs(ROLES) do
    local key = key_of(keys, place)
    if key ~= MISSING then
      local layout = role.layout
      named[place] = record(layout, key)
      touch(layout, named[place], fact[1])
    end
  end
  for place, found in pairs(named) do add(plan[place], found[3], fact) end
end

-- Move the record of a role to the time of an ask; return its packed reads, as of just before.
local function touch_and_read(layout, found, at)
  local before = touch(layout, found, at)
  return before and reads_of(layout, found[3], before, at) or layout.reads_if_missing
end

-- Count an ask in the roles in which it counts; return the packed reads of all roles, as of just before.
local function ask(plan, keys, fact)
  local reads, named, once, at = {}, {}, {}, fact[1]
  for place = 1, #ROLES do
    local role = ROLES[place]
    local key, layout = key_of(keys, place), role.layout
    if key == MISSING then
      reads[place] = layout.reads_of_none
    else
      local found = record(layout, key)
      if role.asked then
        once[found] = once[found] or touch_and_read(layout, found, at) -- an account that pays itself has two roles
        reads[place], named[place] = once[found], found[3]
      else
        reads[place] = peek(layout, found, at)
      end
    end
  end
  for place, numbers in pairs(named) do add(plan[place], numbers, fact) end
  return table.concat(reads)
end

local function store(seconds)
  for name, found in pairs(records) do
    if found[4] then
      local layout = found[2]
      call('SET', name, pack(layout.format, unpack(found[3], 1, layout.width)), 'EX', seconds)
    end
  end
end

-- Return the letters of the sides that have claimed a life; nil if it is not a whole one.
local function sides(life)
  local found, at = '', LIFE.bytes
  while at + CLAIM.bytes <= #life do
    found = found .. sub(life, at + 1, at + 1)
    local low, high = string.byte(life, at + CLAIM.length_at, at + CLAIM.length_at + 1)
    at = at + CLAIM.bytes + low + 256 * high
  end
  return at == #life and found or nil
end

-- Return a stored value; nil if it is missing or damaged.
local function whole(name, value)
  if not value then return nil end
  local intact
  if sub(name, 1, 1) == LIFE.letter then intact = sides(value) else intact = #value >= 4 end
  if intact then return value end
  damaged = damaged + 1
  return nil
end

local function keep(values, life_seconds, record_seconds)
  for name, value in pairs(values) do
    local seconds = sub(name, 1, 1) == LIFE.letter and life_seconds or record_seconds
    call('SET', PREFIX .. name, value, 'EX', seconds)
  end
end

local NO_READS = string.rep(pack('<f', NAN), LIFE.reads)

-- life seconds, record seconds, version of the claim, claims up to the version, heads of lives up to the reads, keys and
-- facts, then the name of each life. Return the number of damaged values, then the life of each: the new one, or the
-- first one, with a claim of the side.
-- An empty store claims, but reads and counts nothing: every account would look new.
local function observe()
  local life_seconds, record_seconds, version, claims, heads, keys, weights, marks, numbers = unpack(ARGV, 2, 10)
  local before = sequence()
  local counted, lives, replies = before, {}, {0}
  local plan, facts = before and plans(weights, marks), facts_of(keys, weights, marks, numbers)
  for i = 1, #ARGV - 10 do
    local name = ARGV[10 + i]
    local claim = sub(claims, (i - 1) * CLAIM.bytes + 1, i * CLAIM.bytes) .. version
    local life = lives[name] or whole(name, call('GET', PREFIX .. name))
    if not life then
      local place, reads = UNPLACED, NO_READS
      if before then
        counted = counted + 1
        place, reads = counted, ask(plan, facts(i))
      end
      local from = (i - 1) * LIFE.head
      life = sub(heads, from + 1, from + LIFE.place_at) .. pack('<i8', place)
        .. sub(heads, from + LIFE.place_at + 9, from + LIFE.head) .. reads .. claim
    elseif not string.find(sides(life), sub(claim, 1, 1), 1, true) then
      life = life .. claim
    end
    lives[name], replies[i + 1] = life, life
  end
  store(record_seconds)
  -- A life that exists is kept longer: it is needed while the Pix may be delivered again.
  keep(lives, life_seconds, record_seconds)
  if before and counted > before then call('SET', KEYS[1], string.format('%.0f', counted)) end
  replies[1] = damaged
  return replies
end

-- Return a value with the place of its change, and with the claims of the stored life.
local function changed(name, value, place_at, place, stored)
  if place_at >= 0 then
    value = sub(value, 1, place_at) .. pack('<i8', place) .. sub(value, place_at + 9)
  end
  if stored and sub(name, 1, 1) == LIFE.letter then return value .. sub(stored, LIFE.bytes + 1) end
  return value
end

-- life seconds, record seconds, keys and facts, of each change its expected version, offset of the place and number of
-- facts, then its name and value. Return the number of damaged values, then the place of each change.
local function change()
  local life_seconds, record_seconds, keys, weights, marks, numbers, items = unpack(ARGV, 2, 8)
  local before = sequence()
  if not before then return empty() end
  local counted, values, replies, next_fact = before, {}, {0}, 1
  local plan, facts = plans(weights, marks), facts_of(keys, weights, marks, numbers)
  for i = 1, #items / 12 do
    local expected, place_at, count_of = unpack_struct('<I4i4I4', items, (i - 1) * 12 + 1)
    local name, value = ARGV[7 + 2 * i], ARGV[8 + 2 * i]
    local stored = values[name] or whole(name, call('GET', PREFIX .. name))
    local place = UNPLACED
    if (stored and unpack_struct('<I4', stored) or 0) ~= expected then
      place = CONFLICT
    else
      if count_of > 0 then
        counted = counted + 1
        place = counted
      end
      for fact = next_fact, next_fact + count_of - 1 do count(plan, facts(fact)) end
      values[name] = changed(name, value, place_at, place, stored)
    end
    next_fact = next_fact + count_of
    replies[i + 1] = place
  end
  store(record_seconds)
  keep(values, life_seconds, record_seconds)
  if counted > before then call('SET', KEYS[1], string.format('%.0f', counted)) end
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

-- seconds, letter of the layout, keys, records: store records that a replay has computed.
local function fill()
  local seconds, letter, keys, filled = unpack(ARGV, 2, 5)
  local rows = #keys / 8
  local width = #filled / rows
  for i = 1, rows do
    call('SET', PREFIX .. letter .. key_of(keys, i), sub(filled, (i - 1) * width + 1, i * width), 'EX', seconds)
  end
  return rows
end

-- seconds, then name and value of each: store values as they are.
local function put()
  for i = 3, #ARGV, 2 do call('SET', PREFIX .. ARGV[i], ARGV[i + 1], 'EX', ARGV[2]) end
  return (#ARGV - 2) / 2
end

-- Return the number of changes that this history has counted, 0 for an empty store.
local function counted()
  return sequence() or 0
end

-- sequence: continue from it. Return 1, or 0 if this history has counted already.
local function resume()
  if counted() > 0 then return 0 end
  call('SET', KEYS[1], ARGV[2])
  return 1
end

local commands = {
  observe = observe, change = change, find = find, fill = fill, put = put, counted = counted, resume = resume,
}
return commands[ARGV[1]]()
