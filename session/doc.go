// Package session keeps signed-in browsers on the server.
//
// The browser holds a [Ticket]: random, without data. Its hash is the [ID] under which a [Store] keeps a [Record]: the
// tokens and claims, sealed under a key that is made of the [KeyRing] and the ticket together, and beside it in clear
// what listing and logout need. A dump of the store opens nothing, not even with the key ring.
//
// The [Manager] is the only way to a session. It creates, opens and ends them, holds them to two deadlines (idle and
// absolute), and refreshes their tokens: once per session at a time in the whole cluster, apart from the request that
// needs them, stored before anyone uses them, and never bringing back a session that has ended.
//
// An upstream may have an access token of its own ([Audience]), by the refresh token or in exchange. A request under way is
// tied to its session by [Manager.Bind], and hears within a second that it has ended.
//
// What the Manager does not know is OpenID Connect. What an OP has to be asked is asked through a [Refresher].
package session
