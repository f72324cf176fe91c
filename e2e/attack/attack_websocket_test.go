package attack_test

import (
	"crypto/sha1" // as RFC 6455 has it
	"encoding/base64"
	"strings"
	"testing"
)

const webSocketKey = "dGhlIHNhbXBsZSBub25jZQ=="

// handshake is that of a page of the application (RFC 6455 §4.1). Where it gets another answer than 101, that ends the
// connection.
func handshake(target string, fields ...string) string {
	return upgrade(target, append([]string{"Upgrade: websocket", "Origin: " + origin, same}, fields...)...)
}

// upgrade is a handshake without Upgrade and Origin.
func upgrade(target string, fields ...string) string {
	return message("GET "+target+" HTTP/1.1", append([]string{
		"Host: " + host, "Connection: Upgrade, close", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: " + webSocketKey,
	}, fields...)...)
}

// acceptFor is the Sec-WebSocket-Accept for a key (§4.2.2).
func acceptFor(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// switched is an upstream's answer to a handshake.
func switched(fields ...string) *script {
	return &script{closes: true, text: message("HTTP/1.1 101 Switching Protocols", fields...)}
}

// TestWebSocketAttacks: who may open one, and what is none (PX-03, PX-20, PX-22).
func TestWebSocketAttacks(t *testing.T) {
	t.Parallel()
	const crossSite = "403 cross_site_request"
	s := newSuite(t, config{})
	accept := "Sec-WebSocket-Accept: " + acceptFor(webSocketKey)
	for path, answer := range map[string]*script{
		"/ws/good":       switched("Upgrade: websocket", "Connection: Upgrade", accept),
		"/ws/no-accept":  switched("Upgrade: websocket", "Connection: Upgrade"),
		"/ws/bad-accept": switched("Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Accept: "+acceptFor("x")),
		"/ws/two":        switched("Upgrade: websocket", "Connection: Upgrade", accept, accept),
		"/ws/h2c":        switched("Upgrade: h2c", "Connection: Upgrade", accept),
		"/ws/none":       switched("Connection: Upgrade", accept),
		"/ws/not-listed": switched("Upgrade: websocket", accept),
		"/ws/426":        {text: message("HTTP/1.1 426 Upgrade Required", "X-Upstream: 1", "Content-Length: 11") + "GET /ws/426"},
	} {
		s.up.script(path, answer)
	}
	from := func(fields ...string) string {
		return upgrade("/ws/good", append(fields, alice, "Upgrade: websocket")...)
	}
	const plain = "200 GET /ws/x" // went up as an ordinary request
	s.run(t, []attack{
		// Who.
		{"another site", "PX-20, CWE-1385", from("Origin: https://evil.example", "Sec-Fetch-Site: cross-site"), crossSite},
		{"another site, old browser", "PX-20", from("Origin: https://evil.example"), crossSite},
		{"a sibling host", "PX-20", from("Origin: https://evil.example.com", "Sec-Fetch-Site: same-site"), crossSite},
		{"no origin", "PX-20", from(), crossSite},
		{"origin null", "PX-20", from("Origin: null"), crossSite},
		{"plain http", "PX-20", from("Origin: http://" + host), crossSite},
		{"another port", "PX-20", from("Origin: https://" + host + ":444"), crossSite},
		{"a suffix", "PX-20", from("Origin: https://" + host + ".evil.example"), crossSite},
		{"user info", "CSR-05, golang/go#78563", from("Origin: https://evil@" + host), crossSite},
		{"ours, and another", "PX-20", from("Origin: "+origin, "Origin: https://evil.example"), crossSite},
		{"ours, from another site", "PX-20", from("Origin: "+origin, "Sec-Fetch-Site: cross-site"), crossSite},
		{"Sec-WebSocket-Origin", "PX-20", from("Sec-WebSocket-Origin: " + origin), crossSite},
		{"X-CSRF in place of an origin", "PX-20", from(csrf), crossSite},
		{"no session", "PX-20", handshake("/ws/good"), "401 unauthenticated"},
		{"a planted ticket", "PX-20", handshake("/ws/good", cookieOf("planted")), "401 unauthenticated"},
		{"a ticket as subprotocol", "PX-20", handshake("/ws/good", "Sec-WebSocket-Protocol: TICKET"), "401 unauthenticated"},

		// What is none: it goes up without Upgrade.
		{"h2c", "PX-03, golang/go#80416", upgrade("/ws/x", alice, same, "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__"), plain},
		{"h2c, then a preface", "PX-03, golang/go#80416", message("GET /ws/x HTTP/1.1", "Host: "+host, alice, same, "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__") + "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", plain + ", 421 misdirected"},
		{"h2c and websocket", "PX-03", upgrade("/ws/x", alice, same, "Upgrade: h2c, websocket"), plain},
		{"websocket and h2c", "PX-03", upgrade("/ws/x", alice, same, "Upgrade: websocket, h2c"), plain},
		{"two Upgrades", "PX-03", upgrade("/ws/x", alice, same, "Upgrade: websocket", "Upgrade: h2c"), plain},
		{"TLS", "PX-03, RFC 2817", upgrade("/ws/x", alice, same, "Upgrade: TLS/1.3"), plain},
		{"a version of it", "PX-03", upgrade("/ws/x", alice, same, "Upgrade: websocket/13"), plain},
		{"an old draft", "RFC 6455 §4.2.1", message("GET /ws/x HTTP/1.1", "Host: "+host, "Connection: Upgrade, close", "Upgrade: websocket", "Sec-WebSocket-Version: 8", "Sec-WebSocket-Key: "+webSocketKey, alice, same), plain},
		{"no version, to be smuggled", "PX-03, websocket smuggling", message("GET /ws/x HTTP/1.1", "Host: "+host, "Connection: Upgrade, close", "Upgrade: websocket", "Sec-WebSocket-Key: "+webSocketKey, alice, same), plain},
		{"a short key", "RFC 6455 §4.2.1", message("GET /ws/x HTTP/1.1", "Host: "+host, "Connection: Upgrade, close", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: eA==", alice, same), plain},
		{"two keys", "RFC 6455 §11.3.1", upgrade("/ws/x", alice, same, "Upgrade: websocket", "Sec-WebSocket-Key: "+webSocketKey), plain},
		{"not in Connection", "PX-02", message("GET /ws/x HTTP/1.1", "Host: "+host, "Connection: close", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: "+webSocketKey, alice, same), plain},
		{"by POST", "RFC 6455 §4.1", strings.Replace(handshake("/ws/x", alice, "Content-Length: 0"), "GET", "POST", 1), "200 POST /ws/x"},
		{"with a body", "PX-17", handshake("/ws/x", alice, "Content-Length: 70") + hidden, plain},
		{"in HTTP/1.0", "RFC 6455 §4.1", strings.Replace(handshake("/ws/x", alice), "HTTP/1.1", "HTTP/1.0", 1), plain},
		{"on a route without", "PX-03", handshake("/files/x", alice), "200 GET /files/x"},
		{"on an API", "PX-03", handshake("/api/x", alice), "403 csrf_header_missing"},
		{"on a public route", "PX-03", handshake("/public/x"), "200 GET /public/x"},
		{"on an endpoint of the gateway", "PX-03", handshake("/bff/session", alice, csrf), "200"},
		{"on no route", "PX-03", handshake("/admin", alice), notFound},
		{"on a path that is refused", "PX-11", handshake("/ws/../admin", alice), refused},

		// An upstream that does not speak it. What the client says next must not reach it past all checks (§10.3).
		{"no Sec-WebSocket-Accept", "PX-22", handshake("/ws/no-accept", alice) + hidden, "502 upstream_unavailable: GET /ws/no-accept"},
		{"the accept of another key", "PX-22", handshake("/ws/bad-accept", alice) + hidden, "502 upstream_unavailable: GET /ws/bad-accept"},
		{"two accepts", "PX-22", handshake("/ws/two", alice) + hidden, "502 upstream_unavailable: GET /ws/two"},
		{"a switch to h2c", "PX-03", handshake("/ws/h2c", alice) + hidden, "502 upstream_unavailable: GET /ws/h2c"},
		{"a switch to nothing", "PX-22", handshake("/ws/none", alice) + hidden, "502 upstream_unavailable: GET /ws/none"},
		{"a switch not in Connection", "PX-22", handshake("/ws/not-listed", alice) + hidden, "502 upstream_unavailable: GET /ws/not-listed"},
		{"a refusal, and a request behind it", "PX-17, websocket smuggling", strings.Replace(handshake("/ws/426", alice), ", close", "", 1) + hidden + last, "426 GET /ws/426, 403 csrf_header_missing, " + lastAnswer},
	})

	// PX-22: of a good answer the browser gets the handshake's own fields.
	s.up.script("/ws/cookies", switched("Upgrade: websocket", "Connection: Upgrade", accept, "Set-Cookie: evil=1", "Evil: 1",
		"Access-Control-Allow-Origin: https://evil.example", `Clear-Site-Data: "evil"`, "Location: https://evil.example"))
	back := string(s.exchange(t, s.fill(handshake("/ws/cookies", alice))))
	if !strings.HasPrefix(back, "HTTP/1.1 101 ") || strings.Contains(strings.ToLower(back), "evil") {
		t.Errorf("the browser got %q", back)
	}
}
