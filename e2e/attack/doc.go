// Package attack attacks the cloakroom binary from outside, as bytes on a connection, and looks at what came back and at
// what arrived behind it.
//
// The suite has a line per attack: a name, where it is from (a requirement of the project's list of standards, a CVE, an
// advisory), the bytes, and the answers that they must get. Files attack_*_test.go, one for each family. After every
// line another user asks for something, and must get the answer to that: no attack leaves a mark on a connection that
// others share. The upstream (upstream_test.go) reads requests more strictly than servers do, keeps their bytes, and
// fails the test over a request that two servers could read in two ways.
//
// The differential run (differential_test.go) sends 100 000 generated paths through gateways that stand in front of
// net/http, nginx, Node.js and Apache httpd, each of which says what location it believes was reached. A policy that
// shares no code with the gateway says which one it may have been.
package attack
