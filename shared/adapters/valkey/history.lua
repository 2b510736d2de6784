-- History in Valkey or Redis: the recurrence of shared/features/layout.py, one call for each micro-batch.
--
-- shared/adapters/valkey/script.py puts tables before this text, written from the layout: LAYOUTS, RATES, FACTS, READS
-- with the places they name, and CLAIM, the prefix of claims. Places count from 1. Records are tables of numbers, stored
-- as packed doubles.
--
-- KEYS[1] holds the sequence, the number of transactions counted. All keys carry its hash tag, so they are on its node.
-- Everything is computed before the first write: a server that refuses writes refuses the call as a whole.

local call, pack, unpack_struct = redis.call, struct.pack, struct.unpack
local INFINITY, NAN = math.huge, 0 / 0
local PREFIX = string.sub(KEYS[1], 1, -2)
local MISSING = string.rep('\0', 8)

local touched = {} -- key -> {layout, record}
local decay, own = {}, {} -- by half-life: the remaining share of a record, and of the addition of an event

-- Return the record of a key, and whether it is new.
local function record(layout, key)
  local name = PREFIX .. layout.letter .. key
  local known = touched[name]
  if known then return known[2], false end
  local stored = call('GET', name)
  local found = {unpack_struct(layout.format, stored or layout.blank)}
  touched[name] = {layout, found}
  return found, not stored
end

-- Move a record to R = max(T, at) and copy its values into reads.
local function find(layout, found, at, reads, offset)
  local before = found[1]
  local reached = before > at and before or at
  for span = 1, #RATES do decay[span] = 2 ^ ((before - reached) * RATES[span]) end
  local from_now, of_mark, spans = layout.from_now, layout.of_mark, layout.spans
  for i = 1, layout.marks do
    local value = reached * from_now[i] + found[i] * of_mark[i]
    if value == INFINITY or value == -INFINITY then value = NAN end
    reads[offset + i] = value
  end
  for i = layout.marks + 1, layout.width do
    local value = found[i] * decay[spans[i]]
    found[i] = value
    reads[offset + i] = value
  end
  found[1] = reached
end

-- Add the weights of facts in a role to a record that find has moved.
local function add(role, found, facts)
  local since = facts[FACTS.time] - found[1]
  for span = 1, #RATES do own[span] = 2 ^ (since * RATES[span]) end
  local raises, counts = role.raises, role.counts
  for i = 1, #raises, 2 do
    local place, value = raises[i], facts[raises[i + 1]]
    if value > found[place] then found[place] = value end
  end
  for i = 1, #counts, 3 do
    local place = counts[i]
    found[place] = found[place] + facts[counts[i + 1]] * own[counts[i + 2]]
  end
end

local function count_contact(key, facts, reads, offset)
  if key == MISSING then return false end
  local found, new = record(LAYOUTS.contact, key)
  find(LAYOUTS.contact, found, facts[FACTS.time], reads, offset)
  add(LAYOUTS.contact.roles.contact, found, facts)
  return new
end

-- The payer passes on money and taint by the amounts it received, as they were before either is counted.
local function count_accounts(payer_key, payee_key, facts, reads)
  local layout, time = LAYOUTS.account, facts[FACTS.time]
  local payer, payee = record(layout, payer_key), record(layout, payee_key)
  find(layout, payer, time, reads, READS.payer)
  if payer == payee then
    for i = 1, layout.width do reads[READS.payee + i] = reads[READS.payer + i] end
  else
    find(layout, payee, time, reads, READS.payee)
  end
  local taint = {}
  for i = 1, TAINT.count do
    taint[i] = HOP * facts[FACTS.one] * math.min(math.max(payer[TAINT.place + i], 0), 1)
  end
  local passed = {}
  for i = 1, PASSED.count do passed[i] = math.min(facts[FACTS.amount], payer[PASSED.from + i]) end
  add(layout.roles.payer, payer, facts)
  for i = 1, PASSED.count do
    local place = PASSED.place + i
    payer[place] = payer[place] + passed[i] * own[layout.spans[place]]
  end
  add(layout.roles.payee, payee, facts)
  for i = 1, TAINT.count do
    local place = TAINT.place + i
    payee[place] = payee[place] + taint[i] * own[layout.spans[place]]
  end
end

local function count_device(key, facts, reads)
  if key == MISSING then return end
  local found = record(LAYOUTS.device, key)
  find(LAYOUTS.device, found, facts[FACTS.time], reads, READS.device)
  add(LAYOUTS.device.roles.device, found, facts)
end

local function store(seconds)
  for name, entry in pairs(touched) do
    call('SET', name, pack(entry[1].format, unpack(entry[2], 1, entry[1].width)), 'EX', seconds)
  end
end

-- Return the number of transactions counted; nil in a store that was never filled, or was emptied since.
local function sequence()
  return tonumber(call('GET', KEYS[1]) or nil)
end

local NO_READS = string.rep(pack('<f', NAN), READS.width)

local function count_event(keys, at, facts)
  local function key(place) return string.sub(keys, at + 8 * place - 7, at + 8 * place) end
  local reads = {}
  for i = 1, READS.width do reads[i] = NAN end
  if count_contact(key(3), facts, reads, READS.pair) then
    facts[FACTS.new_payee], facts[FACTS.at_if_new] = 1, facts[FACTS.at]
  end
  if count_contact(key(4), facts, reads, READS.handset) then facts[FACTS.new_device] = 1 end
  count_accounts(key(1), key(2), facts, reads)
  count_device(key(5), facts, reads)
  return pack(READS.format, unpack(reads))
end

