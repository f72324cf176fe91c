package attack_test

import "testing"

// TestHosts: the gateway serves one host, whatever a request says of itself (PX-09, FLOW-16).
func TestHosts(t *testing.T) {
	t.Parallel()
	const misdirected = "421 misdirected"
	to := func(fields ...string) string {
		return message("GET /api/x HTTP/1.1", append(fields, "Connection: close", alice, csrf, same)...)
	}
	newSuite(t, config{}).run(t, []attack{
		{"DNS rebinding", "PX-09", to("Host: evil.example"), misdirected},
		{"DNS rebinding to an address", "PX-09", to("Host: 127.0.0.1"), misdirected},
		{"localhost", "PX-09", to("Host: localhost"), misdirected},
		{"another port", "PX-09", to("Host: " + host + ":8443"), misdirected},
		{"a suffix", "PX-09", to("Host: " + host + ".evil.example"), misdirected},
		{"a prefix", "PX-09", to("Host: evil." + host), misdirected},
		{"user info", "PX-09", to("Host: " + host + "@evil.example"), malform},
		{"user info before ours", "PX-09", to("Host: evil.example@" + host), malform},
		{"a path", "PX-09", to("Host: " + host + "/evil"), malform},
		{"a fragment", "PX-09", to("Host: evil.example#" + host), malform},
		{"a space", "PX-09", to("Host: evil.example " + host), malform},
		{"a comma", "PX-09", to("Host: " + host + ", evil.example"), malform},
		{"a dot at the end", "PX-09", to("Host: " + host + "."), misdirected},
		{"an empty port", "PX-09", to("Host: " + host + ":"), misdirected},
		{"the empty host", "PX-09", to("Host:"), misdirected},
		{"no host", "PX-09, RFC 9112 §3.2", to(), malform},
		{"no host in HTTP/1.0", "PX-09", message("GET /api/x HTTP/1.0", alice, csrf, same), misdirected},
		{"two hosts", "PX-09, RFC 9112 §3.2", to("Host: "+host, "Host: evil.example"), malform},
		{"two hosts, ours last", "PX-09, RFC 9112 §3.2", to("Host: evil.example", "Host: "+host), malform},
		{"our host twice", "PX-09, RFC 9112 §3.2", to("Host: "+host, "Host: "+host), malform},
		{"a fold", "PX-09", to("Host: " + host + "\r\n .evil.example"), malform},
		{"a space before the colon", "PX-09", to("Host : " + host), malform},
		{"X-Forwarded-Host says ours", "PX-05", to("Host: evil.example", "X-Forwarded-Host: "+host), misdirected},
		{"Forwarded says ours", "PX-05", to("Host: evil.example", "Forwarded: host="+host), misdirected},
		{"X-Host says ours", "PX-06", to("Host: evil.example", "X-Host: "+host, "X-Original-Host: "+host), misdirected},
		{"X-Forwarded-Host says another", "PX-05", to("Host: "+host, "X-Forwarded-Host: evil.example"), "200 GET /api/x"},
		{"absolute form says another", "RFC 9112 §3.2.2", message("GET http://evil.example/api/x HTTP/1.1", "Host: "+host, "Connection: close", alice, csrf), misdirected},
		{"absolute form says ours", "RFC 9112 §3.2.2", message("GET http://"+host+"/api/x HTTP/1.1", "Host: evil.example", "Connection: close", alice, csrf), "200 GET /api/x"},
		{"absolute form, user info of ours", "PX-09", message("GET http://"+host+":x@evil.example/api/x HTTP/1.1", "Host: "+host, "Connection: close", alice, csrf), misdirected},
		{"the gateway's own endpoints", "PX-09", message("GET /bff/session HTTP/1.1", "Host: evil.example", "Connection: close", alice, csrf), misdirected},
		{"login", "FLOW-16", message("GET /bff/login HTTP/1.1", "Host: evil.example", "Connection: close"), misdirected},
	})
}
