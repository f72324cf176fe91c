package proxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cloakroom/cloakroom/session"
	"github.com/cloakroom/cloakroom/session/problem"
	"github.com/cloakroom/cloakroom/session/secret"
)

const invalidToken = `Bearer realm="api", error="invalid_token", error_description="expired"`

// choosy is an upstream that takes one token, says something to all others, and answers with the body that came.
type choosy struct {
	takes     string
	challenge string
	got       atomic.Int64 // requests
}

func (c *choosy) start(t *testing.T) *url.URL {
	return newUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		c.got.Add(1)
		body, _ := io.ReadAll(r.Body)
		if r.Header.Get("Authorization") != "Bearer "+c.takes {
			w.Header().Set("WWW-Authenticate", c.challenge)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		fmt.Fprintf(w, "%s %s", r.Method, body)
	})
}

// TestRenew is RFR-32: a token that the upstream calls invalid is replaced once for each request, if the request can be
// made again, and nothing else is.
func TestRenew(t *testing.T) {
	long := strings.Repeat("x", heldBody)
	for name, test := range map[string]struct {
		method, body, challenge string
		chunked                 bool
		renewed                 string // what Renew returns
		err                     error
		policy                  TokenPolicy

		status, requests, renewals int
		answer                     string
	}{
		"GET":                {renewed: "new", status: 200, requests: 2, renewals: 1, answer: "GET "},
		"POST":               {method: "POST", body: "once", renewed: "new", status: 200, requests: 2, renewals: 1, answer: "POST once"},
		"longest body":       {method: "PUT", body: long, renewed: "new", status: 200, requests: 2, renewals: 1, answer: "PUT " + long},
		"longer body":        {method: "PUT", body: long + "x", renewed: "new", status: 401, requests: 1},
		"chunked body":       {method: "PUT", body: "x", chunked: true, renewed: "new", status: 401, requests: 1},
		"the next, too":      {renewed: "also bad", status: 401, requests: 2, renewals: 1},
		"there is no other":  {err: session.ErrRefreshUnavailable, status: 401, requests: 1, renewals: 1},
		"session has ended":  {err: session.ErrEnded, status: 401, requests: 1, renewals: 1, answer: "session ended"},
		"exchange":           {policy: TokenExchange, renewed: "new", status: 200, requests: 2, renewals: 1, answer: "GET "},
		"client":             {policy: TokenClient, renewed: "new", status: 200, requests: 2, renewals: 1, answer: "GET "},
		"no token":           {policy: TokenNone, renewed: "new", status: 401, requests: 1},
		"insufficient_scope": {challenge: `Bearer error="insufficient_scope"`, renewed: "new", status: 401, requests: 1},
		"Basic":              {challenge: `Basic error="invalid_token"`, renewed: "new", status: 401, requests: 1},
		"no error":           {challenge: `Bearer`, renewed: "new", status: 401, requests: 1},
		"several challenges": {
			challenge: `Basic realm="a", Bearer error="invalid_token"`, renewed: "new", status: 200, requests: 2, renewals: 1,
			answer: "GET ",
		},
		"half a challenge": {challenge: `Bearer error="invalid_token`, renewed: "new", status: 401, requests: 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := &choosy{takes: "new", challenge: invalidToken}
			if test.challenge != "" {
				c.challenge = test.challenge
			}
			if test.policy == "" {
				test.policy = TokenUser
			}
			rt := &Route{Path: "/", Upstream: c.start(t), Token: test.policy}
			var renewals atomic.Int64
			renew := func(_ context.Context, on *Route, who *session.Session, refused secret.String) (secret.String, error) {
				renewals.Add(1)
				if on != rt || who != alice || refused.Reveal() != accessToken {
					t.Errorf("asked for another token for %v and %v instead of %q", on, who, refused.Reveal())
				}
				return secret.New(test.renewed), test.err
			}
			g := newGatewayWith(t, alice, Options{Transport: newTestTransport(t), Renew: renew}, rt)
			var sent io.Reader = strings.NewReader(test.body)
			if test.chunked {
				sent = io.MultiReader(sent)
			}
			if test.body == "" {
				sent = nil
			}
			res := g.do(t, test.method, "/", sent)
			if got := body(t, res); res.StatusCode != test.status || strings.TrimSpace(got) != strings.TrimSpace(test.answer) {
				t.Errorf("%s %.100q, want %d %.100q", res.Status, got, test.status, test.answer)
			}
			if got := res.Header["Www-Authenticate"]; got != nil {
				t.Errorf("the browser sees %q", got)
			}
			if got := c.got.Load(); got != int64(test.requests) || renewals.Load() != int64(test.renewals) {
				t.Errorf("%d requests and %d renewals, want %d and %d", got, renewals.Load(), test.requests, test.renewals)
			}
		})
	}
}

