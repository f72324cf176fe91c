package optest_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom/cloakroom/bff/optest"
)

// push sends a pushed request as the client app.
func (p *party) push(form url.Values) answer {
	p.Helper()
	return p.post(p.op.EndpointURL(optest.PushedEndpoint), form, basic(p.clientID, secret))
}

func (p *party) pushed(form url.Values) string {
	p.Helper()
	a := p.push(form)
	uri, _ := p.json(a)["request_uri"].(string)
	if a.StatusCode != http.StatusCreated || uri == "" {
		p.Fatalf("%s %s", a.Status, a.body)
	}
	return uri
}

func (p *party) authorizePushed(clientID, uri string) answer {
	p.Helper()
	query := url.Values{"client_id": {clientID}, "request_uri": {uri}}
	return p.get(p.op.EndpointURL(optest.AuthorizationEndpoint) + "?" + query.Encode())
}

// PAR-03, PAR-05.
func TestPushedRequest(t *testing.T) {
	t.Parallel()
	p := newParty(t, config())
	a := p.push(p.authorizationRequest())
	response := p.json(a)
	uri, _ := response["request_uri"].(string)
	if a.StatusCode != http.StatusCreated || response["expires_in"] != 60.0 ||
		a.Header.Get("Cache-Control") != "no-store" ||
		!strings.HasPrefix(uri, "urn:ietf:params:oauth:request_uri:") {
		t.Fatalf("%s %s", a.Status, a.body)
	}
	if a := p.authorizePushed("post", uri); a.StatusCode != http.StatusBadRequest {
		t.Errorf("another client uses it: %s", a.Status)
	}
	got := p.callback(p.authorizePushed("app", uri))
	if got.Get("state") != "state-1" {
		t.Errorf("callback parameters: %v", got)
	}
	p.ok(p.tokenRequest(codeForm(got.Get("code"))))
	if a := p.authorizePushed("app", uri); a.StatusCode != http.StatusBadRequest {
		t.Errorf("the second use: %s", a.Status)
	}
}

func TestPushedRequestExpires(t *testing.T) {
	t.Parallel()
	cfg := config()
	now := time.Now()
	cfg.Now = func() time.Time { return now }
	p := newParty(t, cfg)
	uri := p.pushed(p.authorizationRequest())
	now = now.Add(61 * time.Second)
	if a := p.authorizePushed("app", uri); a.StatusCode != http.StatusBadRequest {
		t.Errorf("after 61 seconds: %s", a.Status)
	}
}

// What stands beside request_uri counts for nothing.
func TestPushedRequestCannotBeChanged(t *testing.T) {
	t.Parallel()
	p := newParty(t, config())
	uri := p.pushed(p.authorizationRequest("scope", "openid"))
	request := p.authorizationRequest("request_uri", uri, "state", "other", "scope", "openid email")
	got := p.callback(p.get(p.op.EndpointURL(optest.AuthorizationEndpoint) + "?" + request.Encode()))
	if got.Get("state") != "state-1" {
		t.Errorf("callback parameters: %v", got)
	}
	if response := p.ok(p.tokenRequest(codeForm(got.Get("code")))); response["scope"] != "openid" {
		t.Errorf("token response: %v", response)
	}
}

// A pushed request is checked as an authorization request is (PAR-02).
func TestPushedRequestRefused(t *testing.T) {
	t.Parallel()
	p := newParty(t, config())
	for name, test := range map[string]struct {
		changes []string
		code    string
	}{
		"request_uri":      {[]string{"request_uri", "urn:ietf:params:oauth:request_uri:a"}, "invalid_request"},
		"client_id":        {[]string{"client_id", ""}, "invalid_request"},
		"redirect_uri":     {[]string{"redirect_uri", byeURL}, "invalid_request"},
		"PKCE":             {[]string{"code_challenge", ""}, "invalid_request"},
		"response_type":    {[]string{"response_type", "token"}, "unsupported_response_type"},
		"request":          {[]string{"request", "e30."}, "invalid_request"},
		"resource":         {[]string{"resource", "relative"}, "invalid_target"},
		"details":          {[]string{"authorization_details", "{}"}, "invalid_authorization_details"},
		"nothing but this": {[]string{"response_mode", "fragment"}, "invalid_request"},
	} {
		t.Run(name, func(t *testing.T) {
			p := *p
			p.T = t
			p.refused(p.push(p.authorizationRequest(test.changes...)), http.StatusBadRequest, test.code)
		})
	}
	twice := p.authorizationRequest()
	twice.Add("state", "state-2")
	p.refused(p.push(twice), http.StatusBadRequest, "invalid_request")
	endpoint := p.op.EndpointURL(optest.PushedEndpoint)
	p.refused(p.post(endpoint, p.authorizationRequest(), basic("app", "wrong")), 401, "invalid_client")
	p.refused(p.post(endpoint, p.authorizationRequest(), nil), 401, "invalid_client")
	p.refused(p.post(endpoint, p.authorizationRequest("client_id", "post"), basic("app", secret)), 401, "invalid_client")
	if a := p.get(endpoint); a.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("GET: %s", a.Status)
	}
}

// PAR-01: by configuration of the OP, or of the client alone.
func TestRequirePushedRequests(t *testing.T) {
	t.Parallel()
	everybody := config()
	everybody.RequirePushedRequests = true
	oneClient := registered(func(c *optest.Client) { c.RequirePushedRequests = true })
	for name, cfg := range map[string]optest.Config{"everybody": everybody, "one client": oneClient} {
		t.Run(name, func(t *testing.T) {
			p := newParty(t, cfg)
			if got := p.callback(p.authorize()); got.Get("error") != "invalid_request" {
				t.Errorf("callback parameters: %v", got)
			}
			uri := p.pushed(p.authorizationRequest())
			if got := p.callback(p.authorizePushed("app", uri)); !got.Has("code") {
				t.Errorf("callback parameters: %v", got)
			}
			m := p.ok(p.get(p.op.EndpointURL(optest.MetadataEndpoint)))
			if m["require_pushed_authorization_requests"] != (name == "everybody") ||
				m["pushed_authorization_request_endpoint"] != p.op.EndpointURL(optest.PushedEndpoint) {
				t.Errorf("metadata: %v", m)
			}
		})
	}
}
