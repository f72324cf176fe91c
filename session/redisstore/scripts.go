package redisstore

import "github.com/redis/go-redis/v9"

// Each script may run twice without harm, when the answer to the first run is lost (RED-01). Of deleteScript the second
// run finds nothing, so that nobody gets the record.
var (
	// KEYS: rec, act, dead. ARGV: version, sealed, meta, ms to keep them, time of activity, ms to keep it. A tombstone
	// keeps it from bringing back a session that has ended since the first run.
	createScript = redis.NewScript(`
local old = redis.call('HMGET', KEYS[1], 'v', 's')
if old[1] then
  return old[1] == ARGV[1] and old[2] == ARGV[2] and 1 or 0
end
if redis.call('GET', KEYS[3]) then return 0 end
redis.call('HSET', KEYS[1], 'v', ARGV[1], 's', ARGV[2], 'm', ARGV[3])
redis.call('PEXPIRE', KEYS[1], ARGV[4])
redis.call('SET', KEYS[2], ARGV[5], 'PX', ARGV[6])
return 1`)

	// KEYS: index. ARGV: id, ms to keep it. The entries are scored with their end by the server's clock; those past
	// it make room.
	indexScript = redis.NewScript(`
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[1])
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[2]) then
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
end
return 1`)

	// KEYS: rec. ARGV: old version, new version, sealed, channel, id. Returns 1, -1 for no record, 0 for another
	// version.
	updateScript = redis.NewScript(`
local old = redis.call('HMGET', KEYS[1], 'v', 's')
if not old[1] then return -1 end
if old[1] == ARGV[2] and old[2] == ARGV[3] then return 1 end
if old[1] ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'v', ARGV[2], 's', ARGV[3])
redis.call('PUBLISH', ARGV[4], ARGV[5])
return 1`)

	// KEYS: rec, act, dead. ARGV: reason, ms to keep it, channel, id. Returns version, sealed and meta. DEL comes first:
	// a server without free memory refuses a script that begins with SET, and sessions must end there too.
	deleteScript = redis.NewScript(`
local old = redis.call('HMGET', KEYS[1], 'v', 's', 'm')
redis.call('DEL', KEYS[1], KEYS[2])
redis.call('SET', KEYS[3], ARGV[1], 'PX', ARGV[2], 'NX')
redis.call('PUBLISH', ARGV[3], ARGV[4])
return old`)

	// KEYS: lease, work. ARGV: owner, ms, ms to remember the owner. Returns 1, 3 (it was abandoned), or 0 (another has
	// it) or 2 (it rests) and the ms left.
	acquireScript = redis.NewScript(`
local holder = redis.call('GET', KEYS[1])
if not holder or holder == ARGV[1] then
  local last = redis.call('GET', KEYS[2])
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
  redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[3])
  return {last and last ~= ARGV[1] and 3 or 1, 0}
end
return {holder == '' and 2 or 0, redis.call('PTTL', KEYS[1])}`)

	// KEYS: lease, work. ARGV: owner, ms, ms to remember the owner.
	renewScript = redis.NewScript(`
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[3])
return 1`)

	// KEYS: lease, work. ARGV: owner, ms to rest, channel, id.
	releaseScript = redis.NewScript(`
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('DEL', KEYS[2])
if tonumber(ARGV[2]) > 0 then
  redis.call('SET', KEYS[1], '', 'PX', ARGV[2])
else
  redis.call('DEL', KEYS[1])
end
redis.call('PUBLISH', ARGV[3], ARGV[4])
return 1`)

	// KEYS: once. ARGV: the caller's mark, ms.
	consumeScript = redis.NewScript(`
if redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2], 'NX') then return 1 end
return redis.call('GET', KEYS[1]) == ARGV[1] and 1 or 0`)

	// KEYS: gone. ARGV: ms, ms to keep it. The latest time stays.
	buryScript = redis.NewScript(`
local at = redis.call('GET', KEYS[1])
local old = tonumber(at)
if not old or old < tonumber(ARGV[1]) then at = ARGV[1] end
redis.call('SET', KEYS[1], at, 'PX', ARGV[2])
return 1`)
)
