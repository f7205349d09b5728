"""What Redis does with the records of one feed client: scripts, which are atomic there.

All keys of a client have `{client id}` in them and stand on one slot of a cluster:

- `state`      hash: how far each topic has come; what the runs are up to; the latest record behind which one is gone
- `runs`       hash: run id to the array that `domain.feeds.runs.Run` is
- `records:N`  hash: the bulk records of the namespace that the run of place N has begun; -1 is there from the start
- `changed`    hash: the last record of every key that a change has put
- `tombstones` hash: key to the stamp of the change that took it away
- `audit`      list: rows that are not in Postgres yet
- `sources`    hash: who tells changes to `place offset`, the last place that was met of it and where it stands in the
               log; of an upload that has ended also `records rejected`

What one topic says is written beside what the other one says, never over it: `records:N` and the runs follow from the
bulk partition alone, `changed` and `tombstones` from the changes alone. A reader takes of the three the one with the
highest stamp, if it is not below the floor. So it does not matter how far the one topic is ahead of the other.
A stamp is a change's own offset, and for a bulk record the offset at which its run was started, among the changes.
What a source has told already changes nothing when it tells it again, whatever others have said in between.

What is taken out again is only what no reader can come to see any more, whatever is read next.
"""

from __future__ import annotations

from typing import Final

from domain.limits import FEED_UPLOADS_KEPT

APPLIES: Final = "#!lua\n"
"""Redis then refuses the script as a whole where it has no memory left, and not in the middle of it."""
READS: Final = "#!lua flags=no-writes\n"
FREES: Final = "#!lua flags=allow-oom\n"

SHAPES: Final = """
local STATE, RUNS, CHANGED, TOMBSTONES, AUDIT, SOURCES = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]

local function records_of(namespace) return string.gsub(STATE, 'state$', '') .. 'records:' .. namespace end
local function stamp_of(value) return value and struct.unpack('>I8', value) or -1 end
local function stamped(stamp, value) return struct.pack('>I8', stamp) .. value end
local function number(field) return tonumber(redis.call('HGET', STATE, field) or -1) end

local active, floor, erased = number('active'), -1, number('erased')
local function set_floor() floor = math.max(active, erased) end
set_floor()

-- The stamp of the change that stands for the key, and whether it put something there.
local function change_of(key)
  local put = stamp_of(redis.call('HGET', CHANGED, key))
  local gone = tonumber(redis.call('HGET', TOMBSTONES, key) or -1)
  if put > gone then return put, true end
  return gone, false
end

-- The record that a reader sees; nil where there is none.
local function seen(key)
  local change, is_put = change_of(key)
  local loaded = redis.call('HGET', records_of(active), key)
  if not loaded or stamp_of(loaded) < change then
    if not is_put or change < floor then return nil end
    return redis.call('HGET', CHANGED, key)
  end
  if stamp_of(loaded) < floor then return nil end
  return loaded
end

-- A record of this stamp, or what stood beneath it, is gone without a trace: of what was passed over nobody can tell
-- any more whether it was older.
local function note_removal(stamp)
  if stamp > number('removed') then redis.call('HSET', STATE, 'removed', stamp) end
end

-- Whether a record may yet be loaded that is older than the stamp: of the open run, or one that was started only.
local function older_may_come(stamp)
  if redis.call('HGET', STATE, 'undecided') and number('opened') < stamp then return true end
  for since in string.gmatch(redis.call('HGET', STATE, 'started') or '', '(%d+):%S+') do
    if tonumber(since) < stamp then return true end
  end
  return false
end
"""

