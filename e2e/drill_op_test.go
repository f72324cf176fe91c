//go:build drills

package e2e_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/cloakroom/cloakroom/bff/optest"
)

// ledger is an OP that ends a grant at the reuse of a refresh token, and the API behind the gateways. It knows of every
// token whose it is, and of every session how its tokens were refreshed.
type ledger struct {
	*optest.Server
	api *upstream

	mu       sync.Mutex
	families []*family
	tokens   map[string]issued
	late     time.Duration // the most by which an access token was too old when it came to the API
	onToken  tokenHook
}

// family is a login and all tokens that come from it.
type family struct {
	number   int
	asked    []time.Time // refresh requests
	answered []time.Time // good answers of the token endpoint, as far as the OP is concerned
	refused  int
}

type issued struct {
	family *family
	at     time.Time
	expiry time.Time
}

// tokenHook has a refresh request before it: the OP does its work when work is called, and answers when the hook returns,
// unless gone is closed by then, since the gateway has hung up.
type tokenHook func(f *family, gone <-chan struct{}, work func())

func startLedger(t *testing.T) *ledger {
	t.Helper()
	l := &ledger{tokens: map[string]issued{}}
	l.api = &upstream{Server: httptest.NewServer(http.HandlerFunc(l.serveAPI))}
	t.Cleanup(l.api.Close)
	return l
}

// startOP starts the OP of an application. Its keys and tokens are of the kinds that cost the least.
func (l *ledger) startOP(t *testing.T, c *config, lifetime time.Duration) {
	t.Helper()
	c.Provider = "id_token_signing_alg: ES256\npushed_authorization_requests: off"
	l.Server = c.startOP(t, optest.Config{
		SigningAlg: "ES256", OpaqueAccessTokens: true, AccessTokenLifetime: lifetime,
	})
	l.behaves()
}

// behaves has the OP do these things wrong, and no others.
func (l *ledger) behaves(faults ...optest.Fault) {
	l.ClearFaults()
	l.Fault(optest.Reply("the ledger", optest.TokenEndpoint, l.serveToken))
	l.Fault(faults...)
}

func (l *ledger) serveToken(w http.ResponseWriter, r *http.Request, honest http.Handler) {
	answer := httptest.NewRecorder()
	f, hook := l.arrive(r)
	work := func() {
		honest.ServeHTTP(answer, r)
		l.enter(f, answer)
	}
	if hook == nil || r.PostForm.Get("grant_type") != "refresh_token" {
		work()
	} else {
		hook(f, r.Context().Done(), work)
	}
	if r.Context().Err() != nil {
		return
	}
	maps.Copy(w.Header(), answer.Header())
	w.WriteHeader(answer.Code)
	_, _ = w.Write(answer.Body.Bytes())
}

// arrive finds the family of a token request, which is a new one at a login.
func (l *ledger) arrive(r *http.Request) (*family, tokenHook) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if t, ok := l.tokens[r.PostForm.Get("refresh_token")]; ok {
		t.family.asked = append(t.family.asked, time.Now())
		return t.family, l.onToken
	}
	f := &family{number: len(l.families)}
	l.families = append(l.families, f)
	return f, l.onToken
}

// enter notes what the OP has answered.
func (l *ledger) enter(f *family, answer *httptest.ResponseRecorder) {
	var tokens struct {
		Access  string  `json:"access_token"`
		Refresh string  `json:"refresh_token"`
		Expires float64 `json:"expires_in"`
	}
	_ = json.Unmarshal(answer.Body.Bytes(), &tokens) // a refusal has none of them
	l.mu.Lock()
	defer l.mu.Unlock()
	if answer.Code != http.StatusOK {
		f.refused++
		return
	}
	now := time.Now()
	f.answered = append(f.answered, now)
	t := issued{f, now, now.Add(time.Duration(tokens.Expires) * time.Second)}
	l.tokens[tokens.Access], l.tokens[tokens.Refresh] = t, t
}

// serveAPI says whose token has come, and when it was issued.
func (l *ledger) serveAPI(w http.ResponseWriter, r *http.Request) {
	token, _ := l.api.bearer(r)
	l.mu.Lock()
	t, ok := l.tokens[token]
	if ok {
		l.late = max(l.late, time.Since(t.expiry))
	}
	l.mu.Unlock()
	if !ok {
		http.Error(w, "no such token", http.StatusTeapot) // which no gateway says by itself
		return
	}
	_ = json.NewEncoder(w).Encode(apiAnswer{t.family.number, t.at})
}

type apiAnswer struct {
	Family int
	Issued time.Time // when the access token was
}

// during has all refreshes go through the hook; nil ends that.
func (l *ledger) during(hook tokenHook) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.onToken = hook
}

// count adds up something about the families.
func (l *ledger) count(of func(*family) int) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for _, f := range l.families {
		n += of(f)
	}
	return n
}

func asked(f *family) int   { return len(f.asked) }
func refused(f *family) int { return f.refused }

// revoked counts families that the OP has given up.
func (l *ledger) revoked() int {
	return l.count(func(f *family) int { return min(f.refused, 1) })
}

// wantRefreshes wants as many refreshes.
func (l *ledger) wantRefreshes(t *testing.T, want int) {
	t.Helper()
	if n := l.count(asked); n != want {
		t.Errorf("%d refreshes, want %d", n, want)
	}
}

// pause is the shortest time between two refreshes of one family.
func (l *ledger) pause() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	shortest := time.Hour
	for _, f := range l.families {
		for i := 1; i < len(f.asked); i++ {
			shortest = min(shortest, f.asked[i].Sub(f.asked[i-1]))
		}
	}
	return shortest
}

// touched reports whether a family had to do with the token endpoint between two moments.
func (l *ledger) touched(number int, from, to time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	f := l.families[number]
	return slices.ContainsFunc(slices.Concat(f.asked, f.answered), func(at time.Time) bool {
		return at.After(from) && at.Before(to)
	})
}

// onlyOnce limits a hook to one refresh of each of these families, and lets all others pass.
func onlyOnce(hooks map[int]tokenHook) tokenHook {
	var mu sync.Mutex
	return func(f *family, gone <-chan struct{}, work func()) {
		mu.Lock()
		hook := hooks[f.number]
		delete(hooks, f.number)
		mu.Unlock()
		if hook == nil {
			work()
			return
		}
		hook(f, gone, work)
	}
}
