"""What Redis does with the records of one feed client: scripts, which are atomic there.

All keys of a client have `{client id}` in them and stand on one slot of a cluster:

- `state`      hash: how far each topic has come; what the runs are up to, and which was begun last; the latest record
               behind which one is gone
- `runs`       hash: run id to the array that `domain.feeds.runs.Run` is
- `records:N`  hash: the bulk records of the namespace that the run of place N has begun; -1 is there from the start
- `changed`    hash: the last record of every key that a change has put
- `tombstones` hash: key to the stamp of the change that took it away
- `audit`      list: rows that are not in Postgres yet
- `started`    sorted set: the runs that the changes tell of and the bulk topic does not yet, by their place
- `sources`    hash: who tells changes to `place offset`, the last place that was met of it and where it stands in the
               log; of an upload that has ended also `records rejected digest`

What one topic says is written beside what the other one says, never over it: `records:N` and the runs follow from the
bulk partition alone, `changed` and `tombstones` from the changes alone. A reader takes of the three the one with the
highest stamp, if it is not below the floor. So it does not matter how far the one topic is ahead of the other.
A stamp is a change's own offset, and for a bulk record the offset at which its run was started, among the changes.
What a source has told already changes nothing when it tells it again, whatever others have said in between.

What is taken out again is only what no reader can come to see any more, whatever is read next.
"""

from __future__ import annotations

from typing import Final

from domain.limits import FEED_RUNS_KEPT, FEED_RUNS_KEPT_MAX, FEED_UPLOADS_KEPT, FEED_UPLOADS_KEPT_MAX

APPLIES: Final = "#!lua\n"
"""Redis then refuses the script as a whole where it has no memory left, and not in the middle of it."""
FREES: Final = "#!lua flags=allow-oom\n"

SHAPES: Final = """
local STATE, RUNS, CHANGED, TOMBSTONES, AUDIT, SOURCES, STARTED = unpack(KEYS)
local RECORDS = string.gsub(STATE, 'state$', '') .. 'records:'

local function records_of(namespace) return RECORDS .. namespace end
-- Of what is too short to have one, which only damage makes, the oldest: whatever comes stands over it.
local function stamp_of(value) return value and (#value < 8 and 0 or struct.unpack('>I8', value)) or -1 end
local function stamped(stamp, value) return struct.pack('>I8', stamp) .. value end
local function number(field) return tonumber(redis.call('HGET', STATE, field) or -1) end

-- Once a client is erased nothing stands, also what was on its way to the log when that was told there.
local active, is_erased = number('active'), number('erased') >= 0
local floor, standing
local function set_floor() floor, standing = is_erased and math.huge or active, records_of(active) end
set_floor()

-- Of what `changed` and `tombstones` have under a key: the stamp of the change that stands for it, and whether that put
-- something there.
local function change_of(put, gone)
  local put_at, gone_at = stamp_of(put), tonumber(gone or -1)
  if put_at > gone_at then return put_at, true end
  return gone_at, false
end

-- Of what these two and the active namespace have under a key: the record that a reader sees; nil where there is none.
local function visible(put, gone, loaded)
  local change, is_put = change_of(put, gone)
  if not loaded or stamp_of(loaded) < change then
    if not is_put or change < floor then return nil end
    return put
  end
  if stamp_of(loaded) < floor then return nil end
  return loaded
end

local function seen(key)
  local put, gone = redis.call('HGET', CHANGED, key), redis.call('HGET', TOMBSTONES, key)
  return visible(put, gone, redis.call('HGET', standing, key))
end

-- A record of this stamp, or what stood beneath it, is gone without a trace: of what was passed over nobody can tell
-- any more whether it was older.
local function note_removal(stamp)
  if stamp > number('removed') then redis.call('HSET', STATE, 'removed', stamp) end
end

-- Whether a record may yet be loaded that is older than the stamp: of the open run, or one that was started only.
local function older_may_come(stamp)
  if redis.call('HGET', STATE, 'undecided') and number('opened') < stamp then return true end
  local oldest = redis.call('ZRANGE', STARTED, 0, 0, 'WITHSCORES')[2]
  return oldest ~= nil and tonumber(oldest) < stamp
end
"""

