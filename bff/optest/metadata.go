package optest

import (
	"net/http"
	"slices"

	"github.com/go-jose/go-jose/v4"
)

func (op *OP) metadata() map[string]any {
	scopes := []string{"openid", "profile", "email", "address", "phone", "offline_access"}
	signing := append(slices.Clone(signingAlgs), jose.HS256)
	metadata := map[string]any{
		"issuer":                                         op.issuer,
		"authorization_endpoint":                         op.EndpointURL(AuthorizationEndpoint),
		"token_endpoint":                                 op.EndpointURL(TokenEndpoint),
		"userinfo_endpoint":                              op.EndpointURL(UserInfoEndpoint),
		"jwks_uri":                                       op.EndpointURL(JWKSEndpoint),
		"revocation_endpoint":                            op.EndpointURL(RevocationEndpoint),
		"end_session_endpoint":                           op.EndpointURL(EndSessionEndpoint),
		"scopes_supported":                               scopes,
		"response_types_supported":                       []string{"code"},
		"response_modes_supported":                       responseModes,
		"grant_types_supported":                          grantTypes,
		"subject_types_supported":                        []string{"public"},
		"id_token_signing_alg_values_supported":          signing,
		"token_endpoint_auth_methods_supported":          authMethods,
		"revocation_endpoint_auth_methods_supported":     authMethods,
		"code_challenge_methods_supported":               []string{"S256"},
		"authorization_response_iss_parameter_supported": true,
		"prompt_values_supported":                        prompts,
		"acr_values_supported":                           op.acr,
		"claims_parameter_supported":                     false,
		"request_parameter_supported":                    true,
		"request_uri_parameter_supported":                false,
		"request_object_signing_alg_values_supported":    signingAlgs,
		"pushed_authorization_request_endpoint":          op.EndpointURL(PushedEndpoint),
		"require_pushed_authorization_requests":          op.requirePushed,
		"id_token_encryption_alg_values_supported":       encryptionAlgs,
		"id_token_encryption_enc_values_supported":       contentAlgs,
		"userinfo_signing_alg_values_supported":          signing,
		"userinfo_encryption_alg_values_supported":       encryptionAlgs,
		"userinfo_encryption_enc_values_supported":       contentAlgs,
		"authorization_signing_alg_values_supported":     signing,
		"authorization_encryption_alg_values_supported":  encryptionAlgs,
		"authorization_encryption_enc_values_supported":  contentAlgs,

		"token_endpoint_auth_signing_alg_values_supported":      assertionAlgs,
		"revocation_endpoint_auth_signing_alg_values_supported": assertionAlgs,
		"backchannel_logout_supported":                          true,
		"backchannel_logout_session_supported":                  true,
		"frontchannel_logout_supported":                         true,
		"frontchannel_logout_session_supported":                 true,
	}
	if op.certificateOrigin != "" {
		metadata["tls_client_certificate_bound_access_tokens"] = true
		metadata["mtls_endpoint_aliases"] = op.certificateEndpoints()
	}
	return metadata
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
