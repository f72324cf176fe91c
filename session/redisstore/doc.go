// Package redisstore keeps sessions in Redis (6.2 or newer), for any number of replicas of the gateway: in one server,
// in a primary that Sentinels watch, or in a Cluster. A [URL] says which.
//
// Under the prefix "cloakroom:" it has
//
//	rec:{id}    hash: version, sealed record, and in clear what listing and logout need
//	act:{id}    time of the last activity, Unix milliseconds
//	lease:{id}  owner of the refresh lease; empty while the session rests after a failed refresh
//	work:{id}   who had the lease last and has not released it
//	dead:{id}   why the session ended, for an hour
//	sub:hash    sorted set: sessions of one (iss, sub)
//	sid:hash    sorted set: sessions of one (iss, sid)
//	gone:...    of an index, or of a pair of sub and sid: when the OP has ended it, Unix milliseconds, for an hour
//	once:hash   a login flow or a logout token that has been used
//	due         sorted set: when the sweep has to look at which session
//	changed     channel: ids of sessions that have been refreshed or have ended
//	echo:random channel: a store's own, on which it hears itself while its subscription is good
//
// The braces are part of the keys: what belongs to one session is in one hash slot, and scripts touch nothing else
// (RED-02). Everything but due has a TTL. Changes of rec are heard by CLIENT TRACKING, too, where that is allowed.
package redisstore
