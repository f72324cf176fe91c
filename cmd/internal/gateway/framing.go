package gateway

import "net/http"

// isAmbiguous reports whether the next request may begin elsewhere for a server in front of us than for net/http, so that
// the connection has to close after the answer (PX-17, RFC 9112 §6.1): in HTTP/1.0 it ignores Transfer-Encoding, and in
// HTTP/1.1 it ignores a Content-Length beside it, and tells nobody.
func isAmbiguous(r *http.Request) bool {
	return r.ProtoMajor == 1 && (r.ProtoMinor == 0 || r.ContentLength < 0)
}
