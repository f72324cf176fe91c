package attack_test

import "testing"

// What a line of this family is answered with.
const (
	refused  = "400 path_refused"
	malform  = "400" // by net/http, which then closes the connection
	notFound = "404 not_found"
)

// TestPathConfusion: a path that two servers could read in two ways goes nowhere (PX-10 to PX-15).
func TestPathConfusion(t *testing.T) {
	t.Parallel()
	newSuite(t, config{}).run(t, []attack{
		// The upstream would resolve what the gateway does not.
		{"dot segments", "PX-11", get("/public/../admin"), refused},
		{"dot segments to another route", "traefik GHSA-vrch-868g-9jx5", get("/public/../api/x"), refused},
		{"dot segments at the end", "PX-11", get("/public/.."), refused},
		{"one dot", "PX-11", get("/public/./admin"), refused},
		{"encoded dots", "CVE-2019-9901 (Envoy)", get("/public/%2e%2e/admin"), refused},
		{"encoded dots, upper case", "traefik GHSA-6jwx-7vp4-9847", get("/public/%2E%2E/admin"), refused},
		{"half encoded dots", "PX-11", get("/public/.%2e/admin"), refused},
		{"other half encoded dots", "PX-11", get("/public/%2e./admin"), refused},
		{"encoded slash after dots", "CVE-2021-29492 (Envoy)", get("/public/..%2fadmin"), refused},
		{"encoded slash, upper case", "CVE-2021-29492 (Envoy)", get("/public/..%2Fadmin"), refused},
		{"encoded backslash after dots", "CVE-2021-29492 (Envoy)", get("/public/..%5cadmin"), refused},
		{"encoded backslashes", "traefik GHSA-gm3x-23wp-hc2c", get("/public/%5c..%5cadmin"), refused},
		{"backslash", "PX-11", get(`/public/..\admin`), refused},
		{"all encoded", "openhole GHSA-fh2f-xfxc-q9cc", get("/public%2f..%2fadmin"), refused},
		{"encoded twice", "PX-11, CVE-2021-42013 (Apache)", get("/public/%252e%252e/admin"), refused},
		{"encoded twice, as digits", "CVE-2021-42013 (Apache)", get("/public/%%32%65%%32%65/admin"), malform},
		{"encoded three times", "PX-11", get("/public/%25252e%25252e/admin"), refused},
		{"half encoded dot", "CVE-2021-41773 (Apache)", get("/public/.%2e/%2e%2e/etc/passwd"), refused},
		{"three dots", "PX-11 (Windows)", get("/public/.../admin"), refused},
		{"dots and a space", "PX-11 (Windows)", get("/public/..%20/admin"), refused},
		{"overlong UTF-8 dots", "PX-11, CVE-2008-2938 (Tomcat)", get("/public/%c0%ae%c0%ae/admin"), refused},
		{"overlong UTF-8 slash", "CVE-2000-0884 (IIS)", get("/public/..%c0%afadmin"), refused},
		{"four-byte slash", "PX-11", get("/public/..%f0%80%80%afadmin"), refused},
		{"surrogate", "PX-11", get("/public/%ed%a0%80"), refused},
		{"Latin-1", "PX-11", get("/public/caf%e9"), refused},
		{"%u notation", "CVE-2000-0884 (IIS)", get("/public/%u002e%u002e/admin"), malform},
		{"broken encoding", "PX-11", get("/public/%2"), malform},
		{"a letter encoded", "traefik GHSA-cxjq-mrr5-89rv", get("/public/%61dmin"), refused},
		{"a route encoded", "PX-10", get("/%61pi/x"), refused},
		{"the gateway's own path encoded", "PX-10", get("/%62ff/session", csrf), refused},

		// Path parameters.
		{"dots with a parameter", "PX-11 (Tomcat)", get("/public/..;/admin"), refused},
		{"dots with a named parameter", "CVE-2018-1199 (Spring)", get("/public/..;a=b/admin"), refused},
		{"a parameter at the end", "CVE-2018-1199 (Spring)", get("/public/x;.css"), refused},
		{"an encoded semicolon", "PX-11", get("/public/..%3b/admin"), refused},
		{"a parameter in the gateway's path", "PX-26", get("/bff/session;.js", csrf, alice), refused},

		// Empty segments.
		{"two slashes", "CVE-2023-20860 (Spring)", get("/public//admin"), refused},
		{"two slashes at the start", "CVE-2023-20860 (Spring)", get("//api/x"), refused},
		{"two slashes and a host", "PX-11", get("//evil.example/api/x"), refused},
		{"two slashes, then dots", "nginx merge_slashes", get("/public//../admin"), refused},
		{"two slashes at the end", "PX-11", get("/public//"), refused},
		{"a slash and an encoded one", "CVE-2021-29492 (Envoy)", get("/public/%2fadmin"), refused},

		// Spaces.
		{"a space at the end", "CVE-2016-5007 (Spring)", get("/admin%20"), notFound},
		{"a segment of spaces", "CVE-2016-5007 (Spring)", get("/public/%20/x"), refused},

		// Segment borders, case, normalisation.
		{"the prefix is longer", "PX-14", get("/publicity"), notFound},
		{"alias, off by a slash", "PX-14 (nginx alias)", get("/public../admin"), notFound},
		{"stripped prefix, off by a slash", "PX-14 (nginx alias)", get("/short../admin"), notFound},
		{"stripped prefix, dots", "CVE-2024-38819 (Spring)", get("/short/../admin"), refused},
		{"stripped prefix, encoded dots", "PX-10", get("/short/%2e%2e/admin"), refused},
		{"stripped prefix, a host", "PX-10", get("/short//evil.example/x"), refused},
		{"upper case", "PX-14", get("/PUBLIC/x"), notFound},
		{"upper case of a route with a token", "PX-14", get("/API/x"), notFound},
		{"no route", "PX-10", get("/admin"), notFound},
		{"no route, the root", "PX-10", get("/"), notFound},

		// Control characters.
		{"NUL", "PX-11", get("/public/x%00/../admin"), refused},
		{"NUL before a suffix", "PX-11", get("/api/x%00.css", alice, csrf), refused},
		{"CR LF", "CVE-2022-22978 (Spring)", get("/public/x%0d%0aX-User-Id:%20forged"), refused},
		{"LF", "CVE-2022-22978 (Spring)", get("/admin/x%0a"), refused},
		{"tab", "PX-11", get("/public/x%09y"), refused},
		{"DEL", "PX-11", get("/public/x%7f"), refused},
		{"next line, C1", "PX-11", get("/public/x%C2%85"), refused},
		{"a raw tab", "PX-11", get("/public/x\ty"), malform},
		{"a raw NUL", "PX-11", get("/public/x\x00y"), malform},
		{"a raw DEL", "PX-11", get("/public/x\x7f"), malform},
		{"raw bytes above ASCII", "PX-11", get("/public/\xc0\xae"), refused},
		{"a raw space", "PX-11", get("/public/x y"), malform},

		// What belongs to the path and what does not.
		{"fragment", "CVE-2021-32779 (Envoy)", get("/public/x#/../admin"), refused},
		{"fragment in the query", "CVE-2021-32779 (Envoy)", get("/public/x?#/../admin"), refused},
		{"fragment before the secret", "CVE-2021-32779 (Envoy)", get("/admin#/public/"), refused},
		{"an encoded question mark", "PX-12", get("/admin%3F/public/"), notFound},
		{"public path in the query", "oauth2-proxy GHSA-7rh7-c77v-6434", get("/api/x?/public/"), "403 csrf_header_missing"},
		{"public path in a parameter", "oauth2-proxy GHSA-7rh7-c77v-6434", get("/api/x?next=/public/x", csrf), "401 unauthenticated"},
		{"public path in the fragment", "oauth2-proxy GHSA-pxq7-h93f-9jrg", get("/api/x#/public/", csrf), refused},
		{"public path as a suffix", "PX-12", get("/api/public/", csrf), "401 unauthenticated"},
		{"secret in the query", "PX-12", get("/public/x?/../admin"), "200 GET /public/x?/../admin"},
		{"health check", "oauth2-proxy GHSA-5hvv-m4w4-gf6v", get("/api/x", csrf, "User-Agent: GoogleHC/1.0"), "401 unauthenticated"},
		{"health check by kubelet", "PX-13", get("/api/x", csrf, "User-Agent: kube-probe/1.30"), "401 unauthenticated"},
		{"preflight", "PX-13", request("OPTIONS", "/api/x", csrf), "401 unauthenticated"},
		{"X-Original-URL", "PX-13, CVE-2018-14773 (Symfony)", get("/api/x", csrf, "X-Original-URL: /public/x"), "401 unauthenticated"},
		{"X-Rewrite-URL", "PX-13 (IIS)", get("/admin", "X-Rewrite-URL: /public/x"), notFound},
		{"X-Forwarded-Uri", "oauth2-proxy GHSA-7x63-xv5r-3p2x", get("/api/x", csrf, "X-Forwarded-Uri: /public/x"), "401 unauthenticated"},
		{"method override", "PX-13", request("POST", "/api/x", csrf, "X-HTTP-Method-Override: GET", "Content-Length: 0"), "401 unauthenticated"},
		{"static suffix on an API", "PX-26", get("/api/me/x.css", csrf), "401 unauthenticated"},

		// Forms of the request target (RFC 9112 §3.2).
		{"absolute form, another host", "PX-09", get("http://evil.example/public/x"), "421 misdirected"},
		{"absolute form, the upstream", "PX-09", get("http://127.0.0.1/public/x"), "421 misdirected"},
		{"absolute form, user info", "PX-09", get("http://" + host + "@evil.example/public/x"), "421 misdirected"},
		{"absolute form, dots", "PX-11", get("http://" + host + "/public/../admin"), refused},
		{"absolute form, no path", "PX-11", get("http://" + host), refused},
		{"absolute form, two slashes", "PX-11", get("http://" + host + "//admin"), refused},
		{"absolute form, another scheme", "PX-11", get("gopher://" + host + "/admin"), notFound},
		{"absolute form, scheme without slashes", "PX-11", get("http:/admin"), refused},
		{"file", "PX-11", get("file:///etc/passwd"), refused},
		{"asterisk form", "PX-16", request("OPTIONS", "*"), refused},
		{"asterisk form with GET", "PX-11", get("*"), refused},
		{"authority form", "PX-16", request("CONNECT", "127.0.0.1:22"), "421 misdirected"},
		{"authority form with GET", "PX-11", get("evil.example:443"), refused},
		{"user info in the path", "PX-11", get("@evil.example/x"), malform},
		{"no slash", "PX-11", get("public/x"), malform},
		{"CONNECT with a path", "PX-16", request("CONNECT", "/public/x"), "405 method_not_allowed"},
		{"TRACE", "PX-16", request("TRACE", "/public/x"), "405 method_not_allowed"},
		{"TRACK", "PX-16", request("TRACK", "/public/x"), "405 method_not_allowed"},
		{"unknown method", "PX-16", request("PROPFIND", "/public/x"), "405 method_not_allowed"},
		{"lower case method", "PX-16", request("get", "/public/x"), "405 method_not_allowed"},
		{"HTTP/2 preface", "PX-16", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "421 misdirected"},
	})
}
