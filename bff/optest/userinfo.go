package optest

import (
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
)

// userInfo is the userinfo endpoint (OpenID Connect Core, 5.3). The access token is in the Authorization header.
func (op *OP) userInfo(w http.ResponseWriter, r *http.Request) error {
	scheme, value, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	token, ok := op.activeAccessToken(value)
	if !ok || !strings.EqualFold(scheme, "Bearer") {
		return &refusal{http.StatusUnauthorized, "invalid_token", "no good access token in the Authorization header"}
	}
	if token.thumbprint != "" && token.thumbprint != certificateThumbprint(r) { // RFC 8705, 3
		return &refusal{http.StatusUnauthorized, "invalid_token", "the access token is bound to another certificate"}
	}
	if !slices.Contains(token.scopes, "openid") {
		return &refusal{http.StatusForbidden, "insufficient_scope", "the access token has not the scope openid"}
	}
	user, ok := op.user(token.grant.session.subject)
	if !ok {
		return &refusal{http.StatusUnauthorized, "invalid_token", "the user is gone"}
	}
	claims := user.claimsFor(token.scopes)
	for _, f := range op.activeFaults(r) {
		if f.userInfo != nil {
			f.userInfo(claims)
		}
	}
	return op.writeUserInfo(w, r, token.grant.client, claims)
}

// writeUserInfo answers with JSON, or with a JWT if the client is registered for one (OpenID Connect Core, 5.3.2).
func (op *OP) writeUserInfo(w http.ResponseWriter, r *http.Request, client Client, claims map[string]any) error {
	faults := op.activeFaults(r)
	for _, f := range faults {
		if f.userInfoAlg != nil {
			client.UserInfoAlg = f.userInfoAlg(op)
		}
	}
	if client.UserInfoAlg == "" {
		writeJSON(w, http.StatusOK, claims)
		return nil
	}
	signed := map[string]any{"iss": op.issuer, "aud": client.ID}
	maps.Copy(signed, claims)
	t := op.newClientJWT(client, "JWT", client.UserInfoAlg, client.UserInfoEncryption, signed)
	for _, f := range faults {
		if f.userInfoJWT != nil {
			f.userInfoJWT(t)
		}
	}
	text, err := t.serialize()
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/jwt")
	w.Header().Set("Cache-Control", "no-store")
	_, err = io.WriteString(w, text)
	return err
}
