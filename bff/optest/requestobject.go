package optest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

const requestObjectTyp = "oauth-authz-req+jwt" // RFC 9101, 10.8

// A requestJTI names a request object that was used.
type requestJTI struct{ client, jti string }

// requestClaims are those that make a JWT of a request object, and are no parameters of the request.
type requestClaims struct {
	jwt.Claims
	ClientID string `json:"client_id"`
}

// readRequestObject returns the parameters of a request object passed by value (RFC 9101, 5.1). What stands beside it
// counts for nothing (6.3).
func (op *OP) readRequestObject(client Client, form url.Values) (url.Values, error) {
	token, err := op.verifyRequestObject(client, form.Get("request"))
	if err != nil {
		return nil, badRequestObject(err.Error())
	}
	var claims requestClaims
	members := map[string]json.RawMessage{}
	if err := token.UnsafeClaimsWithoutVerification(&claims, &members); err != nil {
		return nil, badRequestObject("its claims cannot be read")
	}
	if reason := op.checkRequestObject(client, claims, members); reason != "" {
		return nil, badRequestObject(reason)
	}
	parameters := url.Values{}
	for name, value := range members {
		if slices.Contains([]string{"iss", "aud", "exp", "nbf", "iat", "jti", "sub"}, name) {
			continue
		}
		if parameters[name], err = parameterValues(name, value); err != nil {
			return nil, badRequestObject(err.Error())
		}
	}
	return parameters, nil
}

func badRequestObject(reason string) *refusal {
	return refuse("invalid_request_object", "the request object is refused: "+reason)
}

// verifyRequestObject checks type, algorithm and signature (RFC 9101, 6.2 and 10.8).
func (op *OP) verifyRequestObject(client Client, object string) (*jwt.JSONWebToken, error) {
	algs := signingAlgs
	if client.RequestObjectAlg != "" {
		algs = []jose.SignatureAlgorithm{jose.SignatureAlgorithm(client.RequestObjectAlg)}
	}
	token, err := jwt.ParseSigned(object, algs)
	if err != nil {
		return nil, fmt.Errorf("it is no JWT with a registered algorithm")
	}
	header := token.Headers[0]
	typ, _ := header.ExtraHeaders[jose.HeaderType].(string)
	if !strings.EqualFold(strings.TrimPrefix(typ, "application/"), requestObjectTyp) {
		return nil, fmt.Errorf("its typ is not %s", requestObjectTyp)
	}
	keys, err := op.clientKeys(client, header.KeyID)
	if err != nil {
		return nil, err
	}
	if !slices.ContainsFunc(keys, func(k jose.JSONWebKey) bool { return signedWith(token, k) }) {
		return nil, fmt.Errorf("it is not signed with a key of the client")
	}
	return token, nil
}

// signedWith reports whether k is meant for a signature like that of the token, and made it.
func signedWith(token *jwt.JSONWebToken, k jose.JSONWebKey) bool {
	return (k.Use == "" || k.Use == "sig") &&
		(k.Algorithm == "" || k.Algorithm == token.Headers[0].Algorithm) &&
		token.Claims(k) == nil
}

// checkRequestObject says what is wrong with the claims of a request object, "" if nothing is. Its jti, if it has one,
// is then used up.
func (op *OP) checkRequestObject(client Client, claims requestClaims, members map[string]json.RawMessage) string {
	now := op.now()
	switch {
	case claims.Issuer != client.ID:
		return "iss is not the client"
	case !claims.Audience.Contains(op.issuer):
		return "aud does not contain the issuer"
	case claims.ClientID != client.ID:
		return "client_id is not that of the request"
	case claims.Subject == client.ID:
		return "sub is the client, as in an assertion" // RFC 9101, 10.8
	case claims.Expiry == nil || !now.Before(claims.Expiry.Time()):
		return "it has expired or never does"
	case claims.NotBefore != nil && now.Before(claims.NotBefore.Time()):
		return "it is not valid yet"
	case members["request"] != nil || members["request_uri"] != nil:
		return "it refers to another request" // RFC 9101, 4
	case claims.ID == "":
		return ""
	}
	op.mu.Lock()
	defer op.mu.Unlock()
	id := requestJTI{client.ID, claims.ID}
	if op.requestJTIs[id] {
		return "it was used before"
	}
	op.requestJTIs[id] = true
	return ""
}

// parameterValues makes a request parameter of a claim: several values only for resource, JSON for what is no string
// (RFC 9101, 4; RFC 9396, 3; OpenID Connect Core, 6.1).
func parameterValues(name string, claim json.RawMessage) ([]string, error) {
	var text string
	var several []string
	switch {
	case bytes.ContainsAny(claim[:1], "ntf"): // null, true, false
		return nil, fmt.Errorf("the parameter %s is neither text, number, array nor object", name)
	case json.Unmarshal(claim, &text) == nil:
		return []string{text}, nil
	case name == "resource" && json.Unmarshal(claim, &several) == nil:
		return several, nil
	}
	return []string{string(claim)}, nil
}
