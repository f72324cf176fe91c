package bff

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/cloakroom/cloakroom/bff/optest"
	"github.com/cloakroom/cloakroom/bff/rp"
)

// FPM-01, JRM-03, FLOW-24, FLOW-25: a login by each response mode. Whatever the channel, the way on is a 303.
func TestResponseModes(t *testing.T) {
	t.Parallel()
	for _, mode := range []rp.ResponseMode{rp.ResponseQuery, rp.ResponseFormPost, rp.ResponseJWT, rp.ResponseQueryJWT, rp.ResponseFormPostJWT} {
		for _, provider := range names {
			a := newApp(t, twoProviders, responseMode(mode))
			b := a.browser()
			response := a.op.Authorize(b.authorize("?returnUrl=/x&provider=" + provider))
			posted := strings.HasPrefix(string(mode), "form_post")
			if (response.Form != nil) != posted {
				t.Fatalf("%s: the OP sent %+v", mode, response)
			}
			if got := len(b.cookies(a.cookies.posted)) == 1; got != posted {
				t.Errorf("%s: the flow's cookie is one for a POST: %v", mode, got)
			}
			res := b.follow(response)
			if res.StatusCode != http.StatusSeeOther || res.Header.Get("Location") != "/bff/landing" {
				t.Errorf("%s: %s %s", mode, res.Status, res.Header.Get("Location"))
			}
			if s := b.session(); s.Provider != provider || len(b.cookies(a.cookies.flow)) != 0 {
				t.Errorf("%s: signed in with %q, flows left: %v", mode, s.Provider, b.cookies(a.cookies.flow))
			}
		}
	}
}

// FPM-04, FLOW-39: errors come by the same channels. Where prompt=none was asked for, nobody being signed in is an answer
// and leads back to the page; otherwise it is a failure, so that no page can begin the next login by itself.
func TestErrorsByEveryResponseMode(t *testing.T) {
	t.Parallel()
	for _, mode := range []rp.ResponseMode{rp.ResponseQuery, rp.ResponseFormPost, rp.ResponseJWT, rp.ResponseFormPostJWT} {
		for query, want := range map[string]string{"?prompt=none": "/bff/landing", "?prompt=login": "/bff/error"} {
			a := newApp(t, responseMode(mode))
			a.op.SignIn("")
			b := a.browser()
			res := b.follow(a.op.Authorize(b.authorize(query)))
			if res.StatusCode != http.StatusSeeOther || res.Header.Get("Location") != want {
				t.Errorf("%s %s: %s %s", mode, query, res.Status, res.Header.Get("Location"))
			}
			b.wantAnonymous("none")
			if n := a.op.Count(optest.TokenEndpoint); n != 0 {
				t.Errorf("%s: %d token requests", mode, n)
			}
		}
	}
}

// FLOW-27, JRM-04: a response that comes by another channel than the configured one is none.
func TestResponseByTheWrongChannel(t *testing.T) {
	t.Parallel()
	for _, mode := range []rp.ResponseMode{rp.ResponseQuery, rp.ResponseFormPost, rp.ResponseJWT, rp.ResponseFormPostJWT} {
		a := newApp(t, responseMode(mode))
		b := a.browser()
		response := a.op.Authorize(b.authorize(""))
		if response.Form != nil {
			response.URL.RawQuery, response.Form = response.Form.Encode(), nil
		} else {
			response.URL.RawQuery, response.Form = "", response.URL.Query()
		}
		b.wantFailed(b.follow(response))
		if n := a.op.Count(optest.TokenEndpoint); n != 0 {
			t.Errorf("%s: %d token requests", mode, n)
		}
	}
}

// A browser without a flow with this provider does not make us verify a signed response, for which keys may have to be
// fetched: whatever it sends, the OP hears nothing of it.
func TestResponseWithoutAFlowIsNotRead(t *testing.T) {
	t.Parallel()
	a := newApp(t, twoProviders, responseMode(rp.ResponseJWT))
	b := a.browser()
	response := a.op.Authorize(b.authorize("?provider=one"))
	if err := a.op.RotateKeys(); err != nil {
		t.Fatal(err)
	}
	another := a.op.Authorize(a.browser().authorize("?provider=two")).Parameters()
	a.op.ForgetRequests()

	b.wantFailed(b.get("/bff/callback/two?" + another.Encode())) // its only flow is with the other provider
	b.wantFailed(a.browser().follow(response))
	if n := a.op.Count(optest.JWKSEndpoint); n != 0 {
		t.Errorf("%d requests for keys", n)
	}
	b.wantFailed(b.get("/bff/callback?" + another.Encode())) // a flow and an unknown key: now it has to be asked for
	if n := a.op.Count(optest.JWKSEndpoint); n != 1 {
		t.Errorf("%d requests for keys, want 1", n)
	}
}

