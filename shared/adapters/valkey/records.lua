-- Records of history: the recurrence of shared/features/layout.py, for the facts of one call.
--
-- shared/adapters/valkey/script.py puts tables before this text, written from the layout: LAYOUTS, ROLES and SPANS,
-- and others for history.lua, which follows. Places count from 1. Records are tables of numbers, stored as packed
-- doubles. Facts come as in shared/features/facts.py, but only with the columns of weights and marks that are in use
-- in this call.

local call, pack, unpack_struct, sub, floor = redis.call, struct.pack, struct.unpack, string.sub, math.floor
local INFINITY, NAN = math.huge, 0 / 0
local PREFIX = sub(KEYS[1], 1, -2)
local MISSING = string.rep('\0', 8)
local EVER = #SPANS.rates + #SPANS.starts + 1

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

-- Store the records that changed.
local function store(seconds)
  for name, found in pairs(records) do
    if found[4] then
      local layout = found[2]
      call('SET', name, pack(layout.format, unpack(found[3], 1, layout.width)), 'EX', seconds)
    end
  end
end