// TestStrangersHoldLess: without a session 16 KiB of a body are held, also where the gateway's own token goes up; a longer
// one is streamed, and not sent again.
func TestStrangersHoldLess(t *testing.T) {
	t.Parallel()
	for length, want := range map[int]int{heldBodyOfAnybody: http.StatusOK, heldBodyOfAnybody + 1: http.StatusUnauthorized} {
		c := &choosy{takes: "new", challenge: invalidToken}
		rt := &Route{Path: "/", Upstream: c.start(t), Token: TokenClient}
		p, err := New(Options{
			Routes: []*Route{rt}, PublicURL: mustParse(t, publicURL), OwnCookie: isOwnCookie, Transport: newTestTransport(t),
			Renew: func(context.Context, *Route, *session.Session, secret.String) (secret.String, error) {
				return secret.New("new"), nil
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		w := httptest.NewRecorder()
		r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(strings.Repeat("x", length)))
		if err := p.Serve(w, r, rt, nil, secret.New("old")); err != nil || w.Code != want {
			t.Errorf("%d bytes: %d %v, want %d", length, w.Code, err, want)
		}
	}
}

// TestRenewTakesItsTime: how long another token takes is no silence of the upstream.
func TestRenewTakesItsTime(t *testing.T) {
	t.Parallel()
	c := &choosy{takes: "new", challenge: invalidToken}
	const timeout = 300 * time.Millisecond
	renew := func(ctx context.Context, _ *Route, _ *session.Session, _ secret.String) (secret.String, error) {
		select {
		case <-time.After(2 * timeout):
			return secret.New("new"), nil
		case <-ctx.Done():
			return secret.String{}, context.Cause(ctx)
		}
	}
	g := newGatewayWith(t, alice, Options{Transport: newTestTransport(t), Renew: renew},
		&Route{Path: "/", Upstream: c.start(t), Token: TokenUser, Timeout: timeout})
	if res := g.get(t, "/"); res.StatusCode != http.StatusOK {
		t.Error(res.Status)
	}
}

// TestHeldBody: a body that is read before the request is sent breaks off and ends as one that is streamed, and the
// upstream hears nothing of what is not whole (PX-34).
func TestHeldBody(t *testing.T) {
	t.Parallel()
	c := &choosy{takes: accessToken}
	rt := &Route{Path: "/", Upstream: c.start(t), Token: TokenUser, Timeout: 300 * time.Millisecond}
	g := newGatewayWith(t, alice, Options{Transport: newTestTransport(t)}, rt)
	head := "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n"

	res := g.raw(t, head+"slow")
	g.wantProblem(t, res, problem.UpstreamTimeout)

	conn := g.send(t, head+"gone")
	conn.Close()
	if p := receive(t, g.problem); p.Code != problem.BadRequest || !errors.Is(p, context.Canceled) && !errors.Is(p, io.ErrUnexpectedEOF) {
		t.Errorf("%v", p)
	}
	if got := c.got.Load(); got != 0 {
		t.Errorf("the upstream got %d requests", got)
	}
}

// TestRenewAtTheEnd: the session may end while another token is asked for, which fails then for any reason. The answer
// is that, and not the upstream's, of which nothing more would come.
func TestRenewAtTheEnd(t *testing.T) {
	t.Parallel()
	c := &choosy{takes: "new", challenge: invalidToken}
	var end context.CancelCauseFunc
	g := newGatewayWith(t, alice, Options{
		Transport: newTestTransport(t),
		Bind: func(_ *session.Session, f context.CancelCauseFunc) (Bond, error) {
			end = f
			return release(func() {}), nil
		},
		Renew: func(ctx context.Context, _ *Route, _ *session.Session, _ secret.String) (secret.String, error) {
			end(session.ErrEnded)
			<-ctx.Done()
			return secret.String{}, session.ErrStoreUnavailable
		},
	}, &Route{Path: "/", Upstream: c.start(t), Token: TokenUser})
	res := g.get(t, "/")
	if got := body(t, res); got != "session ended\n" {
		t.Errorf("%s %q", res.Status, got)
	}
}
