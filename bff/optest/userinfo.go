package optest

import (
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
	writeJSON(w, http.StatusOK, claims)
	return nil
}
