package rp

import (
	"encoding/json"
	"slices"
)

// claimsRequest is what of the claims parameter a login is held to.
type claimsRequest struct {
	IDToken struct {
		ACR struct {
			Essential bool     `json:"essential"`
			Value     string   `json:"value"`
			Values    []string `json:"values"`
		} `json:"acr"`
		AuthTime struct {
			Essential bool `json:"essential"`
		} `json:"auth_time"`
	} `json:"id_token"`
}

// parseClaimsRequest reads a claims parameter (Core §5.5); "" asks for nothing.
func parseClaimsRequest(s string) (request claimsRequest, err error) {
	if s == "" {
		return request, nil
	}
	if _, err = parseObject([]byte(s)); err != nil {
		return request, err
	}
	return request, json.Unmarshal([]byte(s), &request)
}

// checkEssential checks what the claims parameter calls essential about the authentication (Core §5.5.1.1). Who edits
// the request in the browser can take that out of it.
func (id *idToken) checkEssential(claims string) error {
	request, err := parseClaimsRequest(claims)
	if err != nil {
		return refuseIDToken("IDT-16", "the claims parameter cannot be read")
	}
	acr := request.IDToken.ACR
	if acr.Value != "" {
		acr.Values = append(acr.Values, acr.Value)
	}
	switch {
	case acr.Essential && (id.ACR == "" || len(acr.Values) > 0 && !slices.Contains(acr.Values, id.ACR)):
		return refuseIDToken("IDT-16", "acr is none of those asked for as essential")
	case request.IDToken.AuthTime.Essential && id.AuthTime.IsZero():
		return refuseIDToken("IDT-17", "auth_time is missing, which was asked for as essential")
	}
	return nil
}
