package optest_test

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom/cloakroom/bff/optest"
)

func TestReplies(t *testing.T) {
	t.Parallel()
	p := newParty(t, config())
	for _, test := range []struct {
		fault       optest.Fault
		status      int
		contentType string
		body        string
	}{
		{optest.Status(optest.JWKSEndpoint, 500), 500, "application/json", "{}"},
		{optest.Status(optest.JWKSEndpoint, 429), 429, "application/json", "{}"},
		{optest.Redirect(optest.JWKSEndpoint, 307, "http://127.0.0.1:1/"), 307, "text/html; charset=utf-8", ":1/"},
		{optest.HTML(optest.JWKSEndpoint), 200, "text/html", "<!doctype html>"},
		{optest.Array(optest.JWKSEndpoint), 200, "application/json", "[{"},
		{optest.ContentType(optest.JWKSEndpoint, "text/plain"), 200, "text/plain", `{"keys":`},
	} {
		t.Run(test.fault.String(), func(t *testing.T) {
			p.op.Fault(test.fault)
			defer p.op.ClearFaults()
			a := p.get(p.op.EndpointURL(optest.JWKSEndpoint))
			if a.StatusCode != test.status || a.Header.Get("Content-Type") != test.contentType ||
				!strings.Contains(a.body, test.body) {
				t.Errorf("%s %s %s", a.Status, a.Header.Get("Content-Type"), a.body)
			}
			if (a.Header.Get("Retry-After") != "") != (test.status == 429) {
				t.Errorf("Retry-After: %s", a.Header.Get("Retry-After"))
			}
			if a := p.get(p.op.EndpointURL(optest.MetadataEndpoint)); a.StatusCode != http.StatusOK {
				t.Errorf("another endpoint answers %s", a.Status)
			}
		})
	}
}

// A refused token request has not spent its code.
func TestTokenError(t *testing.T) {
	t.Parallel()
	p := newParty(t, config())
	code := p.callback(p.authorize()).Get("code")
	p.op.Fault(optest.TokenError("invalid_client", optest.HostileText))
	p.refused(p.tokenRequest(codeForm(code)), http.StatusUnauthorized, "invalid_client")
	p.op.ClearFaults()
	p.op.Fault(optest.TokenError("invalid_grant", ""))
	p.refused(p.tokenRequest(codeForm(code)), http.StatusBadRequest, "invalid_grant")
	p.op.ClearFaults()
	p.ok(p.tokenRequest(codeForm(code)))
}

func TestHuge(t *testing.T) {
	t.Parallel()
	p := newParty(t, config())
	p.op.Fault(optest.Huge(optest.UserInfoEndpoint))
	resp, err := http.Get(p.op.EndpointURL(optest.UserInfoEndpoint))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if n, err := io.CopyN(io.Discard, resp.Body, 8<<20); err != nil {
		t.Errorf("ended after %d bytes: %v", n, err)
	}
}

// Drop and Gone look alike to the client; the difference is what became of the code.
func TestDropAndGone(t *testing.T) {
	t.Parallel()
	p := newParty(t, config())
	for _, test := range []struct {
		fault optest.Fault
		spent bool
	}{
		{optest.Drop(optest.TokenEndpoint), true},
		{optest.Gone(optest.TokenEndpoint), false},
	} {
		t.Run(test.fault.String(), func(t *testing.T) {
			form := codeForm(p.callback(p.authorize()).Get("code"))
			address := p.op.EndpointURL(optest.TokenEndpoint)
			req, err := http.NewRequest(http.MethodPost, address, strings.NewReader(form.Encode()))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			basic("app", secret)(req)
			p.op.Fault(test.fault)
			if resp, err := http.DefaultClient.Do(req); err == nil {
				resp.Body.Close()
				t.Errorf("an answer: %s", resp.Status)
			}
			p.op.ClearFaults()
			if spent := p.tokenRequest(form).StatusCode != http.StatusOK; spent != test.spent {
				t.Errorf("the code is spent: %t, want %t", spent, test.spent)
			}
		})
	}
}

func TestHold(t *testing.T) {
	t.Parallel()
	p := newParty(t, config())
	release := make(chan struct{})
	p.op.Fault(optest.Hold(optest.JWKSEndpoint, release))
	answered := make(chan error, 1)
	go func() {
		resp, err := http.Get(p.op.EndpointURL(optest.JWKSEndpoint))
		if err == nil {
			resp.Body.Close()
		}
		answered <- err
	}()
	select {
	case err := <-answered:
		t.Errorf("answered before release: %v", err)
	case <-time.After(20 * time.Millisecond):
	}
	close(release)
	if err := <-answered; err != nil {
		t.Error(err)
	}
}

func TestSlow(t *testing.T) {
	t.Parallel()
	p := newParty(t, config())
	start := time.Now()
	p.op.Fault(optest.Slow(optest.JWKSEndpoint, 50*time.Millisecond))
	p.ok(p.get(p.op.EndpointURL(optest.JWKSEndpoint)))
	if d := time.Since(start); d < 50*time.Millisecond {
		t.Errorf("answered after %s", d)
	}
	// A client that hangs up is not waited for: the end of the test does not hang.
	p.op.ClearFaults()
	p.op.Fault(optest.SlowToken(time.Hour))
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.op.EndpointURL(optest.TokenEndpoint), nil)
	if err != nil {
		t.Fatal(err)
	}
	if resp, err := http.DefaultClient.Do(req); err == nil {
		resp.Body.Close()
		t.Errorf("answered: %s", resp.Status)
	}
}

func TestClose(t *testing.T) {
	t.Parallel()
	p := newParty(t, config())
	p.op.Close()
	if resp, err := http.Get(p.op.EndpointURL(optest.JWKSEndpoint)); err == nil {
		resp.Body.Close()
		t.Errorf("answered: %s", resp.Status)
	}
}

func TestOnce(t *testing.T) {
	t.Parallel()
	p := newParty(t, config())
	p.op.Fault(optest.Once(optest.OAuthError(optest.RevocationEndpoint, "invalid_client", "unknown")))
	revoke := func() answer {
		return p.post(p.op.EndpointURL(optest.RevocationEndpoint), url.Values{"token": {"a"}}, basic("app", secret))
	}
	p.login() // requests to other endpoints do not count
	p.refused(revoke(), http.StatusUnauthorized, "invalid_client")
	if a := revoke(); a.StatusCode != http.StatusOK {
		t.Errorf("the second request: %s %s", a.Status, a.body)
	}
}
