package optest

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
)

// Fault is one thing that the OP does wrong. The zero value is none.
type Fault struct {
	name string
	when func(*http.Request) bool // nil: always

	metadata      func(map[string]any)
	jwks          func(JWKS) JWKS
	authorization func(url.Values)
	beforeIDToken func(*OP) error
	idToken       func(*JWT)
	token         func(map[string]any)
	userInfo      func(map[string]any)
	pushed        func(map[string]any)
	response      func(*JWT)                      // JARM
	outside       func(outside, plain url.Values) // of the JARM response
	userInfoJWT   func(*JWT)
	userInfoAlg   func(*OP) string // in place of the registered one
	logoutToken   func(*JWT)
	logout        func(url.Values)

	endpoint Endpoint // of reply
	reply    func(w http.ResponseWriter, r *http.Request, honest http.Handler)
}

// String names the fault, for the names of subtests.
func (f Fault) String() string { return f.name }

// Fault makes the OP do these things wrong, besides those it does already.
func (op *OP) Fault(faults ...Fault) {
	op.mu.Lock()
	defer op.mu.Unlock()
	op.faults = append(op.faults, faults...)
}

// ClearFaults makes the OP honest again.
func (op *OP) ClearFaults() {
	op.mu.Lock()
	defer op.mu.Unlock()
	op.faults = nil
}

// activeFaults returns those that concern r.
func (op *OP) activeFaults(r *http.Request) []Fault {
	op.mu.Lock()
	defer op.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(op.faults), func(f Fault) bool { return f.when != nil && !f.when(r) })
}

func (f Fault) wrap(honest http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { f.reply(w, r, honest) })
}

// OnRefresh limits a fault of the token endpoint to the answers to refresh requests (RFR-01 to RFR-13).
func OnRefresh(f Fault) Fault { return OnGrantType("refresh_token", f) }

// OnGrantType limits a fault of the token endpoint to requests with this grant_type.
func OnGrantType(grantType string, f Fault) Fault {
	f.name += " on " + grantType
	f.when = func(r *http.Request) bool { return r.PostForm.Get("grant_type") == grantType }
	return f
}

// setting names a fault that sets one member of where.
func setting(where, member string, value any) string {
	return fmt.Sprintf("%s with %s=%.40v", where, member, value)
}

// EditMetadata changes the metadata document just before it is sent.
func EditMetadata(name string, edit func(metadata map[string]any)) Fault {
	return Fault{name: name, metadata: edit}
}

// JWKS is the list of public keys as it is sent, each a JWK (RFC 7517).
type JWKS []map[string]any

// EditJWKS replaces the published keys.
func EditJWKS(name string, edit func(JWKS) JWKS) Fault { return Fault{name: name, jwks: edit} }

// EditAuthorizationResponse changes the parameters with which the browser is sent back to the client. A parameter
// with several values is sent several times.
func EditAuthorizationResponse(name string, edit func(response url.Values)) Fault {
	return Fault{name: name, authorization: edit}
}

// EditIDToken changes header and claims of ID tokens just before they are signed. The signature is made with the
// OP's key whatever the header says.
func EditIDToken(name string, edit func(*JWT)) Fault { return Fault{name: name, idToken: edit} }

// EditTokenResponse changes successful answers of the token endpoint.
func EditTokenResponse(name string, edit func(response map[string]any)) Fault {
	return Fault{name: name, token: edit}
}

// EditUserInfo changes successful answers of the userinfo endpoint.
func EditUserInfo(name string, edit func(claims map[string]any)) Fault {
	return Fault{name: name, userInfo: edit}
}

// EditPushedResponse changes successful answers of the pushed authorization request endpoint (RFC 9126, 2.2).
func EditPushedResponse(name string, edit func(response map[string]any)) Fault {
	return Fault{name: name, pushed: edit}
}

// EditResponseJWT changes header and claims of JARM responses just before they are signed.
func EditResponseJWT(name string, edit func(*JWT)) Fault { return Fault{name: name, response: edit} }

// EditUserInfoJWT changes header and claims of signed userinfo just before it is signed.
func EditUserInfoJWT(name string, edit func(*JWT)) Fault { return Fault{name: name, userInfoJWT: edit} }

// EditLogoutToken changes header and claims of logout tokens just before they are signed.
func EditLogoutToken(name string, edit func(*JWT)) Fault { return Fault{name: name, logoutToken: edit} }

// EditLogoutResponse changes the parameters with which the browser is sent back after RP-initiated logout.
func EditLogoutResponse(name string, edit func(response url.Values)) Fault {
	return Fault{name: name, logout: edit}
}

// Reply takes an endpoint over: reply answers, and may call honest for what the OP would have said.
func Reply(name string, e Endpoint, reply func(w http.ResponseWriter, r *http.Request, honest http.Handler)) Fault {
	return Fault{name: name, endpoint: e, reply: reply}
}
