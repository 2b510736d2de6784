-- Values of history: lives, verdicts and markers with what is owed to other shards, and the sequence of changes.
--
-- shared/adapters/valkey/script.py puts this text between records.lua and history.lua.

local EPOCHS, HOLDER = PREFIX .. 'e', PREFIX .. 'h'
local ENTRIES, STEP, DONE = 'o', 'v', 'd' -- letters of the entries of a value, of a step, and of an entry that is done
local SHARD = tonumber(string.match(PREFIX, ':%d+:(%d+)}$')) -- the tag ends with the number of shards, and its own
local NUMBERS_FROM = (SHARD or 0) * (EPOCH.numbers + 1)
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
    call('EXISTS', EPOCHS) -- refused here if its slot moves, and not between two writes
  end
  return epoch, number
end

-- Return a place, packed.
local function packed_place(epoch, number)
  return pack('<I4I4', NUMBERS_FROM + number, epoch)
end

-- Store the number of changes counted in an epoch.
local function count_to(epoch, number)
  if former then call('RPUSH', EPOCHS, former) end
  call('SET', KEYS[1], string.format('%.0f %.0f %s', epoch, number, running))
end

-- Return whether a life tells of an ask that this history has lost: one counted after the last change that it kept of
-- the epoch, by a process whose place another one took.
local function is_lost(life, epoch, counted)
  local low, of_epoch = unpack_struct('<I4I4', life, LIFE.place_at + 1)
  local number = low - NUMBERS_FROM
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

-- Return the offset behind the claim, answer or returns of a life at an offset. Only the letters of claims are capitals.
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

-- Return the offset of the claims of a life, which stand behind its returns.
local function claims_at(life)
  return sub(life, LIFE.bytes + 1, LIFE.bytes + 1) == LIFE.returns and behind(life, LIFE.bytes) or LIFE.bytes
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

-- Return the entries of a value, the packed place and the text of each in turn; nil with one shard.
local function entries_of(name)
  return SHARD and call('HGETALL', PREFIX .. ENTRIES .. name) or nil
end

-- Let the entries of a value expire with it.
local function expire_entries(name, seconds)
  if SHARD then call('EXPIRE', PREFIX .. ENTRIES .. name, seconds) end
end

-- Store values and their new entries for as long as their letters say. A life is kept for as long as a message that has
-- no row yet may come back; once all rows are stored, only for the usual time between its deliveries and outcomes.
local function keep(values, entries, message_seconds, life_seconds, record_seconds)
  for name, value in pairs(values) do
    local seconds = record_seconds
    if sub(name, 1, 1) == LIFE.letter then seconds = is_stored(value) and life_seconds or message_seconds end
    call('SET', PREFIX .. name, value, 'EX', seconds)
    if entries[name] then call('HSET', PREFIX .. ENTRIES .. name, unpack(entries[name])) end
    expire_entries(name, seconds)
  end
end

-- Note that the row of a side is stored, given the letter of the side and the name of the life.
local function settle(row, life_seconds)
  local name = sub(row, 2)
  local life = whole(name, call('GET', PREFIX .. name))
  local at = life and part_of(life, sub(row, 1, 1))
  if not at then return end
  call('SETRANGE', PREFIX .. name, at + 1, '\1')
  if is_stored(sub(life, 1, at + 1) .. '\1' .. sub(life, at + 3)) then
    call('EXPIRE', PREFIX .. name, life_seconds)
    expire_entries(name, life_seconds)
  end
end

-- Return whether a life tells that its ask was counted again.
local function is_recounted(life)
  return bit.band(string.byte(life, LIFE.flags_at + 1), RECOUNTED) > 0
end

-- Return whether the life that a change makes tells another place or other reads of the ask than the stored one, which
-- was counted: history has lost and counted the ask, or its part on another shard, while the change was computed. A life
-- that is the first to tell of a recount takes the reads of the decision.
local function contradicts(life, stored)
  if string.byte(stored, LIFE.place_at + 8) > 127 then return false end -- UNCOUNTED or STORED
  if sub(life, LIFE.place_at + 1, LIFE.place_at + 8) ~= sub(stored, LIFE.place_at + 1, LIFE.place_at + 8) then return true end
  if is_recounted(life) and not is_recounted(stored) then return false end
  return sub(life, LIFE.head + 1, LIFE.bytes) ~= sub(stored, LIFE.head + 1, LIFE.bytes)
end

-- Return a life that tells, if the stored one does, that its ask was counted again.
local function with_recount(life, stored)
  if not is_recounted(stored) then return life end
  local flags = bit.bor(string.byte(life, LIFE.flags_at + 1), RECOUNTED)
  return sub(life, 1, LIFE.flags_at) .. string.char(flags) .. sub(life, LIFE.flags_at + 2)
end

-- Note that all visits of an entry are made: the place of its change, the name of its value, the places of the visits,
-- and of an ask all reads, which a life of that place takes. The entry stays behind the places, as a shard may lose some.
-- The first note stands: decisions and settlements may rest on its reads. A life whose ask was counted again, where it
-- was lost, keeps its reads, and tells it by a flag.
local function complete(told)
  local place, visits, length = sub(told, 2, 9), unpack_struct('<BH', told, 10)
  local name, visited = sub(told, 13, 12 + length), sub(told, 13 + length, 12 + length + 8 * visits)
  local reads = sub(told, 13 + length + 8 * visits)
  local entry = call('HGET', PREFIX .. ENTRIES .. name, place)
  local is_done, is_recount = entry and sub(entry, 1, 1) == DONE, sub(told, 1, 1) == AGAIN
  if not entry or is_done ~= is_recount then return end
  local is_life = sub(name, 1, 1) == LIFE.letter
  local life = is_life and (is_recount or #reads > 0) and whole(name, call('GET', PREFIX .. name))
  if life and sub(life, LIFE.place_at + 1, LIFE.place_at + 8) == place then
    if is_recount then
      local flags = bit.bor(string.byte(life, LIFE.flags_at + 1), RECOUNTED)
      call('SETRANGE', PREFIX .. name, LIFE.flags_at, string.char(flags))
    else
      call('SETRANGE', PREFIX .. name, LIFE.head, reads)
    end
  end
  if is_done then entry = sub(entry, 3 + 8 * string.byte(entry, 2)) end
  call('HSET', PREFIX .. ENTRIES .. name, place, DONE .. string.char(visits) .. visited .. entry)
end

-- Note what a client tells: that a row is stored, an entry is done, or its steps are needed no longer.
local function note(told, life_seconds)
  local letter = sub(told, 1, 1)
  if letter == ENTRIES or letter == AGAIN then complete(told)
  elseif letter == STEP then call('EXPIRE', PREFIX .. told, life_seconds)
  else settle(told, life_seconds) end
end

