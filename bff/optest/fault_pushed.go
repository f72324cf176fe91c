package optest

import "net/http"

// PushedMember sets a member of successful answers to pushed requests.
func PushedMember(name string, value any) Fault {
	return EditPushedResponse(setting("PAR response", name, value), func(m map[string]any) { m[name] = value })
}

// WithoutPushedMember leaves a member out of successful answers to pushed requests.
func WithoutPushedMember(name string) Fault {
	return EditPushedResponse("PAR response without "+name, func(m map[string]any) { delete(m, name) })
}

// What the pushed authorization request endpoint says (PAR-03). Errors, redirects and slow or huge answers are
// OAuthError, Status, Redirect, Slow and Huge of the PushedEndpoint.
var (
	// PushedOK answers as it should, but with status 200.
	PushedOK = Reply("PAR response with 200", PushedEndpoint,
		func(w http.ResponseWriter, r *http.Request, honest http.Handler) {
			answer := process(honest, r)
			if answer.Code == http.StatusCreated {
				answer.Code = http.StatusOK
			}
			send(w, answer)
		})
	PushedNoRequestURI      = WithoutPushedMember("request_uri")
	PushedEmptyRequestURI   = PushedMember("request_uri", "")
	PushedNumericRequestURI = PushedMember("request_uri", 1)
	// PushedHostileRequestURI would, if it were put into an address as it is, add parameters to it.
	PushedHostileRequestURI   = PushedMember("request_uri", "urn:x&redirect_uri=https://evil.invalid/&state=a#fragment")
	PushedNoExpiresIn         = WithoutPushedMember("expires_in")
	PushedZeroExpiresIn       = PushedMember("expires_in", 0)
	PushedNegativeExpiresIn   = PushedMember("expires_in", -60)
	PushedStringExpiresIn     = PushedMember("expires_in", "60")
	PushedFractionalExpiresIn = PushedMember("expires_in", 59.5)
	PushedLongExpiresIn       = PushedMember("expires_in", 1e15)
)
