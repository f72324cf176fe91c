// Package gateway puts the parts together: it reads the configuration, builds the relying parties, the session store, the
// endpoints and the proxy, and serves them until it is told to stop.
//
// handler.go shows the path of every request on one screen. Each decision has one place: csrf.go says where a request
// may come from, route.go and require.go who may use a route, token.go which access token its upstream gets (clienttoken.go
// has the gateway's own), errors.go writes every refusal. health.go, metrics.go, trace.go, log.go and audit.go are what an
// operator sees; no other package knows of Prometheus or OpenTelemetry. admin.go lets operators end sessions,
// adminaccess.go says who they are, and adminclient.go is how they ask.
package gateway
