package problem_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/cloakroom/cloakroom/session/problem"
)

// contract.md "Errors": every code and its status.
func TestStatusOfEveryCode(t *testing.T) {
	for status, codes := range map[int][]problem.Code{
		400: {problem.BadReturnURL, problem.BadRequest, problem.PathRefused, problem.LoginFailed},
		401: {problem.Unauthenticated, problem.SessionExpired, problem.SessionEnded, problem.StepUpRequired},
		403: {problem.CSRFHeaderMissing, problem.CrossSiteRequest, problem.Forbidden},
		404: {problem.NotFound},
		405: {problem.MethodNotAllowed},
		413: {problem.TooLarge},
		421: {problem.Misdirected},
		429: {problem.TooManyRequests},
		500: {problem.Internal, "a code that nobody knows"},
		502: {problem.UpstreamUnavailable},
		503: {problem.StoreUnavailable, problem.ProviderUnavailable, problem.RefreshUnavailable},
		504: {problem.UpstreamTimeout},
	} {
		for _, code := range codes {
			if code.Status() != status || code.Title() == "" {
				t.Errorf("%s: status %d, title %q; want status %d", code, code.Status(), code.Title(), status)
			}
		}
	}
}

func TestErrorKeepsItsCause(t *testing.T) {
	cause := errors.New("dial tcp 10.0.0.5:9000")
	err := fmt.Errorf("serving: %w", problem.Wrap(problem.UpstreamUnavailable, cause))
	var p *problem.Error
	if !errors.As(err, &p) || !errors.Is(err, cause) || p.Code != problem.UpstreamUnavailable {
		t.Errorf("%v", err)
	}
	if p.Detail != "" {
		t.Errorf("the cause became a detail: %q", p.Detail)
	}
	if got := problem.New(problem.BadRequest, "write %d", 1).Error(); got != "bad_request: write 1" {
		t.Errorf("Error() = %q", got)
	}
}
