// Package proxy takes a request that the gateway has let in to the place its route names, an upstream or a folder
// of files, and brings the answer back.
//
// It is the border between two worlds that must not trust each other's header fields. On the way up everything that
// an upstream could take for the gateway's own word is removed: credentials, gateway cookies, client addresses,
// identities, method and path overrides; then the access token and the route's own fields are set. On the way down
// everything that acts on the whole origin is removed: cookies, storage, CORS grants, authentication dialogs,
// redirects to internal hosts. The tables in headersup.go and headersdown.go say what, and why.
//
// A request passes through here in this order:
//
//	err := proxy.Canonical(r)           // 400 path_refused, before anything looks at the path
//	i := table.Match(r.URL.Path)        // which route
//	...                                 // CSRF, session, what it must have, token: the gateway's business
//	err = p.Serve(w, r, routes[i], who, token) // the rest
//
// Serve hands a request for an upstream to an exchange (exchange.go), which lasts as long as its answer:
//
//	Options.Bind    ties it to its session: it is over when the session is (exchange.go)
//	rewrite         the request that goes up, by the tables (request.go, headersup.go)
//	Transport       the connections to upstreams (transport.go, upstream*.go)
//	Options.Renew   another token, and the request once more, when the upstream refuses the first (roundtrip.go)
//	answer          the answer that comes down, by the tables (response.go, headersdown.go)
//	stream, tunnel  the body of the answer, or a WebSocket (stream.go, websocket.go)
//	watch           ends it where nothing moves any more, or after the route's max_duration (watch.go)
//
// Serve returns an error only while nothing has been written, so that the caller's one error writer can answer. A
// failure after that ends the connection (panic with [http.ErrAbortHandler]): the browser must not take half an
// answer for a whole one.
//
// Requirement IDs in comments (PX-07, BFF-13 ...) are those of the project's list of standards.
package proxy
