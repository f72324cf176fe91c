package optest

import (
	"crypto/x509"
	"net/http"
	"net/url"
	"slices"
	"time"
)

// Request is one that the OP received, with everything in it, secrets included.
type Request struct {
	Time     time.Time
	Endpoint Endpoint
	Method   string
	Host     string // where it arrived; mtls_endpoint_aliases are at a host of their own
	Path     string
	Query    url.Values
	Form     url.Values // of the body
	Header   http.Header

	Certificate *x509.Certificate // that the client presented, nil for none
}

func (op *OP) record(e Endpoint, r *http.Request) {
	request := Request{
		Time:     op.now(),
		Endpoint: e,
		Method:   r.Method,
		Host:     r.Host,
		Path:     r.URL.Path,
		Query:    r.URL.Query(),
		Form:     r.PostForm,
		Header:   r.Header.Clone(),
	}
	if chain := certificates(r); len(chain) > 0 {
		request.Certificate = chain[0]
	}
	op.mu.Lock()
	defer op.mu.Unlock()
	op.requests = append(op.requests, request)
}

// Requests returns what an endpoint has received so far, oldest first.
func (op *OP) Requests(e Endpoint) []Request {
	op.mu.Lock()
	defer op.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(op.requests), func(r Request) bool { return r.Endpoint != e })
}

// Count returns how many requests an endpoint has received.
func (op *OP) Count(e Endpoint) int { return len(op.Requests(e)) }

// CountGrants returns how many token requests with this grant_type were received, well or ill answered.
func (op *OP) CountGrants(grantType string) int {
	n := 0
	for _, r := range op.Requests(TokenEndpoint) {
		if r.Form.Get("grant_type") == grantType {
			n++
		}
	}
	return n
}

// ForgetRequests empties the record, of logout deliveries too.
func (op *OP) ForgetRequests() {
	op.mu.Lock()
	defer op.mu.Unlock()
	op.requests, op.deliveries = nil, nil
}
