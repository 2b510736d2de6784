-- History in Valkey or Redis: its commands, one call for each micro-batch, over the records of records.lua.
--
-- KEYS[1] holds the sequence, the number of changes counted. All keys carry its hash tag, so they are on its node.
-- Everything is computed before the first write: a server that refuses writes refuses the call as a whole.

-- Return the number of changes counted; nil in a store that was never filled, or was emptied since.
local function sequence()
  return tonumber(call('GET', KEYS[1]) or nil)
end

local function empty()
  return redis.error_reply('EMPTY the store of history has to be filled first')
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

-- Store values for as long as their letters say.
local function keep(values, life_seconds, record_seconds)
  for name, value in pairs(values) do
    local seconds = sub(name, 1, 1) == LIFE.letter and life_seconds or record_seconds
    call('SET', PREFIX .. name, value, 'EX', seconds)
  end
end

local NO_READS = string.rep(pack('<f', NAN), LIFE.reads)

-- life seconds, record seconds, version of the claim, claims up to the version, heads of lives up to the reads, keys
-- and facts, then the name of each life. Return the number of damaged values, then the life of each: the new one, or
-- the first one, with a claim of the side.
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
      local place, reads = UNCOUNTED, NO_READS
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

-- life seconds, record seconds, keys and facts, of each change its expected version, offset of the place and number
-- of facts, then its name and value. Return the number of damaged values, then the place of each change.
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
  observe = observe, change = change, find = find, fill = fill, forget = forget, put = put, counted = counted, resume = resume,
}
return commands[ARGV[1]]()