_APPLY: Final = (
    f"local UPLOADS_KEPT = {FEED_UPLOADS_KEPT}\n"
    + SHAPES
    + """
-- ARGV: 'bulk' or 'changes'; the last offset that was ever applied of the client as far as the caller knows, or 'late'
-- where records are applied that were passed over; partition, generation; the moments of the last record's event and
-- when the batch was begun, in Unix milliseconds; then for each record its offset, its digest, what it is, and four
-- more of its own.
local FIELD, PREVIOUS = ARGV[1], tonumber(ARGV[2])
local late = not PREVIOUS
local position = late and -1 or number(FIELD)
if not late and position < PREVIOUS then return -1 end

-- `marks` are what is no record: a load's beginning and end, an erasure.
local counts = {adds = 0, overwrites = 0, updates = 0, deletes = 0, stale = 0, rejected = 0, marks = 0}
local function count(what) counts[what] = counts[what] + 1 end
-- Lines of uploads that never became records.
local refused = 0

local run = redis.call('HGET', STATE, 'undecided')
local FIGURES = {'since', 'mode', 'status', 'loaded', 'duplicates', 'received', 'rejected', 'next_line', 'reason',
  'digest', 'may_be_resumed'}
local TWO_UPLOADS = 'Two uploads that are not the same came under its name.'

local function run_of(id)
  local text = redis.call('HGET', RUNS, id)
  if not text then return nil end
  local values, figures = cjson.decode(text), {}
  for i, name in ipairs(FIGURES) do figures[name] = values[i] end
  return figures
end

local function keep_run(id, figures)
  local values = {}
  for i, name in ipairs(FIGURES) do values[i] = figures[name] end
  redis.call('HSET', RUNS, id, cjson.encode(values))
end

local function let_start_go(id, below)
  local kept = {}
  for since, started in string.gmatch(redis.call('HGET', STATE, 'started') or '', '(%d+):(%S+)') do
    if started ~= id and tonumber(since) > below then table.insert(kept, since .. ':' .. started) end
  end
  if #kept == 0 then redis.call('HDEL', STATE, 'started')
  else redis.call('HSET', STATE, 'started', table.concat(kept, ' ')) end
end

local current = run and run_of(run)

local function ended(status, reason)
  current.status, current.reason = status, reason
  keep_run(run, current)
  if status ~= 'published' and current.mode == 'replace' then redis.call('UNLINK', records_of(current.since)) end
  redis.call('HDEL', STATE, 'undecided')
  run, current = nil, nil
end

-- Of uploads that have a name only the latest are known, counted as the log has them: so it is the same each time that
-- it is read.
local function let_uploads_go()
  if redis.call('HLEN', SOURCES) < UPLOADS_KEPT then return end
  local uploads, flat = {}, redis.call('HGETALL', SOURCES)
  for at = 1, #flat, 2 do
    if string.find(flat[at], '^upload/') then
      table.insert(uploads, {tonumber(string.match(flat[at + 1], '^%d+ (%d+)')), flat[at]})
    end
  end
  table.sort(uploads, function(one, other) return one[1] > other[1] end)
  for at = UPLOADS_KEPT, #uploads do redis.call('HDEL', SOURCES, uploads[at][2]) end
end

-- Whether the source has told it before; `from` is the place there and the name, or empty. A record that was passed
-- over and is applied late tells its own stamp, and nothing of how far the source is.
local function was_told(offset, from, figures)
  local place, name = string.match(from, '^(%d+) (.+)$')
  if late or not place then return false end
  local known = redis.call('HGET', SOURCES, name)
  if known and tonumber(string.match(known, '^%d+')) >= tonumber(place) then return true end
  if not known then let_uploads_go() end
  redis.call('HSET', SOURCES, name, place .. ' ' .. offset .. (figures or ''))
  return false
end

local does = {}

function does.started(offset, id, mode)
  if offset <= number('opened') or run_of(id) then return end
  local started = redis.call('HGET', STATE, 'started')
  redis.call('HSET', STATE, 'started', (started and started .. ' ' or '') .. offset .. ':' .. id)
end

function does.opened(_, id, mode, since, may_be_resumed)
  since = tonumber(since)
  if run_of(id) then return end
  local fresh = {since = since, mode = mode, status = 'receiving', loaded = 0, duplicates = 0, received = 0,
    rejected = 0, next_line = 1, reason = '', digest = '', may_be_resumed = may_be_resumed == '1'}
  if since <= number('opened') then
    fresh.status = 'superseded'
    keep_run(id, fresh)
    return
  end
  if run then ended('superseded', '') end
  run, current = id, fresh
  keep_run(run, current)
  redis.call('HSET', STATE, 'opened', since, 'undecided', run)
  let_start_go(id, since)
end

function does.loaded(_, id, place, key, value)
  if id ~= run or current.status ~= 'receiving' then return count('stale') end
  local line, digest = string.match(place, '^(%d+) (%x*)$')
  line = tonumber(line)
  if line < current.next_line then
    if line == current.next_line - 1 and digest ~= current.digest then ended('failed', TWO_UPLOADS) end
    return count('stale')
  end
  local since, replaces = current.since, current.mode == 'replace'
  local namespace = records_of(replaces and since or active)
  local before = redis.call('HGET', namespace, key)
  current.next_line, current.loaded, current.digest = line + 1, current.loaded + 1, digest
  if replaces and before then current.duplicates = current.duplicates + 1 end
  local shadowed = change_of(key) > since or since < erased
  local existed
  if replaces then existed = before else existed = seen(key) end
  -- What a change stands over is kept for a run that replaces, so that its figures follow from its lines alone.
  if since >= erased and (replaces or not shadowed) then redis.call('HSET', namespace, key, stamped(since, value)) end
  if shadowed then count('stale') elseif existed then count('overwrites') else count('adds') end
end

function does.received(_, id, received, rejected, digest)
  if id ~= run or current.status ~= 'receiving' then return end
  refused = refused + tonumber(rejected)
  current.status, current.received, current.rejected = 'loading', tonumber(received), tonumber(rejected)
  -- Where none is missing, the last one met was the upload's last one.
  if digest ~= current.digest and current.loaded >= current.received then ended('failed', TWO_UPLOADS) end
end

function does.published(_, id)
  if id ~= run then return end
  if current.mode == 'replace' then
    redis.call('UNLINK', records_of(active))
    active = current.since
    redis.call('HSET', STATE, 'active', active)
    set_floor()
  end
  ended('published', '')
end

function does.failed(_, id, reason, received, rejected)
  if id ~= run then return end
  if current.status == 'receiving' then
    refused = refused + tonumber(rejected)
    current.received, current.rejected = tonumber(received), tonumber(rejected)
  end
  ended('failed', reason)
end

-- Takes the key away. What stood there below the active namespace's floor was never seen in it.
local function remove(offset, key)
  if change_of(key) > offset then return end
  redis.call('HDEL', CHANGED, key)
  local loaded = redis.call('HGET', records_of(active), key)
  if loaded and stamp_of(loaded) > offset then return end
  if loaded then redis.call('HDEL', records_of(active), key) end
  note_removal(offset)
  if older_may_come(offset) then redis.call('HSET', TOMBSTONES, key, offset) end
end

local function put(offset, key, value)
  redis.call('HDEL', TOMBSTONES, key)
  redis.call('HSET', CHANGED, key, stamped(offset, value))
end

-- Whether a reader can see what the change says, now or later; what stands over it may come from the bulk only.
local function stands(offset, key)
  if offset < floor or change_of(key) > offset then return false end
  local loaded = redis.call('HGET', records_of(active), key)
  return not loaded or stamp_of(loaded) < offset
end

-- Whether something behind it may have been taken away that it would bring back.
local function comes_too_late(offset) return late and offset < number('removed') end

function does.put(offset, key, value, _, from)
  if was_told(offset, from) or comes_too_late(offset) or not stands(offset, key) then return count('stale') end
  count(seen(key) and 'overwrites' or 'adds')
  put(offset, key, value)
end

function does.updated(offset, old, key, value, from)
  if was_told(offset, from) or offset < floor then return count('stale') end
  local stood = stands(offset, key) and not comes_too_late(offset)
  if old ~= key then remove(offset, old) end
  if stood then put(offset, key, value) end
  count(stood and 'updates' or 'stale')
end

function does.deleted(offset, key, _, _, from)
  if was_told(offset, from) or not stands(offset, key) then return count('stale') end
  remove(offset, key)
  count('deletes')
end

function does.changes_received(offset, records, rejected, _, from)
  local figures = string.find(from, '^%d+ upload/') and ' ' .. records .. ' ' .. rejected
  if was_told(offset, from, figures) then return end
  refused = refused + tonumber(rejected)
end

function does.erased(offset)
  redis.call('UNLINK', CHANGED, TOMBSTONES)
  erased = offset
  redis.call('HSET', STATE, 'erased', erased)
  set_floor()
  if number('opened') < offset then
    redis.call('UNLINK', records_of(active))
    if run then redis.call('UNLINK', records_of(current.since)) end
  end
end

function does.rejected() count('rejected') end

local IS_RECORD = {loaded = true, put = true, updated = true, deleted = true, rejected = true}
local first, last
local digests = {}
for at = 7, #ARGV, 7 do
  local offset, what = tonumber(ARGV[at]), ARGV[at + 2]
  if offset > position then
    does[what](offset, ARGV[at + 3], ARGV[at + 4], ARGV[at + 5], ARGV[at + 6])
    if not IS_RECORD[what] then count('marks') end
    table.insert(digests, ARGV[at + 1])
    first, last, position = first or offset, offset, offset
  end
end
if not first then return 0 end
if run then keep_run(run, current) end
if late then return #ARGV end
redis.call('HSET', STATE, FIELD, position)
local now = redis.call('TIME')
local row = {topic = FIELD, partition = tonumber(ARGV[3]), generation = tonumber(ARGV[4]), at = tonumber(ARGV[5]),
  started = tonumber(ARGV[6]), finished = now[1] * 1000 + math.floor(now[2] / 1000), first_offset = first,
  last_offset = last, refused = refused, digest = redis.sha1hex(table.concat(digests))}
local sum = 0
for what, figure in pairs(counts) do
  row[what] = figure
  sum = sum + figure
end
redis.call('RPUSH', AUDIT, cjson.encode(row))
return sum
"""
)
APPLY: Final = APPLIES + _APPLY
"""Answers a number, which is -1 where nothing was done because the client's state is older than the caller knows it."""
APPLY_WHEN_FULL: Final = FREES + _APPLY
"""The same for what puts no record anywhere: it makes room, and is not refused for lack of it."""