-- claim seconds, record seconds, scored_at and key version, model version, prints, keys, facts, then the EndToEndId of
-- each event. Return the claim of each: its own, or the first one, which may be of another message.
-- An empty store claims, but reads and counts nothing: every account would look new.
local function observe()
  local claim_seconds, record_seconds, head, version, prints, keys, facts = unpack(ARGV, 2, 8)
  local before = sequence()
  local counted, claims, replies = before, {}, {}
  for i = 1, #ARGV - 8 do
    local name = PREFIX .. CLAIM .. ARGV[8 + i]
    local claim = claims[name] or call('GET', name)
    if not claim then
      local place, reads = -1, NO_READS
      if before then
        local own_facts = {unpack_struct(FACTS.format, facts, (i - 1) * FACTS.bytes + 1)}
        counted = counted + 1
        place, reads = counted, count_event(keys, (i - 1) * 40, own_facts)
      end
      claim = pack('<d', place) .. head .. string.sub(prints, 8 * i - 7, 8 * i) .. reads .. version
    end
    claims[name], replies[i] = claim, claim
  end
  store(record_seconds)
  -- A claim that exists is kept longer: it is needed while the transaction may be delivered again.
  for name, claim in pairs(claims) do call('SET', name, claim, 'EX', claim_seconds) end
  if before and counted > before then call('SET', KEYS[1], string.format('%.0f', counted)) end
  return replies
end

local function count_report(keys, at, fraud, sign)
  local facts, reads = {}, {}
  for i = 1, FACTS.width do facts[i] = i < FACTS.first_mark and 0 or -INFINITY end
  facts[FACTS.time], facts[FACTS.reached] = at, at
  facts[fraud and FACTS.fraud or FACTS.cleared] = sign
  count_accounts(string.sub(keys, 1, 8), string.sub(keys, 9, 16), facts, reads)
  count_device(string.sub(keys, 17, 24), facts, reads)
end

-- Return the time of the first report of the verdict in force, by which it was counted.
local function counted_since(log, verdict)
  local since
  for at = #log - 16, 1, -17 do
    local each, each_at = unpack_struct('<c1d', log, at)
    if each ~= verdict then break end
    since = each_at
  end
  return since
end

-- Count a verdict and reverse the one it replaces, as shared.features.verdicts does.
-- Return the new last entry; nil if it is older than the verdict in force, or the same report again.
local function apply_verdict(log, keys, verdict, reported_at, counted)
  local changed = false
  if #log > 0 then
    local before, before_at = unpack_struct('<c1d', log, #log - 16)
    if before_at > reported_at or (before == verdict and before_at == reported_at) then return nil end
    if before == verdict then return pack('<c1dd', verdict, reported_at, -1) end
    if before ~= 'P' then
      count_report(keys, counted_since(log, before) * 1e-6, before == 'F', -1)
      changed = true
    end
  end
  if verdict ~= 'P' then
    count_report(keys, reported_at * 1e-6, verdict == 'F', 1)
    changed = true
  end
  return pack('<c1dd', verdict, reported_at, changed and counted or -1)
end

-- Return the sequence at which a verdict was counted, -1 if it never was.
local function counted_at(log, verdict, reported_at)
  for at = 1, #log, 17 do
    local each, each_at, counted = unpack_struct('<c1dd', log, at)
    if each == verdict and each_at == reported_at then return counted end
  end
  return -1
end

-- record seconds, then EndToEndId, verdict, time of the report in microseconds and keys of each report.
-- Return for each the sequence at which it was counted, -1 if it never was.
local function tell()
  local seconds, counted, logs, replies = ARGV[2], sequence(), {}, {}
  if not counted then return redis.error_reply('EMPTY the store of history has to be filled first') end
  for i = 3, #ARGV, 4 do
    local name, verdict, reported_at = PREFIX .. 's' .. ARGV[i], ARGV[i + 1], tonumber(ARGV[i + 2])
    local log = logs[name] or call('GET', name) or ''
    local entry = apply_verdict(log, ARGV[i + 3], verdict, reported_at, counted)
    logs[name] = log .. (entry or '')
    replies[#replies + 1] = counted_at(logs[name], verdict, reported_at)
  end
  store(seconds)
  for name, log in pairs(logs) do call('SET', name, log, 'EX', seconds) end
  return replies
end

-- record seconds, letter of the layout, keys, records: store records that a replay has computed.
local function fill()
  local seconds, letter, keys, records = unpack(ARGV, 2, 5)
  local count = #keys / 8
  local width = #records / count
  for i = 0, count - 1 do
    local record = string.sub(records, i * width + 1, (i + 1) * width)
    call('SET', PREFIX .. letter .. string.sub(keys, i * 8 + 1, i * 8 + 8), record, 'EX', seconds)
  end
  return count
end

-- record seconds, then EndToEndId and log of each Pix: store the verdict logs of a replay.
local function recall()
  for i = 3, #ARGV, 2 do call('SET', PREFIX .. 's' .. ARGV[i], ARGV[i + 1], 'EX', ARGV[2]) end
  return (#ARGV - 2) / 2
end

-- claim seconds, a claim, then EndToEndIds: store the claim of transactions whose rows are stored.
local function settle()
  for i = 4, #ARGV do call('SET', PREFIX .. CLAIM .. ARGV[i], ARGV[3], 'EX', ARGV[2]) end
  return #ARGV - 3
end

-- Return the number of transactions that this history has counted, 0 for an empty store.
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
  observe = observe, tell = tell, fill = fill, recall = recall, settle = settle, counted = counted, resume = resume,
}
return commands[ARGV[1]]()
