package attack_test

import (
	"strings"
	"testing"
)

// hidden is a request inside a body, of 70 bytes, and chunked the same as one chunk.
const (
	hidden  = "GET /api/hidden HTTP/1.1\r\nHost: " + host + "\r\nX-Smuggled: 12345\r\n\r\n"
	chunked = "46\r\n" + hidden + "\r\n0\r\n\r\n"

	notImplemented = "501" // the transfer coding
)

// TestRequestSmuggling: where a request ends is decided once, and the upstream sees exactly the requests that the
// gateway has seen (PX-17, RFC 9112 §6 and §11.2). What is hidden in a body asks for /api/hidden: without a session it
// can only be refused, if it is a request at all, and never reaches the upstream as a request of its own. A connection
// ends with the answer to a request in chunks: net/http has forgotten by then whether it had a length too.
func TestRequestSmuggling(t *testing.T) {
	t.Parallel()
	if len(hidden) != 70 {
		t.Fatalf("hidden has %d bytes", len(hidden))
	}
	const (
		ok     = "200 POST /public/x"
		noCSRF = "403 csrf_header_missing"
	)
	newSuite(t, config{}).run(t, []attack{
		// One length or the other (CL.TE, TE.CL).
		{"CL.TE", "PX-17, RFC 9112 §6.1", post("0\r\n\r\n"+hidden, "Content-Length: 75", "Transfer-Encoding: chunked") + last, ok},
		{"TE.CL", "PX-17, RFC 9112 §6.1", post(chunked, "Content-Length: 4", "Transfer-Encoding: chunked") + last, ok},
		{"CL.TE, TE first", "PX-17", post(chunked, "Transfer-Encoding: chunked", "Content-Length: 4") + last, ok},
		{"CL.0", "PX-17", get("/public/x", "Content-Length: 70") + hidden, "200 GET /public/x"},
		{"chunks in an ordinary body", "PX-17", post(chunked, "Content-Length: 81") + last, ok + ", " + lastAnswer},

		// Transfer-Encoding that some do not recognise (TE.TE).
		{"two Transfer-Encodings", "PX-17", post(chunked, "Transfer-Encoding: chunked", "Transfer-Encoding: identity") + last, notImplemented},
		{"chunked twice", "PX-17", post(chunked, "Transfer-Encoding: chunked, chunked") + last, notImplemented},
		{"chunked, identity", "PX-17", post(chunked, "Transfer-Encoding: chunked, identity") + last, notImplemented},
		{"identity", "PX-17", post(chunked, "Transfer-Encoding: identity") + last, notImplemented},
		{"identity and a length", "PX-17", post(hidden, "Transfer-Encoding: identity", "Content-Length: 70") + last, notImplemented},
		{"gzip, chunked", "PX-17", post(chunked, "Transfer-Encoding: gzip, chunked") + last, notImplemented},
		{"xchunked", "PX-17", post(chunked, "Transfer-Encoding: xchunked") + last, notImplemented},
		{"chunked in quotes", "PX-17", post(chunked, `Transfer-Encoding: "chunked"`) + last, notImplemented},
		{"chunked with a parameter", "PX-17", post(chunked, "Transfer-Encoding: chunked;q=1") + last, notImplemented},
		{"chunked after a vertical tab", "PX-17", post(chunked, "Transfer-Encoding: \x0bchunked") + last, malform},
		{"chunked after a tab", "PX-17", post(chunked, "Transfer-Encoding:\tchunked", "Connection: close"), ok},
		{"chunked before a NUL", "PX-17", post(chunked, "Transfer-Encoding: chunked\x00") + last, malform},
		{"upper case", "PX-17", post(chunked, "TRANSFER-ENCODING: CHUNKED", "Connection: close"), ok},
		{"space before the colon", "PX-17, RFC 9112 §5.1", post(chunked, "Transfer-Encoding : chunked") + last, malform},
		{"space before the name", "PX-17, RFC 9112 §5.2", post(hidden, "X: y", " Transfer-Encoding: chunked", "Content-Length: 70") + last, ok + ", " + lastAnswer},
		{"an empty value", "PX-17", post(chunked, "Transfer-Encoding:") + last, notImplemented},
		{"underscore", "PX-17", post(hidden, "Transfer_Encoding: chunked", "Content-Length: 70") + last, ok + ", " + lastAnswer},
		{"long s", "PX-17", post(hidden, "Tran\u017ffer-Encoding: chunked", "Content-Length: 70") + last, malform},
		{"Kelvin sign", "PX-17", post(hidden, "Transfer-Encoding: chun\u212aed", "Content-Length: 70") + last, notImplemented},
		{"TE on HTTP/1.0", "RFC 9112 §6.1", "POST /public/x HTTP/1.0\r\nHost: " + host + "\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked + last, ok},

		// Lengths.
		{"two lengths", "PX-17", post(hidden, "Content-Length: 0", "Content-Length: 70") + last, malform},
		{"two lengths in one field", "PX-17", post(hidden, "Content-Length: 0, 70") + last, malform},
		{"the same length twice", "RFC 9110 §8.6", post(hidden, "Content-Length: 70", "Content-Length: 70") + last, ok + ", " + lastAnswer},
		{"the same length twice in one field", "RFC 9110 §8.6", post(hidden, "Content-Length: 70, 70") + last, malform},
		{"plus sign", "PX-17", post(hidden, "Content-Length: +70") + last, malform},
		{"minus sign", "PX-17", post(hidden, "Content-Length: -70") + last, malform},
		{"minus zero", "PX-17", post(hidden, "Content-Length: -0") + last, malform},
		{"hexadecimal", "PX-17", post(hidden, "Content-Length: 0x46") + last, malform},
		{"space inside", "PX-17", post(hidden, "Content-Length: 7 0") + last, malform},
		{"underscore inside", "PX-17", post(hidden, "Content-Length: 7_0") + last, malform},
		{"decimal point", "PX-17", post(hidden, "Content-Length: 70.0") + last, malform},
		{"an empty length", "PX-17", post(hidden, "Content-Length:") + last, malform},
		{"Arabic digits", "PX-17", post(hidden, "Content-Length: \u0667\u0660") + last, malform},
		{"larger than 64 bits", "PX-17", post(hidden, "Content-Length: 18446744073709551686") + last, malform},
		{"leading zeros", "PX-17", post(hidden, "Content-Length: 0070") + last, ok + ", " + lastAnswer},

		// Chunks.
		{"chunk size with a sign", "PX-17", post("+46\r\n"+hidden+"\r\n0\r\n\r\n", "Transfer-Encoding: chunked") + last, "400 bad_request"},
		{"chunk size with 0x", "PX-17", post("0x46\r\n"+hidden+"\r\n0\r\n\r\n", "Transfer-Encoding: chunked") + last, "400 bad_request"},
		{"chunk size overflows", "PX-17", post("ffffffffffffffff46\r\n"+hidden+"\r\n0\r\n\r\n", "Transfer-Encoding: chunked") + last, "400 bad_request"},
		{"chunk size is negative as int64", "PX-17", post("ffffffffffffffba\r\n"+hidden+"\r\n0\r\n\r\n", "Transfer-Encoding: chunked") + last, "504 upstream_timeout"},
		{"no chunk size", "PX-17", post("\r\n"+hidden+"\r\n0\r\n\r\n", "Transfer-Encoding: chunked") + last, "400 bad_request"},
		{"bytes after the chunk", "PX-17", post("1\r\nxy\r\n0\r\n\r\n"+hidden, "Transfer-Encoding: chunked") + last, "400 bad_request"},
		{"bare LF after the size", "PX-17, CVE-2025-22871 (Go)", post("46\n"+hidden+"\r\n0\r\n\r\n", "Transfer-Encoding: chunked") + last, "400 bad_request"},
		{"bare LF after the chunk", "PX-17", post("46\r\n"+hidden+"\n0\r\n\r\n", "Transfer-Encoding: chunked") + last, "400 bad_request"},
		{"bare CR after the size", "PX-17", post("46\r"+hidden+"\r\n0\r\n\r\n", "Transfer-Encoding: chunked") + last, "400 bad_request"},
		{"LF in an extension", "PX-17, CVE-2025-22871 (Go)", post("2;x\nxx\r\n46\r\n"+hidden+"\r\n0\r\n\r\n", "Transfer-Encoding: chunked") + last, "400 bad_request"},
		{"an extension", "PX-17", post("46;x=\"y\"\r\n"+hidden+"\r\n0\r\n\r\n", "Transfer-Encoding: chunked", "Connection: close"), ok},
		{"many extensions", "CVE-2023-39326 (Go)", post(strings.Repeat("1;"+strings.Repeat("x", 4000)+"\r\nx\r\n", 64)+"0\r\n\r\n", "Transfer-Encoding: chunked") + last, "400 bad_request"},
		{"a trailer that is a request", "PX-27", post("0\r\nX-Smuggled: 1\r\n\r\n", "Transfer-Encoding: chunked") + last, ok},
		{"a trailer that is no field", "PX-17", post("0\r\n"+hidden, "Transfer-Encoding: chunked") + last, "400 bad_request"},

		// Header syntax.
		{"obs-fold", "PX-17, RFC 9112 §5.2", get("/public/x", "X-A: b\r\n X-User-Id: forged"), "200 GET /public/x"},
		{"obs-fold in the first field", "PX-17", "GET /public/x HTTP/1.1\r\n Host: " + host + "\r\n\r\n" + last, malform},
		{"NUL in a value", "PX-17", get("/public/x", "X-A: b\x00c"), malform},
		{"CR in a value", "PX-17", get("/public/x", "X-A: b\rX-B: c"), malform},
		{"NUL in a name", "PX-17", get("/public/x", "X\x00A: b"), malform},
		{"no colon", "PX-17", get("/public/x", "X-A"), malform},
		{"an empty name", "PX-17", get("/public/x", ": x"), malform},
		{"request line with a bare CR", "PX-17", "GET /public/x\rHTTP/1.1\r\nHost: " + host + "\r\n\r\n" + last, malform},
		{"request line without a version", "PX-17 (HTTP/0.9)", "GET /public/x\r\n" + last, malform},
		{"HTTP/0.9 by name", "PX-17", message("GET /public/x HTTP/0.9", "Host: "+host), "505"},
		{"HTTP/1.2", "PX-17", message("GET /public/x HTTP/1.2", "Host: "+host, "Connection: close"), "200 GET /public/x"},
		{"HTTP/2.0 in the request line", "PX-17", message("GET /public/x HTTP/2.0", "Host: "+host), "505"},
		{"http/1.1 in lower case", "PX-17", message("GET /public/x http/1.1", "Host: "+host), malform},
		{"two spaces in the request line", "PX-17", message("GET  /public/x HTTP/1.1", "Host: "+host) + last, malform},
		{"tab in the request line", "PX-17", message("GET\t/public/x HTTP/1.1", "Host: "+host) + last, malform},
		{"a header of a megabyte", "PX-34", get("/public/x", "X-A: "+strings.Repeat("a", 1<<20)), "431"},
		{"10 000 fields", "PX-34", get("/public/x", strings.Repeat("A: b\r\n", 20_000)+"C: d"), "431"},

		// One connection, several requests.
		{"pipelined, the second needs a session", "PX-17", pipelinedGet("/public/x") + hidden + last, "200 GET /public/x, " + noCSRF + ", " + lastAnswer},
		{"the session does not stay", "PX-17", pipelinedGet("/api/x", alice, csrf) + hidden + last, "200 GET /api/x, " + noCSRF + ", " + lastAnswer},
		{"a body on GET", "PX-17", pipelinedGet("/public/x", "Content-Length: 70") + hidden + last, "200 GET /public/x, " + lastAnswer},
		{"a body behind a refusal", "PX-17", postTo("/admin", hidden, "Content-Length: 70") + last, notFound + ", " + lastAnswer},
		{"a malformed body behind a refusal", "PX-17", postTo("/admin", "zz\r\n"+hidden, "Transfer-Encoding: chunked") + last, notFound},
		{"a body behind a path that is refused", "PX-17", postTo("/public//x", hidden, "Content-Length: 70") + last, refused + ", " + lastAnswer},
		{"the client ends in the middle", "PX-17", post(hidden, "Content-Length: 70", "Connection: close") + hidden, ok},

		// Expect.
		{"100-continue, and the body at once", "PX-17", post(hidden, "Content-Length: 70", "Expect: 100-continue") + last, "100, " + ok + ", " + lastAnswer},
		{"100-continue on a refused path", "PX-17", postTo("/admin", hidden, "Content-Length: 70", "Expect: 100-continue") + last, notFound},
		{"100-continue on GET without a body", "PX-17", get("/public/x", "Expect: 100-continue"), "200 GET /public/x"},
		{"another expectation", "RFC 9110 §10.1.1", post(hidden, "Content-Length: 70", "Expect: magic") + last, "417"},
		{"100-continue obfuscated", "PX-17", post(hidden, "Content-Length: 70", "Expect: y 100-continue") + last, "100, " + ok + ", " + lastAnswer},
		{"100-continue folded", "PX-17", post(hidden, "Content-Length: 70", "Expect:\r\n 100-continue") + last, "100, " + ok + ", " + lastAnswer},
	})
}

// pipelinedGet and post are requests on a connection that stays open, of somebody who is not signed in.
func pipelinedGet(target string, fields ...string) string {
	return message("GET "+target+" HTTP/1.1", append([]string{"Host: " + host}, fields...)...)
}

func post(body string, fields ...string) string { return postTo("/public/x", body, fields...) }

func postTo(target, body string, fields ...string) string {
	return message("POST "+target+" HTTP/1.1", append([]string{"Host: " + host}, fields...)...) + body
}
