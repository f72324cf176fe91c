package rp

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// The rows of the table, in its order.

func (e *examination) identity() {
	issuer, err := e.doc.text("issuer")
	row := Capability{Name: "issuer", Asked: e.cfg.Issuer, Offered: shown(issuer)}
	switch {
	case err != nil:
		row.Advice = err.Error()
	case issuer != e.cfg.Issuer: // DIS-01: code point by code point
		row.Advice = fmt.Sprintf("its issuer is %q, the configuration says %q; they must be equal", shown(issuer), e.cfg.Issuer)
	default:
		row.Met, e.metadata.Issuer = true, issuer
	}
	e.add(row)

	err = errors.Join(e.metadata.readEndpoints(e.doc, e.cfg), e.metadata.useAliases(e.doc, e.cfg))
	row = Capability{Name: "endpoints", Asked: "https", Offered: "https", Met: err == nil}
	if strings.HasPrefix(e.cfg.Issuer, "http:") {
		row.Asked, row.Offered = "https, or http on loopback", "http on loopback"
	}
	if err != nil {
		row.Offered, row.Advice = "", strings.ReplaceAll(err.Error(), "\n", "; ")
	}
	e.add(row)
}

func (e *examination) client() {
	cfg := e.cfg
	e.list("client authentication", string(cfg.ClientAuth), "token_endpoint_auth_methods_supported",
		"set client_auth to the registered method")
	if cfg.ClientAuth.usesAssertion() {
		alg := macAlg
		if key, err := cfg.Keys.signer(""); cfg.ClientAuth == PrivateKeyJWT && err == nil {
			alg = key.Algorithm
		}
		e.list("client assertion algorithm", alg, "token_endpoint_auth_signing_alg_values_supported",
			"put a client key for one of the offered algorithms first")
	}
	if cfg.ClientAuth.usesTLS() {
		row := Capability{Name: "certificate endpoints", Offered: "mtls_endpoint_aliases", Met: true}
		if !e.doc.has("mtls_endpoint_aliases") {
			row.Offered, row.Advice = "", "the OP must ask for certificates at its ordinary endpoints"
		}
		e.add(row)
	}
}

func (e *examination) request() {
	cfg := e.cfg
	e.list("response type", "code", "response_types_supported", "the OP must allow the code flow")
	e.list("grant type", "authorization_code", "grant_types_supported", "the OP must allow the code flow")
	e.list("PKCE", "S256", "code_challenge_methods_supported",
		"the OP must allow it; there is no falling back to plain (FLOW-03)")
	e.pushedRequests()
	e.requestObject()
	if types, err := detailTypes(cfg.AuthorizationDetails); err == nil {
		for _, t := range types {
			e.list("authorization details", t, "authorization_details_types_supported",
				"leave the type out of authorization_details")
		}
	}
}

// pushedRequests is PAR-01.
func (e *examination) pushedRequests() {
	const endpoint, required = "pushed_authorization_request_endpoint", "require_pushed_authorization_requests"
	m := &e.metadata
	m.PushedRequestsRequired = e.flag(required)
	row := Capability{Name: "pushed authorization requests", Asked: string(e.cfg.PushedRequests), Met: true}
	if m.PushedRequestEndpoint != "" {
		row.Offered = "yes"
	}
	if m.PushedRequestsRequired {
		row.Offered = "required"
	}
	switch {
	case e.cfg.PushedRequests == PushedOff && m.PushedRequestsRequired:
		row.Met, row.Advice = false, required+" is true; set pushed_authorization_requests to auto"
	case m.PushedRequestEndpoint != "":
	case m.PushedRequestsRequired:
		row.Met, row.Advice = false, required+" is true, but "+endpoint+" is missing"
	case e.cfg.PushedRequests == PushedRequired:
		row.Met, row.Advice = false, endpoint+" is missing; set pushed_authorization_requests to auto"
	}
	e.add(row)
}

func (e *examination) requestObject() {
	const name, required = "request object algorithm", "require_signed_request_object" // RFC 9101 §10.5
	switch alg := e.cfg.RequestObjectAlg; {
	case alg == "" && e.flag(required):
		e.add(Capability{Name: name, Offered: "required", Advice: required + " is true; set request_object_signing_alg"})
	case alg == "":
	case e.refused("request_parameter_supported"):
		e.add(Capability{
			Name: name, Asked: alg, Offered: "no",
			Advice: "request_parameter_supported is false; leave request_object_signing_alg out",
		})
	default:
		e.list(name, alg, "request_object_signing_alg_values_supported",
			"set request_object_signing_alg to one of the offered")
	}
}

