"""The scripts that change claims in Redis: each is one step, of which nobody sees a half.

``KEYS[1]`` is ``dedupe:{actionId}``. Its value has the state of the claims, the number of buckets (0 until something is
claimed) and the generation: ``OPEN 500000 1``. ``KEYS[2]`` is ``dedupe:expiry``. The states of version 0.1 are in small
letters: here they count as released, and its workers in turn claim nothing where they find one in capitals.

A Redis that is full refuses what needs memory, but never to a script that has written already. So a claim begins with a
small write, with which the whole chunk is taken or refused; and what gives memory back begins with a deletion.
"""

from __future__ import annotations

_STATE = r"""
local function read(action)
  local value = redis.call('GET', action)
  if not value then return nil, 0, '0' end
  local state, buckets, generation = string.match(value, '^(%u+) (%d+) (%d+)$')
  if not state then return 'RELEASED', 0, '0' end
  return state, tonumber(buckets), generation
end
local function write(action, state, buckets, generation, ...)
  redis.call('SET', action, state .. ' ' .. buckets .. ' ' .. generation, ...)
end
local function replace(action, ...)
  redis.call('DEL', action)
  write(action, ...)
end
local function hash_of(action, generation)
  return action .. ':claims:' .. generation
end
local function keep(action, expiry, seconds)
  redis.call('ZADD', expiry, redis.call('TIME')[1] + seconds, action)
end
"""

#: Claim key values for rows. A row has several, of which it gets all or none.
#:
#: It takes some rows at a time, so that what it reads is still in the processor's cache when it writes that back: for
#: a whole chunk at once it would need twice the time.
#:
#: ARGV: seconds to live; the state that the claims must have; the number of buckets; values per row; values at a time;
#: for each such group a byte, 1 if two of its values have the same bucket, else 0; and for each value its bucket (4
#: bytes), its digest (12) and its row (4).
#:
#: Returns for the rows that own nothing their position and the number of the owner, 4 bytes each; or the number of
#: buckets, if that is another; or nothing, if the claims have another state.
CLAIM = (
    _STATE
    + r"""
local ENTRY = 16
local find, sub, rep, unpack_bytes = string.find, string.sub, string.rep, struct.unpack

local function split(bytes, format, at)
  local parts = {unpack_bytes(format, bytes, at)}
  parts[#parts] = nil  -- where the next one would begin
  return parts
end

local function owner_in(bucket, digest)
  local at = find(bucket, digest, 1, true)
  while at and at % ENTRY ~= 1 do at = find(bucket, digest, at + 1, true) end
  return at and sub(bucket, at + 12, at + 15)
end

-- The usual case, values that are all new. Returns fields and buckets to write; nothing where it is another case.
local function all_new(fields, digests, rows, stored)
  local written, n = {}, 0
  for i = 1, #fields do
    local bucket, digest = stored[i], digests[i]
    if not bucket then
      bucket = digest .. rows[i]
    elseif find(bucket, digest, 1, true) then
      return nil
    else
      bucket = bucket .. digest .. rows[i]
    end
    n = n + 2
    written[n - 1], written[n] = fields[i], bucket
  end
  return written
end

-- Row by row. Returns fields and buckets to write, and adds the rows that own nothing to taken.
local function one_by_one(fields, digests, rows, stored, width, skipped, taken)
  local changed = {}
  local function bucket_of(i) return changed[fields[i]] or stored[i] or '' end
  for first = 1, #fields, width do
    local row, last, owner = rows[first], first + width - 1, nil
    for i = first, last do
      local other = owner_in(bucket_of(i), digests[i])
      if other and other ~= row then
        other = unpack_bytes('<I4', other)
        if not owner or other < owner then owner = other end
      end
    end
    if owner then
      taken[#taken + 1] = struct.pack('<I4I4', skipped + (first - 1) / width, owner)
    else
      for i = first, last do
        local bucket = bucket_of(i)
        if not owner_in(bucket, digests[i]) then changed[fields[i]] = bucket .. digests[i] .. row end
      end
    end
  end
  local written = {}
  for field, bucket in pairs(changed) do
    written[#written + 1] = field
    written[#written + 1] = bucket
  end
  return written
end

local action, allowed, wanted = KEYS[1], ARGV[2], tonumber(ARGV[3])
local width, at_once, shared = tonumber(ARGV[4]), tonumber(ARGV[5]), ARGV[6]
local all_fields, all_digests, all_rows = ARGV[7], ARGV[8], ARGV[9]
local state, buckets, generation = read(action)
if not state and allowed == 'OPEN' then state, generation = 'OPEN', '1' end
if state ~= allowed and not (state == 'OPEN' and allowed == 'CLOSED') then return false end
if buckets == 0 then
  write(action, state, wanted, generation)
elseif buckets ~= wanted then
  return buckets
end
keep(action, KEYS[2], ARGV[1])

local hash, taken = hash_of(action, generation), {}
local count, now, four_bytes, twelve_bytes = #all_rows / 4, 0, '', ''
for before = 0, count - 1, at_once do
  if now ~= math.min(at_once, count - before) then
    now = math.min(at_once, count - before)
    four_bytes, twelve_bytes = rep('c4', now), rep('c12', now)
  end
  local fields = split(all_fields, four_bytes, before * 4 + 1)
  local digests = split(all_digests, twelve_bytes, before * 12 + 1)
  local rows = split(all_rows, four_bytes, before * 4 + 1)
  local stored = redis.call('HMGET', hash, unpack(fields))
  local written = string.byte(shared, before / at_once + 1) == 0 and all_new(fields, digests, rows, stored)
    or one_by_one(fields, digests, rows, stored, width, before / width, taken)
  if #written > 0 then redis.call('HSET', hash, unpack(written)) end
end
return table.concat(taken)
"""
)

