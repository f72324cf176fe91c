package attack_test

import (
	"slices"
	"strings"
	"testing"
)

// forgery is a line of this family: fields that the upstream must not get. What it must not see has "forged" in it.
type forgery struct {
	name   string
	source string
	fields string // lines, with CR LF between them
}

var forgeries = []forgery{
	// Credentials (PX-04).
	{"bearer token", "PX-04, RFC 9700 §4.13", "Authorization: Bearer forged"},
	{"bearer token, lower case", "PX-04", "authorization: Bearer forged"},
	{"two bearer tokens", "PX-04", "Authorization: Bearer forged\r\nAuthorization: Bearer forged"},
	{"basic credentials", "PX-04", "Authorization: Basic forged"},
	{"proxy credentials", "PX-04", "Proxy-Authorization: Basic forged"},
	{"DPoP proof", "PX-04", "DPoP: forged"},
	{"gateway cookie of somebody", "PX-04, CK-03", "Cookie: __host-http-cloakroom=forged"},
	{"flow cookie", "PX-04", "Cookie: __Host-Http-cloakroom-flow-x=forged"},
	{"Cookie2", "PX-04", "Cookie2: forged"},

	// Hop by hop, and what a client has removed by naming it there (PX-01, PX-02, PX-03).
	{"Connection lists Authorization", "PX-01", "Connection: Authorization"},
	{"Connection lists Authorization, lower case", "PX-01", "connection: authorization, close"},
	{"Connection lists Cookie", "PX-01", "Connection: Cookie"},
	{"Connection lists X-Request-Id", "PX-02", "Connection: X-Request-Id"},
	{"Connection lists X-Forwarded-For", "PX-01", "Connection: X-Forwarded-For, X-Forwarded-Host, X-Forwarded-Proto"},
	{"Connection lists the identity", "PX-08", "Connection: X-User-Id, X-Zone"},
	{"Connection lists Host", "PX-02", "Connection: Host"},
	{"Connection lists itself", "PX-02", "Connection: Connection, X-Hop\r\nX-Hop: forged"},
	{"Connection twice", "PX-02", "Connection: X-Hop\r\nConnection: X-Hip\r\nX-Hop: forged\r\nX-Hip: forged"},
	{"Proxy-Connection", "PX-02", "Proxy-Connection: forged"},
	{"Keep-Alive", "PX-02", "Keep-Alive: forged"},
	{"TE", "PX-02", "TE: forged, trailers"},
	{"Trailer", "PX-02", "Trailer: X-Forged"},
	{"upgrade to h2c", "PX-03, golang/go#80416", "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c, forged\r\nHTTP2-Settings: forged"},
	{"HTTP2-Settings alone", "PX-03, golang/go#80416", "HTTP2-Settings: forged"},
	{"upgrade to something else", "PX-03", "Connection: Upgrade\r\nUpgrade: forged/1"},

	// Where the request comes from (PX-05, PX-06).
	{"X-Forwarded-For", "PX-05", "X-Forwarded-For: 203.0.113.66, forged"},
	{"X-Forwarded-For twice", "PX-05", "X-Forwarded-For: forged\r\nX-Forwarded-For: 127.0.0.1, forged"},
	{"X-Forwarded-Host", "PX-05", "X-Forwarded-Host: forged.example"},
	{"X-Forwarded-Proto", "PX-05", "X-Forwarded-Proto: forged"},
	{"X-Forwarded-Port, -Prefix, -Server", "PX-06", "X-Forwarded-Port: forged\r\nX-Forwarded-Prefix: /forged\r\nX-Forwarded-Server: forged"},
	{"X-Forwarded-User, -Email, -Groups", "oauth2-proxy GHSA-vjrc-mh2v-45x6", "X-Forwarded-User: forged\r\nX-Forwarded-Email: forged\r\nX-Forwarded-Groups: forged"},
	{"X-Forwarded-Access-Token", "PX-06", "X-Forwarded-Access-Token: forged"},
	{"X-Forwarded-Uri, -Method", "oauth2-proxy GHSA-7x63-xv5r-3p2x", "X-Forwarded-Uri: /forged\r\nX-Forwarded-Method: FORGED"},
	{"X-Forwarded-Tls-Client-Cert", "PX-06 (traefik)", "X-Forwarded-Tls-Client-Cert: forged\r\nX-Forwarded-Client-Cert: forged"},
	{"X-Forwarded", "PX-06", "X-Forwarded: for=forged"},
	{"Forwarded", "PX-05, RFC 7239", "Forwarded: for=forged;host=forged;proto=https"},
	{"X-Real-IP and kin", "PX-06", "X-Real-IP: forged\r\nX-Client-IP: forged\r\nTrue-Client-IP: forged\r\nCF-Connecting-IP: forged"},
	{"more client addresses", "PX-06", "Client-IP: forged\r\nX-Cluster-Client-IP: forged\r\nX-Remote-Addr: forged\r\nX-Originating-IP: forged"},
	{"addresses of CDNs", "PX-06", "Fastly-Client-IP: forged\r\nFly-Client-IP: forged\r\nX-Azure-ClientIP: forged\r\nX-Envoy-External-Address: forged"},

	// What the request asks for (PX-06).
	{"path overrides", "PX-06, CVE-2018-14773 (Symfony)", "X-Original-URL: /forged\r\nX-Rewrite-URL: /forged\r\nX-Override-URL: /forged"},
	{"path overrides of Envoy", "PX-06", "X-Envoy-Original-Path: /forged\r\nX-Envoy-Decorator-Operation: forged"},
	{"method overrides", "PX-06", "X-HTTP-Method: FORGED\r\nX-HTTP-Method-Override: FORGED\r\nX-Method-Override: FORGED"},
	{"host overrides", "PX-06", "X-Host: forged\r\nX-Original-Host: forged"},
	{"middleware skipped", "CVE-2025-29927 (Next.js)", "X-Middleware-Subrequest: forged:forged:forged"},
	{"instructions to a server", "PX-06", "X-Accel-Redirect: /forged\r\nX-Accel-Buffering: forged\r\nX-Sendfile-Type: forged"},
	{"httpoxy", "CVE-2016-5385", "Proxy: http://forged.example"},

	// Who the user is (PX-06, PX-08).
	{"identity of the route", "PX-08", "X-User-Id: forged"},
	{"identity of the route, twice", "PX-08", "X-User-Id: forged\r\nx-user-id: forged"},
	{"field of another route", "PX-08", "X-Zone: forged"},
	{"identity of oauth2-proxy", "PX-06", "X-Auth-Request-User: forged\r\nX-Auth-Request-Email: forged"},
	{"identity of others", "PX-06", "X-Remote-User: forged\r\nRemote-User: forged\r\nX-WEBAUTH-USER: forged\r\nX-Pomerium-Jwt-Assertion: forged"},
	{"identity of clouds", "PX-06", "X-Goog-Iap-Jwt-Assertion: forged\r\nX-Amzn-Oidc-Data: forged\r\nX-MS-Client-Principal: forged\r\nCf-Access-Jwt-Assertion: forged"},
	{"client certificate", "PX-06, RFC 9440", "Client-Cert: forged\r\nClient-Cert-Chain: forged"},
	{"client certificate, older", "PX-06", "X-SSL-Client-Cert: forged\r\nSSL-Client-Cert: forged\r\nX-Client-Cert: forged"},

	// Spellings (PX-07).
	{"underscores", "oauth2-proxy CVE-2025-64484", "X_Forwarded_For: forged\r\nX_Forwarded_User: forged"},
	{"underscores in an identity", "oauth2-proxy GHSA-vjrc-mh2v-45x6", "X_User_Id: forged\r\nX-User_Id: forged\r\nx_user-id: forged"},
	{"underscores in credentials", "PX-07", "HTTP_AUTHORIZATION: forged\r\nProxy_Authorization: forged"},
	{"any underscore", "PX-07", "Harmless_Name: forged"},
	{"upper case", "PX-07", "X-FORWARDED-USER: forged\r\nX-USER-ID: forged"},
	{"request id", "SES-14", "X-Request-Id: forged"},
	{"request id, underscores", "PX-07", "X_Request_Id: forged"},
}

