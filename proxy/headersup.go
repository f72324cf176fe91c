package proxy

import "net/http"

// hopByHop are the fields of one connection, not of the message (RFC 9110 §7.6.1), besides those that Connection lists.
// [httputil.ReverseProxy] removes them too; it puts TE and, of an Upgrade that a client asks for, h2c included, both
// fields back (PX-03, golang/go#80416). A WebSocket handshake gets its own again after this.
var hopByHop = []fieldRule{
	{"connection", "hop by hop"},
	{"keep-alive", "hop by hop"},
	{"te", "hop by hop"},
	{"trailer", "hop by hop; trailers are dropped"},
	{"transfer-encoding", "hop by hop"},
	{"upgrade", "hop by hop"},
	{"http2-settings", "part of an upgrade to h2c"},
	{"proxy-*", "hop by hop; credentials"},
}

// removedUp are the fields that no client may send to an upstream, on any route, besides every name that a route sets
// itself (PX-08).
var removedUp = append([]fieldRule{
	// PX-07: CGI, WSGI and others make variables of names, and "-", "_", "." and the rest the same character.
	// X_Forwarded_For overwrites X-Forwarded-For there. nginx, too, drops such names.
	{oddNames, "another name to some servers; IBM's plug-ins believe $WSRU"},

	// PX-04: who the user is, the gateway says.
	{"authorization", "credential"},
	{"x-serverless-authorization", "credential (Google Cloud Run)"},
	{"dpop", "credential"},
	{"x-access-token", "credential (Kong, Gluu)"},
	{"x-id-token", "credential (Kong)"},
	{"cookie2", "cookie in another spelling"},
	{"x-csrf", "for the gateway"},
	{"sec-session-*", "device-bound sessions are the gateway's"},
	{"secure-session-*", "device-bound sessions are the gateway's"},
	{"sec-secure-session-*", "device-bound sessions are the gateway's"},

	// PX-05, PX-06: where the request comes from, the gateway says.
	{"forwarded*", "client address, host (RFC 7239)"},
	{"x-forward*", "client address, host, path, user, token, client certificate"},
	{"x-real-*", "client address"},
	{"x-client-ip", "client address"},
	{"client-ip", "client address"},
	{"x-cluster-client-ip", "client address"},
	{"x-originating-ip", "client address"},
	{"x-proxyuser-ip", "client address"},
	{"true-client-ip", "client address (Akamai, Cloudflare)"},
	{"x-true-client-ip", "client address"},
	{"cf-connecting-*", "client address (Cloudflare)"},
	{"cf-pseudo-ipv4", "client address (Cloudflare)"},
	{"cf-visitor", "scheme (Cloudflare)"},
	{"cloudfront-viewer-address", "client address (Amazon CloudFront)"},
	{"do-connecting-ip", "client address (DigitalOcean)"},
	{"fastly-*", "client address, scheme (Fastly)"},
	{"fly-*", "client address, scheme (Fly.io)"},
	{"incap-client-ip", "client address (Imperva)"},
	{"x-sucuri-*", "client address (Sucuri)"},
	{"x-nf-client-*", "client address (Netlify)"},
	{"x-vercel-*", "client address, token (Vercel)"},
	{"wl-proxy-*", "client address, certificate, scheme (WebLogic)"},
	{"ns-client-ip", "client address (NetScaler)"},
	{"x-azure-*", "client address (Azure)"},
	{"x-fd-*", "health probe (Azure)"},
	{"x-appengine-*", "client address, user (Google)"},
	{"x-cloudtasks-*", "says that Google calls"},
	{"x-cloudscheduler*", "says that Google calls"},
	{"x-envoy-*", "client address, path, retries (Envoy)"},
	{"x-cf-*", "destination, path (Cloud Foundry)"},
	{"l5d-*", "destination, client certificate (Linkerd)"},
	{"dapr-*", "destination, caller (Dapr)"},
	{"x-host", "host"},
	{"x-http-host-override", "host"},
	{"disguised-host", "host (Azure)"},
	{"front-end-https", "scheme"},
	{"x-scheme", "scheme"},
	{"x-url-scheme", "scheme"},

	// PX-06: the request line is what it is.
	{"x-original-*", "path, host or method override (IIS, Symfony)"},
	{"x-rewrite-*", "path override (IIS)"},
	{"x-waws-*", "path override (Azure)"},
	{"x-override-url", "path override"},
	{"x-replaced-path", "path override (traefik)"},
	{"x-script-name", "path override (WSGI)"},
	{"script-name", "path override (WSGI)"},
	{"path-info", "path override (CGI)"},
	{"x-http-method*", "method override"},
	{"x-method-override", "method override"},
	{"destination", "a second path, which no route has judged (RFC 4918 §10.3)"},
	{"max-forwards", "makes a proxy inside answer (RFC 9110 §7.6.2)"},
	{"x-accel-*", "instruction to nginx"},
	{"x-sendfile-type", "instruction to Rack"},
	{"x-middleware-subrequest*", "Next.js skips its middleware (CVE-2025-29927)"},
	{"x-middleware-rewrite", "between the parts of Next.js"},
	{"x-middleware-redirect", "between the parts of Next.js"},
	{"x-middleware-set-cookie", "between the parts of Next.js"},
	{"x-middleware-skip", "between the parts of Next.js"},
	{"x-middleware-override-headers", "between the parts of Next.js"},
	{"x-middleware-request-*", "between the parts of Next.js"},
	{"x-middleware-next", "between the parts of Next.js"},
	{"x-invoke-*", "path override (Next.js)"},
	{"x-matched-path", "path override (Next.js)"},
	{"x-now-route-matches", "path override (Next.js, CVE-2024-46982)"},
	{"x-astro-*", "path override (Astro, CVE-2026-33768)"},
	{"x-react-router-*", "data of a page (React Router, CVE-2025-43865)"},
	{"proxy", "becomes HTTP_PROXY in CGI (httpoxy)"},

	// PX-06: client certificates.
	{"x-ssl-*", "client certificate"},
	{"ssl-client-*", "client certificate"},
	{"x-tls-*", "client certificate"},
	{"x-client-cert*", "client certificate"},
	{"x-client-dn", "client certificate"},
	{"x-client-verify", "client certificate"},
	{"client-cert", "client certificate (RFC 9440)"},
	{"client-cert-chain", "client certificate (RFC 9440)"},
	{"x-amzn-mtls-*", "client certificate (AWS)"},
	{"x-amzn-tls-*", "client connection (AWS)"},
	{"x-arr-*", "client certificate (Azure)"},
	{"sec-token-binding", "key of the client's connection (RFC 8473)"},
	{"sec-provided-token-*", "key of the client's connection"},
	{"sec-referred-token-*", "key of the client's connection"},

	// PX-06: what other gateways write and applications believe.
	{"x-auth-*", "identity, token (oauth2-proxy, Keycloak Gatekeeper)"},
	{"x-jwt-*", "identity (Istio, WSO2)"},
	{"x-istio-*", "identity (Istio)"},
	{"remote-*", "identity (Authelia, CGI)"},
	{"x-remote-*", "identity (Kubernetes), client address"},
	{"impersonate-*", "identity (Kubernetes)"},
	{"x-user", "identity (Oathkeeper, nginx)"},
	{"x-user-id", "identity"},
	{"x-user-name", "identity"},
	{"x-user-email", "identity"},
	{"x-user-groups", "identity"},
	{"x-user-roles", "identity"},
	{"x-userid", "identity"},
	{"x-username", "identity"},
	{"x-userinfo", "identity (Kong, APISIX)"},
	{"x-email", "identity (nginx)"},
	{"x-groups", "identity (nginx)"},
	{"x-roles", "identity"},
	{"x-authenticated-*", "identity (Kong, Envoy)"},
	{"x-consumer-*", "identity (Kong, APISIX)"},
	{"x-credential-*", "identity (Kong, APISIX)"},
	{"x-anonymous-consumer", "identity (Kong)"},
	{"x-authentik-*", "identity (authentik)"},
	{"x-kratos-*", "identity (Ory)"},
	{"x-vouch-*", "identity, token (Vouch)"},
	{"x-webauth-*", "identity (Grafana, Gitea)"},
	{"x-grafana-user", "identity (Grafana)"},
	{"x-pomerium-*", "identity (Pomerium)"},
	{"tailscale-*", "identity (Tailscale)"},
	{"x-tailscale-*", "identity (Tailscale)"},
	{"teleport-*", "identity (Teleport)"},
	{"x-goog-authenticated-*", "identity (Google IAP)"},
	{"x-goog-iap-*", "identity (Google IAP)"},
	{"x-endpoint-api-userinfo", "identity (Google Endpoints)"},
	{"x-apigateway-api-userinfo", "identity (Google API Gateway)"},
	{"x-amzn-oidc-*", "identity (AWS)"},
	{"x-amzn-request-context", "identity (AWS)"},
	{"x-amzn-lambda-context", "identity (AWS)"},
	{"x-amz-tenant-id", "tenant (AWS)"},
	{"x-ms-client-principal*", "identity (Azure)"},
	{"x-ms-token-*", "token (Azure)"},
	{"cf-access-*", "identity (Cloudflare)"},
	{"oidc-*", "identity, token (mod_auth_openidc)"},
	{"mellon-*", "identity (mod_auth_mellon)"},
	{"shib-*", "identity (Shibboleth)"},
	{"cas-*", "identity (mod_auth_cas)"},
	{"sm-*", "identity (SiteMinder)"},
	{"iv-*", "identity (WebSEAL)"},
	{"oam-*", "identity (Oracle Access Manager)"},
}, hopByHop...)

