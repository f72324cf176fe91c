package proxy

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// errUnwritable is the error for a request that is none. Its parts come from the browser, so it does not quote them.
var errUnwritable = errors.New("the request has a part that cannot be written to an upstream")

// appendRequest writes a request with its body (RFC 9112 §3). There is one Content-Length or none, which is that of
// req.ContentLength; what req.Header says of the message is ignored, as in net/http.
func appendRequest(b []byte, req *http.Request) ([]byte, error) {
	b, err := appendHead(b, req)
	if err == nil && req.ContentLength > 0 {
		b, err = appendBody(b, req)
	}
	return b, err
}

func appendHead(b []byte, req *http.Request) ([]byte, error) {
	method, path, host := req.Method, req.URL.EscapedPath(), req.Host
	if method == "" {
		method = http.MethodGet
	}
	if path == "" {
		path = "/"
	}
	if host == "" {
		host = req.URL.Host
	}
	if !isToken(method) || path[0] != '/' || !isVisible(path) || !isVisible(req.URL.RawQuery) ||
		!isHostPort(host) {
		return b, errUnwritable
	}
	b = append(append(append(b, method...), ' '), path...)
	if req.URL.ForceQuery || req.URL.RawQuery != "" {
		b = append(append(b, '?'), req.URL.RawQuery...)
	}
	b = append(append(append(b, " HTTP/1.1\r\nHost: "...), host...), "\r\n"...)
	if req.ContentLength > 0 || method == http.MethodPost || method == http.MethodPut || method == http.MethodPatch {
		b = append(strconv.AppendInt(append(b, "Content-Length: "...), req.ContentLength, 10), "\r\n"...)
	}
	if req.Close {
		b = append(b, "Connection: close\r\n"...)
	}
	for name, values := range req.Header {
		if isMessageField(name) {
			continue
		}
		if !httpguts.ValidHeaderFieldName(name) {
			return b, errUnwritable
		}
		if name == "User-Agent" {
			values = values[:min(1, len(values))] // as net/http has it
		}
		for _, value := range values {
			if !httpguts.ValidHeaderFieldValue(value) {
				return b, errUnwritable
			}
			if value == "" && name == "User-Agent" {
				continue // by which httputil.ReverseProxy says that there is none
			}
			b = append(append(append(append(b, name...), ": "...), strings.Trim(value, " \t")...), "\r\n"...)
		}
	}
	return append(b, "\r\n"...), nil
}

// appendBody writes exactly as many bytes as were announced, or fails.
func appendBody(b []byte, req *http.Request) ([]byte, error) {
	head, length := len(b), int(req.ContentLength)
	for {
		if cap(b)-len(b) == 0 {
			grown := make([]byte, len(b), head+length+1)
			copy(grown, b)
			b = grown
		}
		n, err := req.Body.Read(b[len(b):min(cap(b), head+length+1)])
		b = b[:len(b)+n]
		switch {
		case len(b)-head > length, err == io.EOF && len(b)-head < length:
			return b, fmt.Errorf("the body of the request is not as long as its Content-Length %d", length)
		case err == io.EOF:
			return b, nil
		case err != nil:
			return b, err
		}
	}
}

// isMessageField reports whether a field, in any case, is one that appendHead writes from something else.
// [http.Transport] leaves out the same ones.
func isMessageField(name string) bool {
	switch len(name) {
	case 4:
		return strings.EqualFold(name, "Host")
	case 7:
		return strings.EqualFold(name, "Trailer")
	case 14:
		return strings.EqualFold(name, "Content-Length")
	case 17:
		return strings.EqualFold(name, "Transfer-Encoding")
	}
	return false
}

// isVisible reports whether a text can be part of a request target: no control characters, no blanks.
func isVisible(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] == 0x7f {
			return false
		}
	}
	return true
}

// isHostPort reports whether a text consists of what a host name or address and a port are made of.
func isHostPort(s string) bool {
	for i := range len(s) {
		if c := s[i]; !isAlphanumeric(c) && strings.IndexByte(".-_:[]", c) < 0 {
			return false
		}
	}
	return s != ""
}

// withPort is the address to dial for an http or https URL.
func withPort(u *url.URL) string {
	switch {
	case u.Port() != "":
		return u.Host
	case u.Scheme == "https":
		return net.JoinHostPort(u.Hostname(), "443")
	}
	return net.JoinHostPort(u.Hostname(), "80")
}