LOOK_UP: Final = (
    READS
    + SHAPES
    + """
-- ARGV: record keys. Answers their values, each with its stamp in front.
local found = {}
for i, key in ipairs(ARGV) do found[i] = seen(key) or false end
return found
"""
)

LOOK_UP_IN_PLACE: Final = (
    READS
    + SHAPES
    + """
-- The same, behind how far each topic has been read of the client: the bulk, then the changes; -1 for not at all.
local found = {number('bulk'), number('changes')}
for i, key in ipairs(ARGV) do found[i + 2] = seen(key) or false end
return found
"""
)

TIDY: Final = (
    FREES
    + SHAPES
    + """
-- ARGV: 'changed', 'tombstones', 'records' or 'runs'; cursor; how many; the present in Unix milliseconds. Answers the
-- cursor. Takes out what nobody can see any more: what is below the floor, what has expired, and tombstones without a
-- use; and of the runs all but the latest, so many as that.
if ARGV[1] == 'runs' then
  local kept = tonumber(ARGV[3])
  if redis.call('HLEN', RUNS) <= kept then return '0' end
  local undecided, runs, flat = redis.call('HGET', STATE, 'undecided'), {}, redis.call('HGETALL', RUNS)
  for at = 1, #flat, 2 do
    if flat[at] ~= undecided then table.insert(runs, {cjson.decode(flat[at + 1])[1], flat[at]}) end
  end
  table.sort(runs, function(one, other) return one[1] > other[1] end)
  for at = kept + 1, #runs do redis.call('HDEL', RUNS, runs[at][2]) end
  return '0'
end
local PLACES = {changed = CHANGED, tombstones = TOMBSTONES, records = records_of(active)}
local place, now = PLACES[ARGV[1]], tonumber(ARGV[4])
local answer = redis.call('HSCAN', place, ARGV[2], 'COUNT', ARGV[3])
for at = 1, #answer[2], 2 do
  local key, value = answer[2][at], answer[2][at + 1]
  if place == TOMBSTONES then
    local stamp = tonumber(value)
    local loaded = redis.call('HGET', records_of(active), key)
    if stamp < floor then redis.call('HDEL', place, key)
    elseif not older_may_come(stamp) then
      if loaded and stamp_of(loaded) < stamp then redis.call('HDEL', records_of(active), key) end
      redis.call('HDEL', place, key)
    end
  else
    local stamp, expiry = struct.unpack('>I8I8', value)
    local loaded = place == CHANGED and redis.call('HGET', records_of(active), key)
    if stamp < floor or loaded and stamp_of(loaded) > stamp then redis.call('HDEL', place, key)
    -- Not one that changes are still to be read which it stands over.
    elseif expiry > 0 and expiry <= now and number('changes') >= stamp then
      redis.call('HDEL', place, key)
      note_removal(stamp)
      -- It may be all that stands between a reader and an older record: that stays away.
      if place == CHANGED then redis.call('HSET', TOMBSTONES, key, stamp)
      elseif stamp_of(redis.call('HGET', CHANGED, key)) < stamp then redis.call('HDEL', CHANGED, key) end
    end
  end
end
return answer[1]
"""
)

