package optest

import (
	"net/http"
	"slices"
	"strings"
	"time"
)

var grantTypes = []string{"authorization_code", "refresh_token", "client_credentials", GrantTokenExchange}

// token is the token endpoint (RFC 6749, 4.1.3, 4.4.2 and 6; OpenID Connect Core, 3.1.3 and 12; RFC 8693, 2).
func (op *OP) token(w http.ResponseWriter, r *http.Request) error {
	if err := noneTwice(r.PostForm); err != nil {
		return err
	}
	client, err := op.authenticate(r)
	if err != nil {
		return err
	}
	var response map[string]any
	switch r.PostForm.Get("grant_type") {
	case "authorization_code":
		response, err = op.exchange(r, client)
	case "refresh_token":
		response, err = op.refresh(r, client)
	case "client_credentials":
		response, err = op.clientCredentials(r, client)
	case GrantTokenExchange:
		response, err = op.exchangeToken(r, client)
	default:
		err = refuse("unsupported_grant_type", "grant_type must be one of grant_types_supported")
	}
	if err != nil {
		return err
	}
	for _, f := range op.activeFaults(r) {
		if f.token != nil {
			f.token(response)
		}
	}
	writeJSON(w, http.StatusOK, response)
	return nil
}

func (op *OP) exchange(r *http.Request, client Client) (map[string]any, error) {
	form := r.PostForm
	g, err := op.redeem(form.Get("code"), client, form.Get("redirect_uri"), form.Get("code_verifier"))
	if err != nil {
		return nil, err
	}
	resources, err := g.narrow(form["resource"])
	if err != nil {
		return nil, err
	}
	refreshToken := ""
	if slices.Contains(g.scopes, "offline_access") {
		refreshToken = op.newRefreshToken(g)
	}
	return op.tokenResponse(r, g, g.scopes, resources, refreshToken, g.nonce)
}

// refresh narrows scope and resources if asked to (RFC 6749, 6; RFC 8707, 2.2). Its ID token has no nonce (OpenID
// Connect Core, 12.2).
func (op *OP) refresh(r *http.Request, client Client) (map[string]any, error) {
	wanted := strings.Fields(r.PostForm.Get("scope"))
	var resources []string
	g, refreshToken, err := op.rotate(r.PostForm.Get("refresh_token"), client, func(g *grant) error {
		for _, s := range wanted {
			if !slices.Contains(g.scopes, s) {
				return refuse("invalid_scope", "scope goes beyond what was granted")
			}
		}
		var err error
		resources, err = g.narrow(r.PostForm["resource"])
		return err
	})
	if err != nil {
		return nil, err
	}
	if len(wanted) == 0 {
		wanted = g.scopes
	}
	return op.tokenResponse(r, g, wanted, resources, refreshToken, "")
}

func (op *OP) tokenResponse(
	r *http.Request, g *grant, scopes, resources []string, refreshToken, nonce string,
) (map[string]any, error) {
	response, err := op.accessTokenResponse(r, g, scopes, resources)
	if err != nil {
		return nil, err
	}
	if refreshToken != "" {
		response["refresh_token"] = refreshToken
	}
	if g.details != nil {
		response["authorization_details"] = slices.Clone(g.details) // RFC 9396, 7
	}
	if slices.Contains(scopes, "openid") {
		if response["id_token"], err = op.newIDToken(r, g, response["access_token"].(string), nonce); err != nil {
			return nil, err
		}
	}
	return response, nil
}

// accessTokenResponse is the part about the access token (RFC 6749, 5.1).
func (op *OP) accessTokenResponse(r *http.Request, g *grant, scopes, resources []string) (map[string]any, error) {
	accessToken, err := op.newAccessToken(r, g, scopes, resources)
	if err != nil {
		return nil, err
	}
	return map[string]any{
		"access_token": accessToken,
		"token_type":   "Bearer",
		"expires_in":   int(op.accessTokenLifetime / time.Second),
		"scope":        join(scopes),
	}, nil
}

// newIDToken makes the ID token (OpenID Connect Core, 2; sid of Back-Channel Logout, 2.1) that answers r.
func (op *OP) newIDToken(r *http.Request, g *grant, accessToken, nonce string) (string, error) {
	for _, f := range op.activeFaults(r) {
		if f.beforeIDToken == nil {
			continue
		}
		if err := f.beforeIDToken(op); err != nil {
			return "", err
		}
	}
	now := op.now()
	t := op.newClientJWT(g.client, "JWT", g.client.IDTokenAlg, g.client.IDTokenEncryption, map[string]any{
		"iss":       op.issuer,
		"sub":       g.session.subject,
		"aud":       g.client.ID,
		"iat":       now.Unix(),
		"exp":       now.Add(op.idTokenLifetime).Unix(),
		"auth_time": g.session.authTime.Unix(),
		"acr":       g.session.acr,
		"amr":       g.session.amr(op.acr[0]),
		"sid":       g.session.sid,
		"at_hash":   leftHalf(g.client.IDTokenAlg, accessToken),
	})
	if nonce != "" {
		t.Claims["nonce"] = nonce
	}
	t.nonce = g.nonce
	for _, f := range op.activeFaults(r) {
		if f.idToken != nil {
			f.idToken(t)
		}
	}
	return t.serialize()
}

func join(scopes []string) string { return strings.Join(scopes, " ") }