// TestHeaderSmuggling sends each forgery to a route of each family, WebSocket handshakes included. The request goes up,
// for nothing is wrong with it but what is left behind, and says of itself what the gateway says.
func TestHeaderSmuggling(t *testing.T) {
	t.Parallel()
	s := newSuite(t, config{})
	s.up.script("/ws/once", &script{closes: true, text: message("HTTP/1.1 101 Switching Protocols", "Upgrade: websocket",
		"Connection: Upgrade", "Sec-WebSocket-Accept: "+acceptFor(webSocketKey))})
	families := []struct {
		send       string
		token      string
		user, zone string
	}{
		{get("/api/x", alice, csrf), s.aliceToken, "", ""},
		{request("POST", "/api/x", alice, csrf, "Content-Length: 0"), s.aliceToken, "", ""},
		{get("/files/x", alice, same), s.aliceToken, "", ""},
		{get("/ws/x", alice, same), s.aliceToken, "", ""},
		{handshake("/ws/once", alice, "Connection: close"), s.aliceToken, "", ""},
		{get("/pages/x", append(navigation, alice)...), s.aliceToken, "alice", ""},
		{get("/pages/x", navigation...), "", "", ""},
		{get("/public/x", alice), "", "", "public"},
		{get("/short/x", alice), "", "", ""},
	}
	for _, one := range forgeries {
		t.Run(one.name, func(t *testing.T) {
			for _, family := range families {
				line, _, _ := strings.Cut(family.send, " HTTP")
				before := len(s.up.all())
				answers := s.send(t, s.fill(strings.Replace(family.send, "\r\n\r\n", "\r\n"+one.fields+"\r\n\r\n", 1)))
				arrived := s.up.all()[before:]
				if len(answers) != 1 || len(arrived) != 1 {
					t.Fatalf("%s: %s: answered with %q, %d requests at the upstream", one.source, line, describe(answers), len(arrived))
				}
				got := arrived[0]
				for _, field := range got.fields {
					if strings.Contains(strings.ToLower(field), "forged") {
						t.Errorf("%s: %s: the upstream got %q", one.source, line, field)
					}
				}
				for name, want := range map[string]string{
					"Authorization": family.token, "X-User-Id": family.user, "X-Zone": family.zone,
					"X-Forwarded-Host": host, "X-Forwarded-Proto": "https", "X-Forwarded-For": "127.0.0.1",
					"Host": s.up.Addr().String(), "X-Request-Id": answers[0].Header.Get("X-Request-Id"),
				} {
					if value := got.value(name); value != want {
						t.Errorf("%s: %s: the upstream got %s: %q, want %q", one.source, line, name, value, want)
					}
				}
				if upgrade := got.value("Connection") + got.value("Upgrade"); upgrade != "" &&
					(upgrade != "Upgradewebsocket" || !strings.Contains(line, "/ws/once")) {
					t.Errorf("%s: %s: the upstream got %q", one.source, line, got.fields)
				}
				if slices.Contains(got.values("Cookie"), s.alice) {
					t.Errorf("%s: %s: the upstream got the ticket", one.source, line)
				}
			}
			s.othersAreFine(t)
		})
	}
}

// TestTrailers: fields that come behind the body, past all checks, are dropped, the merged ones of some servers too
// (PX-27, RFC 9110 §6.5.1).
func TestTrailers(t *testing.T) {
	t.Parallel()
	s := newSuite(t, config{})
	for _, one := range forgeries {
		fields := []string{alice, csrf, "Transfer-Encoding: chunked"}
		for line := range strings.SplitSeq(one.fields, "\r\n") {
			name, _, _ := strings.Cut(line, ":")
			fields = append(fields, "Trailer: "+name)
		}
		before := len(s.up.all())
		text := request("POST", "/api/x", fields...) + "2\r\nok\r\n0\r\n" + one.fields + "\r\n\r\n"
		answers := s.send(t, s.fill(text))
		for _, got := range s.up.all()[before:] {
			if text := strings.ToLower(strings.Join(got.fields, "\n")); strings.Contains(text, "forged") ||
				got.value("Authorization") != s.aliceToken || got.body != "ok" {
				t.Errorf("%s: %s: the upstream got %q", one.source, one.name, got.fields)
			}
		}
		if len(answers) != 1 {
			t.Errorf("%s: %s: answered with %q", one.source, one.name, describe(answers))
		}
	}
	s.othersAreFine(t)
}
