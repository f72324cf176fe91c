// Package redisstore keeps sessions in Redis (6.2 or newer), for any number of replicas of the gateway: in one server,
// in a primary that Sentinels watch, or in a Cluster. A [URL] says which.
//
// Under the prefix "cloakroom:" it has
//
//	rec:{id}    hash: version, sealed record, and in clear what listing and logout need
//	act:{id}    time of the last activity, Unix milliseconds
//	lease:{id}  owner of the refresh lease; empty while the session rests after a failed refresh
//	dead:{id}   why the session ended, for an hour
//	sub:hash    sorted set: sessions of one (iss, sub)
//	sid:hash    sorted set: sessions of one (iss, sid)
//	once:hash   a login flow that has been used
//	due         sorted set: when the sweep has to look at which session
//	changed     channel: ids of sessions that have been refreshed or have ended
//	echo:random channel: a store's own, on which it hears itself while its subscription is good
//
// The braces are part of the keys: what belongs to one session is in one hash slot, and scripts touch nothing else
// (RED-02). Everything but due has a TTL.
package redisstore
