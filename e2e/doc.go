// Package e2e tests the cloakroom binary from outside: it is built once, started as an operator starts it, and spoken to
// over HTTP, with real browsers, a real Redis and OPs that nobody here wrote.
//
// It is a module of its own, so that what only these tests need does not become a dependency of the gateway. What they
// need beyond Go is in deps.sh, which `make deps` runs; a test that misses a part fails and says so.
// Package attack beside it attacks the binary, command bench measures what it costs.
//
// Each subject has a file: demo and strict (Chromium on the demo, and on a strict cookie), panva, refresh, taint,
// contract_*, check, outage; interop and panva_modes (what an application can be registered for at which OP), chain
// (an OP that is a client of another one), formpost (in Chromium and Firefox), misbehaving (an OP that is slow, huge
// or worse under load); backchannel and backchannel_op (whom a logout token ends, on three replicas and from OPs that
// others wrote), frontchannel, logout_post, events, tabs and connections (who hears of an end), flood (of bad logout
// tokens); protocol (long bodies); example_* (the applications of deploy/examples); drill_* (what sessions survive, by `make drills` only). The
// files beneath them start the parts: process, gateway, authority (certificates), redis, nginx, api, op (the programs of
// the folder op), agent, form and stream (a browser without JavaScript, which keeps every byte it gets, the person who
// fills in its forms, and its event streams), browser (Chromium) and firefox. Where the OP has to do as a test says, it
// is bff/optest, inside the test's process. At the end of a run matrix prints which feature has worked with which OP.
// Screenshots of Chromium's steps go into the folder screenshots.
package e2e