COUNT: Final = (
    READS
    + SHAPES
    + """
-- ARGV: 'changed' or 'tombstones'; cursor; how many. Answers the cursor, and how many records a reader sees more, or
-- fewer, than `records:<active>` has, by that part of the keys.
local place = ARGV[1] == 'changed' and CHANGED or TOMBSTONES
local answer = redis.call('HSCAN', place, ARGV[2], 'COUNT', ARGV[3])
local more = 0
for at = 1, #answer[2], 2 do
  local key = answer[2][at]
  local is_loaded = redis.call('HEXISTS', records_of(active), key) == 1
  -- One that is in both is counted with the changed ones.
  if place == CHANGED or redis.call('HEXISTS', CHANGED, key) == 0 then
    more = more + (seen(key) and 1 or 0) - (is_loaded and 1 or 0)
  end
end
return {answer[1], more, redis.call('HLEN', records_of(active))}
"""
)

WRITTEN: Final = (
    FREES
    + """
-- KEYS[1]: a list of rows of the audit. ARGV: rows that are written elsewhere by now.
for _, row in ipairs(ARGV) do redis.call('LREM', KEYS[1], 1, row) end
return 1
"""
)

DROP: Final = (
    FREES
    + SHAPES
    + """
redis.call('UNLINK', records_of(active), records_of(number('opened')), unpack(KEYS))
return 1
"""
)
"""Forgets the client."""
