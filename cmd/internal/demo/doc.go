// Package demo is `cloakroom demo`: everything that Cloakroom stands between, in one process on loopback.
//
//	http://localhost:8080   first application: an SPA and the orders API behind a gateway (spa/)
//	http://localhost:8081   second application with a gateway of its own, to show single sign-on (spa2/)
//	http://127.0.0.1:port   "Harbour ID", the OP: bff/optest with pages for people (op/)
//	http://127.0.0.1:port   the orders API, which verifies access tokens by itself
//
// The applications are on localhost and the OP is on 127.0.0.1 because a browser takes these for two sites: cookies
// with SameSite behave as they do in production.
//
// The gateways are those of `cloakroom serve`, with the in-memory store. Read app.go for the configuration, spa/bff.js
// and spa/watch.js for what a page needs, accesstoken.go for what an API should check.
package demo
