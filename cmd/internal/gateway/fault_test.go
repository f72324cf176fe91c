package gateway

import (
	"context"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cloakroom/cloakroom/bff/optest"
	"github.com/cloakroom/cloakroom/session"
	"github.com/cloakroom/cloakroom/session/memstore"
)

// countingStore knows how many sessions were ever made.
type countingStore struct {
	*memstore.Store
	created atomic.Int32
}

func (s *countingStore) Create(ctx context.Context, rec session.Record, terms session.Terms) error {
	s.created.Add(1)
	return s.Store.Create(ctx, rec, terms)
}

// faultCase is one login at an OP that does one thing wrong, and everything that has to be seen of it.
type faultCase struct {
	fault optest.Fault
	check string // the line of standards.md that refuses, which the audit log names; or another part of its text

	token, userinfo, revoke int    // requests that the OP has got
	code                    string // that the page shows; default login_failed
}

// faultGroup is a way to log in, and what can be wrong with it.
type faultGroup struct {
	config func(p *Provider, c *optest.Client) // us, and how we are registered at the OP
	cases  []faultCase
}

// run goes through whole logins over HTTP, one fault at a time. Whatever the OP does, the browser is sent on by 303, sees
// a page of ours with nothing of the OP's text in it, and has no session; and the OP has got the requests that the case
// names, and no more.
func (group faultGroup) run(t *testing.T) {
	t.Parallel()
	store := &countingStore{Store: memstore.New()}
	g := newReplica(t, func(g *replica, c *Config) {
		g.options.store = store
		client := optest.Client{
			ID: "app", Secret: "the-client-secret-of-the-app",
			RedirectURIs: []string{g.url + "/bff/callback"}, PostLogoutRedirectURIs: []string{g.url + "/bff/logout/callback"},
		}
		c.Providers[0].LoginParams = append(c.Providers[0].LoginParams, "max_age", "acr_values")
		if group.config != nil {
			group.config(&c.Providers[0], &client)
		}
		if err := g.op.AddClient(client); err != nil {
			t.Fatal(err)
		}
	}).ready()
	for _, test := range group.cases {
		t.Run(test.check+" "+test.fault.String(), func(t *testing.T) {
			g.op.ClearFaults()
			g.op.ForgetRequests()
			logged := len(g.log.String())
			g.op.Fault(test.fault)
			c := g.client()

			start := c.send("GET", "/bff/login?returnUrl=/deep&max_age=3600")
			if start.StatusCode != http.StatusFound {
				t.Fatalf("login: %s %s", start.Status, start.body)
			}
			back := c.deliver(start.Header.Get("Location"))
			if back.StatusCode != http.StatusSeeOther || back.Header.Get("Location") != "/bff/error" {
				t.Errorf("callback: %s %s", back.Status, back.Header.Get("Location"))
			}
			wantNoSessionCookie(t, back)
			page := c.send("GET", "/bff/error")
			code := test.code
			if code == "" {
				code = "login_failed"
			}
			if !strings.Contains(page.body, code) || page.StatusCode/100 == 2 {
				t.Errorf("the page says %s\n%s", page.Status, page.body)
			}
			if strings.Contains(page.body, "evil") || strings.Contains(page.body, "op.invalid") || strings.Contains(page.body, "<script") {
				t.Errorf("the page shows text of the OP:\n%s", page.body)
			}
			if s := c.send("GET", "/bff/session", csrf); !strings.Contains(s.body, `"authenticated":false`) {
				t.Errorf("the session says %s", s.body)
			}
			if n := store.created.Load(); n != 0 {
				t.Errorf("%d sessions were stored", n)
			}
			seen := map[string]int{
				"token": g.op.Count(optest.TokenEndpoint), "userinfo": g.op.Count(optest.UserInfoEndpoint),
				"revoke": g.op.Count(optest.RevocationEndpoint),
			}
			want := map[string]int{"token": test.token, "userinfo": test.userinfo, "revoke": test.revoke}
			if diff := cmp.Diff(want, seen); diff != "" {
				t.Errorf("requests that the OP has got (-want +got):\n%s", diff)
			}
			audit := g.log.String()[logged:]
			if strings.Count(audit, `"login_failed"`) == 0 || !strings.Contains(audit, test.check) {
				t.Errorf("the log does not name %s:\n%s", test.check, audit)
			}
		})
	}
}

// deliver goes to the OP and brings its answer to our redirect URI, as a browser does in each response mode.
func (c *client) deliver(address string) response {
	c.g.t.Helper()
	return c.take(c.g.op.Authorize(address))
}

// take sends an answer of the OP to our redirect URI, after edit.
func (c *client) take(a optest.Answer, edit ...func(*http.Request)) response {
	c.g.t.Helper()
	req, err := a.NewRequest()
	if err != nil {
		c.g.t.Fatal(err)
	}
	for _, f := range edit {
		f(req)
	}
	return c.do(req)
}

func wantNoSessionCookie(t *testing.T, r response) {
	t.Helper()
	for _, cookie := range r.Cookies() {
		if strings.HasPrefix(cookie.Name, "cloakroom-") && !strings.HasPrefix(cookie.Name, "cloakroom-fl") && cookie.MaxAge >= 0 {
			t.Errorf("the answer sets the cookie %s", cookie.Name)
		}
	}
}