// FLOW-09, 14, 15, 36: two providers at two OPs. What one of them sends, by itself or by way of an attacker, reaches
// neither the other's token endpoint nor a session.
func TestMixUp(t *testing.T) {
	t.Parallel()
	for _, mode := range []rp.ResponseMode{rp.ResponseQuery, rp.ResponseFormPost, rp.ResponseJWT, rp.ResponseFormPostJWT} {
		for name, crossed := range map[string]func(one, two optest.Answer) optest.Answer{
			"two's response at one's redirect URI": func(one, two optest.Answer) optest.Answer {
				return replace(two, one.URL.Path, two.Parameters())
			},
			"one's response at two's redirect URI": func(one, two optest.Answer) optest.Answer {
				return replace(one, two.URL.Path, one.Parameters())
			},
			"one's state with two's code": func(one, two optest.Answer) optest.Answer {
				params := two.Parameters()
				params.Set("state", one.Parameters().Get("state"))
				return replace(one, one.URL.Path, params)
			},
			"one's code with two's state": func(one, two optest.Answer) optest.Answer {
				params := one.Parameters()
				params.Set("state", two.Parameters().Get("state"))
				return replace(two, two.URL.Path, params)
			},
			"one's response with two's iss": func(one, two optest.Answer) optest.Answer {
				params := one.Parameters()
				params.Set("iss", two.Parameters().Get("iss"))
				return replace(one, one.URL.Path, params)
			},
		} {
			if mode != rp.ResponseQuery && !strings.Contains(name, "redirect URI") {
				continue // what crosses inside a response is checked alike by every channel, or is signed
			}
			other, second := twoOPs(t)
			a := newApp(t, second, responseMode(mode))
			b := a.browser()
			one := a.op.Authorize(b.authorize("?provider=one"))
			two := other().Authorize(b.authorize("?provider=two"))
			b.wantFailed(b.follow(crossed(one, two)))
			if n := a.op.Count(optest.TokenEndpoint) + other().Count(optest.TokenEndpoint); n != 0 {
				t.Errorf("%s, %s: %d token requests", mode, name, n)
			}
		}
	}
}

// replace is a response with another path and other parameters, by the same channel.
func replace(response optest.Answer, path string, params url.Values) optest.Answer {
	target := *response.URL
	target.Path = path
	if response.Form != nil {
		return optest.Answer{URL: &target, Form: params}
	}
	target.RawQuery = params.Encode()
	return optest.Answer{URL: &target}
}

// FLOW-15, FLOW-41: both logins of the same browser finish, each at its own OP; and a session signs out at its own.
func TestTwoProvidersSideBySide(t *testing.T) {
	t.Parallel()
	other, second := twoOPs(t)
	a := newApp(t, second, responseMode(rp.ResponseFormPost))
	b := a.browser()
	one := a.op.Authorize(b.authorize("?provider=one"))
	two := other().Authorize(b.authorize("?provider=two"))
	for i, step := range []struct {
		response optest.Answer
		op       *optest.Server
	}{{one, a.op}, {two, other()}} {
		b.follow(step.response)
		if s := b.session(); s.Provider != names[i] || step.op.Count(optest.TokenEndpoint) != 1 {
			t.Errorf("%s: signed in with %q after %d token requests", names[i], s.Provider, step.op.Count(optest.TokenEndpoint))
		}
	}
	to, err := url.Parse(b.get(b.session().LogoutURL).Header.Get("Location"))
	if err != nil || to.Scheme+"://"+to.Host != other().URL {
		t.Errorf("logout leads to %s, %v", to, err)
	}
}

// FLOW-14: each provider has a redirect URI of its own, and sends it (FLOW-16).
func TestRedirectURIOfEachProvider(t *testing.T) {
	t.Parallel()
	a := newApp(t, twoProviders)
	var uris []string
	for _, provider := range names {
		u, err := url.Parse(a.browser().authorize("?provider=" + provider))
		if err != nil {
			t.Fatal(err)
		}
		uris = append(uris, u.Query().Get("redirect_uri"))
	}
	if want := []string{a.URL + "/bff/callback", a.URL + "/bff/callback/two"}; !slices.Equal(uris, want) {
		t.Errorf("%q, want %q", uris, want)
	}
}