#: Forget the claims. What is left behind stops a worker that slept through the end of the action from claiming anew.
#: ARGV: seconds for which that stays; `OLD` if only claims are meant whose time is over: since they were found,
#: somebody may have claimed again, or begun to rebuild them.
RELEASE = (
    _STATE
    + """
if ARGV[2] == 'OLD' then
  local expiry = redis.call('ZSCORE', KEYS[2], KEYS[1])
  if not expiry or tonumber(expiry) > tonumber(redis.call('TIME')[1]) then return end
end
local _, _, generation = read(KEYS[1])
redis.call('UNLINK', hash_of(KEYS[1], generation))
replace(KEYS[1], 'RELEASED', 0, generation, 'EX', ARGV[1])
redis.call('ZREM', KEYS[2], KEYS[1])
"""
)

#: From one state to another: ARGV are the first, the second, and if need be the generation; tells whether it is there.
MOVE = (
    _STATE
    + """
local state, buckets, generation = read(KEYS[1])
if not state or (ARGV[3] and ARGV[3] ~= generation) then return 0 end
if state == ARGV[1] then
  replace(KEYS[1], ARGV[2], buckets, generation)
  return 1
end
return state == ARGV[2] and 1 or 0
"""
)

#: Where nothing was claimed, nothing may be from now on. ARGV: seconds for which that is remembered.
CLOSE = (
    _STATE
    + """
local state, buckets, generation = read(KEYS[1])
if not state then
  replace(KEYS[1], 'RELEASED', 0, generation, 'EX', ARGV[1])
elseif state == 'OPEN' then
  replace(KEYS[1], 'CLOSED', buckets, generation)
end
"""
)

#: Begin claims anew. ARGV: seconds to live. Returns the generation.
BEGIN_REBUILD = (
    _STATE
    + """
local _, _, generation = read(KEYS[1])
write(KEYS[1], 'REBUILDING', 0, generation + 1)
keep(KEYS[1], KEYS[2], ARGV[1])
redis.call('UNLINK', hash_of(KEYS[1], generation))
return generation + 1
"""
)