_APPLY: Final = (
    f"local RUNS_KEPT, RUNS_KEPT_MAX = {FEED_RUNS_KEPT}, {FEED_RUNS_KEPT_MAX}\n"
    f"local UPLOADS_KEPT, UPLOADS_KEPT_MAX = {FEED_UPLOADS_KEPT}, {FEED_UPLOADS_KEPT_MAX}\n"
    + SHAPES
    + """
-- ARGV: 'bulk' or 'changes'; the last offset that was ever applied of the client as far as the caller knows, or 'late'
-- where records are applied that were passed over; partition, generation; the moments of the last record's event and
-- when the batch was begun, in Unix milliseconds; the digests of all records in one, and their values; then, as one
-- array of MessagePack, what `feed_told.py` makes of them. So few because hundreds would take longer than what
-- is done with them.
local FIELD, PREVIOUS, DIGESTS, VALUES = ARGV[1], tonumber(ARGV[2]), ARGV[7], ARGV[8]
local TOLD = cmsgpack.unpack(ARGV[9])
local late = not PREVIOUS
local position = late and -1 or number(FIELD)
if not late and position < PREVIOUS then return -1 end

-- `marks` are what is no record: a load's beginning and end, an erasure.
local counts = {adds = 0, overwrites = 0, updates = 0, deletes = 0, stale = 0, rejected = 0, marks = 0}
local function count(what) counts[what] = counts[what] + 1 end
-- Lines of uploads that never became records.
local refused = 0

local first, last
local passed, value_at = 0, 1

local function next_value(length)
  value_at = value_at + length
  return string.sub(VALUES, value_at - length, value_at - 1)
end

-- Whether the record is still to be applied; from now on it is.
local function is_new(offset)
  if offset <= position then
    passed = passed + 1
    return false
  end
  first, last, position = first or offset, offset, offset
  return true
end

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

-- Of runs and of uploads with a name only the latest are known, counted as the log has them: so they are the same ones
-- each time that it is read. They go many at once, for to look for the oldest takes a while.
local function let_go(place, kept, found)
  table.sort(found, function(one, other)
    return one[1] > other[1] or one[1] == other[1] and one[2] > other[2]
  end)
  for at = kept + 1, #found do redis.call('HDEL', place, found[at][2]) end
end

-- The one that is open is the latest.
local function let_runs_go()
  if redis.call('HLEN', RUNS) < RUNS_KEPT_MAX then return end
  local runs, flat = {}, redis.call('HGETALL', RUNS)
  for at = 1, #flat, 2 do table.insert(runs, {cjson.decode(flat[at + 1])[1], flat[at]}) end
  let_go(RUNS, RUNS_KEPT, runs)
end

-- A place that is known to be empty is not asked for each key: to ask is what takes the time here.
local is_empty = {}
local function has_nothing(place)
  if is_empty[place] == nil then is_empty[place] = redis.call('EXISTS', place) == 0 end
  return is_empty[place]
end
local function get(place, key) return not has_nothing(place) and redis.call('HGET', place, key) end
local function get_all(place, keys) return has_nothing(place) and {} or redis.call('HMGET', place, unpack(keys)) end
local function set(place, ...)
  is_empty[place] = false
  return redis.call('HSET', place, ...)
end
local function under(key) return get(CHANGED, key), get(TOMBSTONES, key), get(standing, key) end

local current = run and run_of(run)

local function ended(status, reason)
  current.status, current.reason = status, reason
  keep_run(run, current)
  if status ~= 'published' and current.mode == 'replace' then redis.call('UNLINK', records_of(current.since)) end
  redis.call('HDEL', STATE, 'undecided')
  run, current = nil, nil
end

-- What was met of sources in this batch is kept at its end.
local told = {}
local function keep_told()
  for name, known in pairs(told) do redis.call('HSET', SOURCES, name, known) end
  told = {}
end
local function let_uploads_go()
  keep_told()
  if redis.call('HLEN', SOURCES) < UPLOADS_KEPT_MAX then return end
  local uploads, flat = {}, redis.call('HGETALL', SOURCES)
  for at = 1, #flat, 2 do
    if string.find(flat[at], '^upload/') then
      table.insert(uploads, {tonumber(string.match(flat[at + 1], '^%d+ (%d+)')), flat[at]})
    end
  end
  let_go(SOURCES, UPLOADS_KEPT, uploads)
end

-- Whether the source has told it before; `from` is the place there and the name, or empty. A record that was passed
-- over and is applied late tells its own stamp, and nothing of how far the source is.
local function was_told(offset, from, figures)
  local place, name = string.match(from, '^(%d+) (.+)$')
  if late or not place then return false end
  local known = told[name] or redis.call('HGET', SOURCES, name)
  if known and tonumber(string.match(known, '^%d+')) >= tonumber(place) then return true end
  if not known then let_uploads_go() end
  told[name] = place .. ' ' .. offset .. (figures or '')
  return false
end

local does = {}

function does.started(offset, id)
  if offset <= number('opened') or run_of(id) then return end
  redis.call('ZADD', STARTED, 'NX', offset, id)
end

function does.opened(_, id, mode, since, may_be_resumed)
  since = tonumber(since)
  if run_of(id) then return end
  local fresh = {since = since, mode = mode, status = 'receiving', loaded = 0, duplicates = 0, received = 0,
    rejected = 0, next_line = 1, reason = '', digest = '', may_be_resumed = may_be_resumed == 1}
  if since <= number('opened') then
    fresh.status = 'superseded'
    keep_run(id, fresh)
    return let_runs_go()
  end
  if run then ended('superseded', '') end
  run, current = id, fresh
  keep_run(run, current)
  let_runs_go()
  redis.call('HSET', STATE, 'opened', since, 'undecided', run, 'latest', run)
  redis.call('ZREM', STARTED, id)
  redis.call('ZREMRANGEBYSCORE', STARTED, '-inf', since)
end

local function is_any(found, count)
  for i = 1, count do
    if found[i] then return true end
  end
  return false
end

-- What nobody has changed: then Redis counts itself what is new, and nothing has to be looked up.
local function put_unchanged(namespace, keys, values)
  local stamp, flat = stamped(current.since, ''), {}
  for i, key in ipairs(keys) do flat[2 * i - 1], flat[2 * i] = key, stamp .. values[i] end
  local fresh = set(namespace, unpack(flat))
  local again = #keys - fresh
  counts.adds, counts.overwrites = counts.adds + fresh, counts.overwrites + again
  if current.mode == 'replace' then current.duplicates = current.duplicates + again end
end

local function put_changed(namespace, keys, values, puts, gones)
  local since, replaces = current.since, current.mode == 'replace'
  local loaded, stamp, met, kept = get_all(namespace, keys), stamped(since, ''), {}, {}
  for i, key in ipairs(keys) do
    local before, put, gone = met[key] or loaded[i], puts[i], gones[i]
    if replaces and before then current.duplicates = current.duplicates + 1 end
    local shadowed = change_of(put, gone) > since
    local existed = before
    if not replaces then existed = visible(put, gone, before) end
    -- What a change stands over is kept for a run that replaces, so that its figures follow from its lines alone.
    if replaces or not shadowed then
      met[key] = stamp .. values[i]
      kept[#kept + 1] = key
      kept[#kept + 1] = met[key]
    end
    if shadowed then count('stale') elseif existed then count('overwrites') else count('adds') end
  end
  if #kept > 0 then set(namespace, unpack(kept)) end
end

-- Records of the open run that follow each other.
local function put_loaded(keys, values)
  if #keys == 0 then return end
  if is_erased then
    counts.stale = counts.stale + #keys
    return
  end
  local namespace = current.mode == 'replace' and records_of(current.since) or standing
  local puts, gones = get_all(CHANGED, keys), get_all(TOMBSTONES, keys)
  if is_any(puts, #keys) or is_any(gones, #keys) then
    return put_changed(namespace, keys, values, puts, gones)
  end
  put_unchanged(namespace, keys, values)
end

-- What comes late, and what stands over it may be gone without a trace: nothing is done, for nobody knows whether it
-- counts, and the first such offset is answered.
local too_late = -1
local function comes_too_late(offset)
  if too_late < 0 then too_late = offset end
end

-- By the run's place alone, for which line it was that stands under the key is not known any more.
local function load_late(offset, id, line, key, digest, value)
  local figures = id == run and current or run_of(id)
  if not figures then return comes_too_late(offset) end
  local since, replaces, status = figures.since, figures.mode == 'replace', figures.status
  if since < floor or replaces and (status == 'failed' or status == 'superseded') then return end
  local namespace, record = replaces and records_of(since) or standing, stamped(since, value)
  local put, gone = under(key)
  local loaded = get(namespace, key)
  if change_of(put, gone) > since or stamp_of(loaded) > since or loaded == record then return end
  if loaded and stamp_of(loaded) == since or since <= number('removed') then return comes_too_late(offset) end
  set(namespace, key, record)
  figures.loaded = figures.loaded + 1
  -- The upload's end names the digest of its last line.
  if line >= figures.next_line then figures.next_line, figures.digest = line + 1, digest end
  keep_run(id, figures)
end

-- The next line of the open run, or one that was met before.
local function load_next(line, key, digest, value, keys, values)
  if line >= current.next_line then
    current.next_line, current.loaded, current.digest = line + 1, current.loaded + 1, digest
    keys[#keys + 1], values[#values + 1] = key, value
    return
  end
  if line == current.next_line - 1 and digest ~= current.digest then
    put_loaded(keys, values)
    ended('failed', TWO_UPLOADS)
  end
  count('stale')
end

-- Records of one run that follow each other: all but the run are arrays.
local function load_run(offsets, id, lines, names, digests, lengths)
  local keys, values = {}, {}
  for i, offset in ipairs(offsets) do
    local value = next_value(lengths[i])
    if is_new(offset) then
      if late then
        load_late(offset, id, lines[i], names[i], digests[i], value)
      elseif id == run and current.status == 'receiving' then
        load_next(lines[i], names[i], digests[i], value, keys, values)
      else
        count('stale')
      end
    end
  end
  if run == id then put_loaded(keys, values) end
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

-- One that was started and never opened, so that nobody loses anything by it; what comes of it later is passed over.
local function fail_unopened(id, reason)
  if late or run_of(id) then return end
  redis.call('ZREM', STARTED, id)
  keep_run(id, {since = -1, mode = 'merge', status = 'failed', loaded = 0, duplicates = 0, received = 0, rejected = 0,
    next_line = 1, reason = reason, digest = '', may_be_resumed = false})
end

function does.failed(_, id, reason, received, rejected)
  if id ~= run then return fail_unopened(id, reason) end
  if current.status == 'receiving' then
    refused = refused + tonumber(rejected)
    current.received, current.rejected = tonumber(received), tonumber(rejected)
  end
  ended('failed', reason)
end

-- Takes the key away. What stood there below the active namespace's floor was never seen in it.
local function remove(offset, key)
  local put, gone, loaded = under(key)
  if change_of(put, gone) > offset then return end
  if put then redis.call('HDEL', CHANGED, key) end
  if loaded and stamp_of(loaded) > offset then return end
  if loaded then redis.call('HDEL', standing, key) end
  note_removal(offset)
  if older_may_come(offset) then set(TOMBSTONES, key, offset) end
end

-- Whether a reader can see what the change says, now or later; what stands over it may come from the bulk only.
local function stands(offset, put, gone, loaded)
  if offset < floor or change_of(put, gone) > offset then return false end
  return not loaded or stamp_of(loaded) < offset
end

-- Whether something behind it may have been taken away that it would bring back.
local function may_bring_back(offset, put)
  return late and offset < number('removed') and stamp_of(put) ~= offset
end

local function put(offset, key, value, gone)
  if gone then redis.call('HDEL', TOMBSTONES, key) end
  set(CHANGED, key, stamped(offset, value))
end

function does.put(offset, key, _, _, from, value)
  if was_told(offset, from) then return count('stale') end
  local before, gone, loaded = under(key)
  if not stands(offset, before, gone, loaded) then return count('stale') end
  if may_bring_back(offset, before) then return comes_too_late(offset) end
  count(visible(before, gone, loaded) and 'overwrites' or 'adds')
  put(offset, key, value, gone)
end

function does.updated(offset, old, key, _, from, value)
  if was_told(offset, from) or offset < floor then return count('stale') end
  local before, gone, loaded = under(key)
  local stood = stands(offset, before, gone, loaded)
  if stood and may_bring_back(offset, before) then return comes_too_late(offset) end
  if old ~= key then remove(offset, old) end
  if stood then put(offset, key, value, gone) end
  count(stood and 'updates' or 'stale')
end

function does.deleted(offset, key, _, _, from)
  if was_told(offset, from) or not stands(offset, under(key)) then return count('stale') end
  remove(offset, key)
  count('deletes')
end

function does.changes_received(offset, records, rejected, digest, from)
  local figures = string.find(from, '^%d+ upload/') and table.concat({'', records, rejected, digest}, ' ')
  if was_told(offset, from, figures) then return end
  refused = refused + tonumber(rejected)
end

function does.erased(offset)
  redis.call('UNLINK', CHANGED, TOMBSTONES, standing)
  if run then redis.call('UNLINK', records_of(current.since)) end
  redis.call('HSET', STATE, 'erased', offset)
  is_erased = true
  set_floor()
end

function does.rejected() count('rejected') end

local IS_RECORD = {put = true, updated = true, deleted = true, rejected = true}
for at = 1, #TOLD, 7 do
  local offset, what = TOLD[at], TOLD[at + 1]
  if what == 'loaded' then
    load_run(offset, unpack(TOLD, at + 2, at + 6))
  else
    local value = next_value(TOLD[at + 6])
    if is_new(offset) then
      does[what](offset, TOLD[at + 2], TOLD[at + 3], TOLD[at + 4], TOLD[at + 5], value)
      if not IS_RECORD[what] then count('marks') end
    end
  end
end
if not first then return late and -1 or 0 end
keep_told()
if run then keep_run(run, current) end
if late then return too_late end
redis.call('HSET', STATE, FIELD, position)
local now = redis.call('TIME')
local row = {topic = FIELD, partition = tonumber(ARGV[3]), generation = tonumber(ARGV[4]), at = tonumber(ARGV[5]),
  started = tonumber(ARGV[6]), finished = now[1] * 1000 + math.floor(now[2] / 1000), first_offset = first,
  last_offset = last, refused = refused, digest = redis.sha1hex(string.sub(DIGESTS, passed * 32 + 1))}
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
"""Answers a number, which is -1 where nothing was done because the client's state is older than the caller knows it.

Of what comes late it answers the first offset that was not applied, for nobody knows what stood over it, or -1.
"""
APPLY_WHEN_FULL: Final = FREES + _APPLY
"""The same for what puts no record anywhere: it makes room, and is not refused for lack of it."""