// An addedField is set on every request to an upstream, after all removals: no Connection field of the client takes it
// away again (PX-01). In the same way come the headers and the identity of the route, and Authorization, which is set
// anew when a request is made again with another token.
type addedField struct {
	name   string
	values func(*exchange) []string // nil: the request has none
	reason string
}

var addedUp = []addedField{
	{"X-Forwarded-For", (*exchange).clientChain, "the client, then the trusted proxies (PX-05)"},
	{"X-Forwarded-Host", func(x *exchange) []string { return x.forwardedHost }, "of public_url"},
	{"X-Forwarded-Proto", func(x *exchange) []string { return x.forwardedProto }, "of public_url"},
	{"X-Request-Id", func(x *exchange) []string { return x.in.Header["X-Request-Id"] }, "that of our log line"},
}

// addOwn adds the fields of the table.
func (x *exchange) addOwn(h http.Header) {
	for _, field := range addedUp {
		if values := field.values(x); values != nil {
			h[field.name] = values
		}
	}
}

func (x *exchange) clientChain() []string {
	if chain := forwardedFor(x.in, x.trustedProxies); chain != "" {
		return []string{chain}
	}
	return nil
}

// keptUp are fields that pass as they are, though one might think otherwise, and those that browsers send most: for a
// name in a table one look is enough.
var keptUp = []fieldRule{
	{"accept", "negotiation is between the two ends"},
	{"accept-encoding", "the gateway neither compresses nor reads"},
	{"accept-language", "the application's"},
	{"access-control-request-headers", "the gateway has no CORS; without the answer's fields a preflight fails"},
	{"access-control-request-method", "the same"},
	{"baggage", "trace context"},
	{"cache-control", "how fresh the browser wants it"},
	{"cdn-loop", "must not be removed (RFC 8586 §2)"},
	{"cf-ipcountry", "says nothing about who the client is"},
	{"content-digest", "the body is passed on as it is"},
	{"content-encoding", "the body is passed on as it is"},
	{"content-language", "the body is passed on as it is"},
	{"content-length", "describes the message; net/http has checked it"},
	{"content-type", "the application's"},
	{"cookie", "the application's; the gateway's own are taken out (PX-04)"},
	{"depth", "WebDAV, for routes with its methods"},
	{"dnt", "the user's wish"},
	{"early-data", "must not be removed (RFC 8470 §5.1): the upstream may answer 425"},
	{"expect", "the upstream may refuse a body before it is sent"},
	{"idempotency-key", "the application's"},
	{"if-match", "conditions are the upstream's to judge"},
	{"if-modified-since", "conditions are the upstream's to judge"},
	{"if-none-match", "conditions are the upstream's to judge"},
	{"if-range", "conditions are the upstream's to judge"},
	{"if-unmodified-since", "conditions are the upstream's to judge"},
	{"last-event-id", "where an event stream goes on"},
	{"origin", "the upstream may check it as well"},
	{"pragma", "how fresh the browser wants it"},
	{"priority", "RFC 9218"},
	{"purpose", "tells a prefetch"},
	{"range", "parts are the upstream's to serve"},
	{"referer", "same-origin URLs, by our Referrer-Policy"},
	{"sec-ch-ua", "the browser's own: no page can set Sec-*"},
	{"sec-ch-ua-mobile", "the browser's own"},
	{"sec-ch-ua-platform", "the browser's own"},
	{"sec-fetch-dest", "the upstream may check it as well"},
	{"sec-fetch-mode", "the upstream may check it as well"},
	{"sec-fetch-site", "the upstream may check it as well"},
	{"sec-fetch-storage-access", "the browser's own"},
	{"sec-fetch-user", "the upstream may check it as well"},
	{"sec-gpc", "the user's wish"},
	{"sec-purpose", "tells a prefetch"},
	{"sec-websocket-extensions", "a handshake's; without Upgrade it begins nothing"},
	{"sec-websocket-key", "a handshake's; without Upgrade it begins nothing"},
	{"sec-websocket-protocol", "a handshake's; without Upgrade it begins nothing"},
	{"sec-websocket-version", "a handshake's; without Upgrade it begins nothing"},
	{"signature", "the application's (RFC 9421)"},
	{"signature-input", "the application's (RFC 9421)"},
	{"traceparent", "trace context; tracing here puts its own in its place"},
	{"tracestate", "trace context"},
	{"upgrade-insecure-requests", "the browser's own"},
	{"user-agent", "the application's"},
	{"via", "who has passed it on, for whoever debugs"},
	{"x-amzn-trace-id", "trace context"},
	{"x-api-key", "a credential of the application's own; it opens nothing that is the user's"},
	{"x-csrf-token", "the application's own, beside ours"},
	{"x-request-id", "the gateway's: it has replaced the client's"},
	{"x-requested-with", "the application's"},
	{"x-user-agent", "gRPC-Web's"},
	{"x-xsrf-token", "the application's own, beside ours"},
}

// ownFields are set by the proxy itself or describe the message; no route can set them.
var ownFields = append([]fieldRule{
	{"host", "that of the upstream"},
	{"forwarded*", "X-Forwarded-For is set here, and two stories contradict each other"},
	{"x-forward*", "set here"},
	{"x-request-id", "set here"},
	{"cookie", "filtered here"},
	{"content-length", "of the message"},
	{"expect", "of the message"},
}, hopByHop...)

var ownSet = newFieldSet(ownFields)

// IsOwnField reports whether the proxy sets or removes a field of requests by itself, so that no route can set it.
func IsOwnField(name string) bool { return ownSet.has(name) }
