package proxy

import (
	"net/http"
	"strconv"
	"strings"
)

// maxACRValues bounds what an upstream may make us ask a provider for, in bytes.
const maxACRValues = 512

// StepUp is an upstream's answer that the user's sign-in is not good enough for it (RFC 9470 §3). It is the cause of a
// step_up_required.
type StepUp struct {
	// Params are the login parameters that the upstream names: acr_values, visible ASCII characters with single spaces
	// between the values; max_age, a number of seconds; both, or neither.
	Params map[string]string
}

func (s *StepUp) Error() string { return "the upstream asks for a step-up" }

// findStepUp looks for the demand among the challenges of an answer. It is nil where there is none, and where the one
// that is there cannot be read or names values that no login could have (EXT-06).
func findStepUp(res *http.Response) *StepUp {
	if res.StatusCode != http.StatusUnauthorized {
		return nil
	}
	for _, line := range res.Header["Www-Authenticate"] {
		challenges, ok := parseChallenges(line)
		if !ok {
			continue
		}
		for _, c := range challenges {
			withToken := strings.EqualFold(c.scheme, "Bearer") || strings.EqualFold(c.scheme, "DPoP")
			if withToken && c.params["error"] == "insufficient_user_authentication" {
				return c.stepUp()
			}
		}
	}
	return nil
}

// stepUp reads the two parameters of RFC 9470 §3.
func (c challenge) stepUp() *StepUp {
	params := map[string]string{}
	if acr, ok := c.params["acr_values"]; ok {
		if len(acr) > maxACRValues || strings.ContainsFunc(acr, func(r rune) bool { return r < ' ' || r > '~' }) {
			return nil
		}
		if acr = strings.Join(strings.Fields(acr), " "); acr != "" {
			params["acr_values"] = acr
		}
	}
	if age, ok := c.params["max_age"]; ok {
		seconds, err := strconv.ParseUint(age, 10, 31)
		if err != nil {
			return nil
		}
		params["max_age"] = strconv.FormatUint(seconds, 10)
	}
	return &StepUp{params}
}
