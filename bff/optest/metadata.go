package optest

import "net/http"

func (op *OP) metadata() map[string]any {
	methods := []string{ClientSecretBasic, ClientSecretPost}
	scopes := []string{"openid", "profile", "email", "address", "phone", "offline_access"}
	return map[string]any{
		"issuer":                                         op.issuer,
		"authorization_endpoint":                         op.EndpointURL(AuthorizationEndpoint),
		"token_endpoint":                                 op.EndpointURL(TokenEndpoint),
		"userinfo_endpoint":                              op.EndpointURL(UserInfoEndpoint),
		"jwks_uri":                                       op.EndpointURL(JWKSEndpoint),
		"revocation_endpoint":                            op.EndpointURL(RevocationEndpoint),
		"end_session_endpoint":                           op.EndpointURL(EndSessionEndpoint),
		"scopes_supported":                               scopes,
		"response_types_supported":                       []string{"code"},
		"response_modes_supported":                       []string{"query"},
		"grant_types_supported":                          []string{"authorization_code", "refresh_token"},
		"subject_types_supported":                        []string{"public"},
		"id_token_signing_alg_values_supported":          []string{op.alg, otherAlg(op.alg)},
		"token_endpoint_auth_methods_supported":          methods,
		"revocation_endpoint_auth_methods_supported":     methods,
		"code_challenge_methods_supported":               []string{"S256"},
		"authorization_response_iss_parameter_supported": true,
		"prompt_values_supported":                        prompts,
		"acr_values_supported":                           op.acr,
		"claims_parameter_supported":                     false,
		"request_parameter_supported":                    false,
		"request_uri_parameter_supported":                false,
	}
}

func (op *OP) serveMetadata(w http.ResponseWriter, r *http.Request) {
	m := op.metadata()
	for _, f := range op.activeFaults(r) {
		if f.metadata != nil {
			f.metadata(m)
		}
	}
	writeJSON(w, http.StatusOK, m)
}