func (e *examination) response() {
	cfg := e.cfg
	accepted := []string{string(cfg.ResponseMode)}
	if cfg.ResponseMode == ResponseJWT || cfg.ResponseMode == ResponseQueryJWT { // the same for a code (JARM §2.3.4)
		accepted = []string{string(ResponseJWT), string(ResponseQueryJWT)}
	}
	e.list("response mode", string(cfg.ResponseMode), "response_modes_supported",
		"set response_mode to one of the offered", accepted...)
	if cfg.ResponseMode.isJWT() {
		e.list("response algorithm", cfg.ResponseSigningAlg, "authorization_signing_alg_values_supported",
			"set authorization_signing_alg to the registered one")
		e.encryption("response", cfg.ResponseEncryption, "authorization")
	}

	e.metadata.ResponseISS = e.flag("authorization_response_iss_parameter_supported")
	row := Capability{Name: "iss parameter", Asked: "if offered", Offered: "yes", Met: true}
	if !e.metadata.ResponseISS {
		row.Offered = ""
		row.Advice = "the redirect URI of each provider tells their responses apart; do not register one at two providers"
	}
	e.add(row)
}

func (e *examination) idToken() {
	e.list("ID token algorithm", e.cfg.SigningAlg, "id_token_signing_alg_values_supported",
		"set id_token_signing_alg to the registered one")
	e.encryption("ID token", e.cfg.IDTokenEncryption, "id_token")
}

// encryption adds rows for the two algorithms of a JWE, if the configuration asks for one.
func (e *examination) encryption(name string, asked Encryption, prefix string) {
	if asked == (Encryption{}) {
		return
	}
	const advice = "register the client with one of the offered"
	e.list(name+" key encryption", asked.Alg, prefix+"_encryption_alg_values_supported", advice)
	e.list(name+" content encryption", asked.Enc, prefix+"_encryption_enc_values_supported", advice)
}

func (e *examination) userinfo() {
	cfg := e.cfg
	row := Capability{Name: "userinfo", Asked: string(cfg.Userinfo), Offered: "yes", Met: true}
	if e.metadata.UserinfoEndpoint == "" {
		row.Offered = ""
		row.Met = cfg.Userinfo != UserinfoRequired
		row.Advice = "userinfo_endpoint is missing; the claims are those of the ID token alone"
	}
	e.add(row)
	if cfg.Userinfo != UserinfoOff && cfg.UserinfoSigningAlg != "" {
		e.list("userinfo algorithm", cfg.UserinfoSigningAlg, "userinfo_signing_alg_values_supported",
			"set userinfo_signing_alg to the registered one")
		e.encryption("userinfo", cfg.UserinfoEncryption, "userinfo")
	}
}

// scopes says what a login may come without. An OP need not list all of its scopes (Discovery §3), so none of it keeps
// the OP from being used.
func (e *examination) scopes() {
	cfg := e.cfg
	var list []string
	err := e.doc.read("scopes_supported", &list)
	row := Capability{Name: "scopes", Asked: strings.Join(cfg.Scopes, " "), Offered: shownList(list), Met: true}
	missing := slices.DeleteFunc(slices.Clone(cfg.Scopes), func(s string) bool { return slices.Contains(list, s) })
	switch {
	case err != nil:
		row.Advice = err.Error()
	case e.doc.has("scopes_supported") && len(missing) > 0:
		row.Advice = "the OP does not list " + strings.Join(missing, " ") + " and may not grant it"
	}
	e.add(row)

	var grants []string
	_ = e.doc.read("grant_types_supported", &grants) // that it can be read is the row of the grant type
	row = Capability{Name: "refresh tokens", Asked: "if offered", Met: true}
	switch {
	case slices.Contains(grants, "refresh_token"):
		row.Offered = "yes"
	case e.doc.has("grant_types_supported"):
		row.Offered = "no"
		row.Advice = "grant_types_supported does not contain refresh_token; sessions may end with their first access token"
	}
	e.add(row)
}

// logout says what signing out reaches. Without any of it sessions still end here.
func (e *examination) logout() {
	for _, end := range []struct {
		name, address, advice string
	}{
		{"end_session_endpoint", e.metadata.EndSessionEndpoint, "the browser stays signed in at the OP after a logout"},
		{"revocation_endpoint", e.metadata.RevocationEndpoint, "tokens of ended sessions stay good until they run out"},
	} {
		row := Capability{Name: end.name, Asked: "if offered", Offered: "yes", Met: true}
		if end.address == "" {
			row.Offered, row.Advice = "", end.advice
		}
		e.add(row)
	}
	e.logoutFromOP("back-channel logout", "if offered", "backchannel",
		"a logout at the OP ends all sessions of the user", "a logout at the OP or elsewhere does not end sessions here")
	e.logoutFromOP("front-channel logout", "if turned on", "frontchannel", "it does not say which session, and ends nothing here", "")
}

// logoutFromOP adds a row about a way of the OP to say that somebody has signed out, with what is worth knowing where it
// names the user and not the session, and where there is no such way.
func (e *examination) logoutFromOP(name, asked, channel, byUser, without string) {
	var supported, session bool
	err := errors.Join(
		e.doc.read(channel+"_logout_supported", &supported), e.doc.read(channel+"_logout_session_supported", &session))
	row := Capability{Name: name, Asked: asked, Met: true}
	switch {
	case err != nil:
		row.Advice = err.Error()
	case supported && session:
		row.Offered = "yes, by session"
	case supported:
		row.Offered, row.Advice = "yes, by user", byUser
	default:
		row.Advice = without
	}
	e.add(row)
}
