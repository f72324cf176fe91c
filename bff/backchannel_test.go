package bff

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cloakroom/cloakroom/bff/optest"
	"github.com/cloakroom/cloakroom/bff/rp"
	"github.com/cloakroom/cloakroom/session"
	"github.com/cloakroom/cloakroom/session/problem"
	"github.com/cloakroom/cloakroom/session/secret"
)

const form = "application/x-www-form-urlencoded"

// notified has the OP send logout tokens to the app.
func notified(o *setup) {
	for i := range o.OP.Clients {
		o.OP.Clients[i].BackchannelLogoutURI = o.URLs.BackchannelLogout()
	}
}

// visitor is a new session of a user, in a session of this sid at the OP.
func (a *app) visitor(subject, sid string) *session.Session {
	a.t.Helper()
	a.op.SignIn(subject)
	a.op.Fault(optest.IDTokenClaim("sid", sid))
	defer a.op.ClearFaults()
	return a.browser().signIn("?provider=one&prompt=login")
}

// signIn goes through a login and returns its session.
func (b *browser) signIn(query string) *session.Session {
	b.t.Helper()
	if res := b.get(b.startLogin(query)); res.Header.Get("Location") != "/bff/landing" {
		b.t.Fatalf("callback: %s to %s", res.Status, res.Header.Get("Location"))
	}
	s, err := b.app.Sessions.Open(b.t.Context(), b.ticket())
	if err != nil {
		b.t.Fatal(err)
	}
	return s
}

func (a *app) isOpen(s *session.Session) bool {
	a.t.Helper()
	_, err := a.Sessions.Open(a.t.Context(), s.Ticket())
	if _, anonymous := session.Anonymous(err); err != nil && !anonymous {
		a.t.Fatal(err)
	}
	return err == nil
}

func (a *app) logoutToken(subject, sid string) string {
	a.t.Helper()
	token, err := a.op.LogoutToken("client-one", subject, sid)
	if err != nil {
		a.t.Fatal(err)
	}
	return token
}

// postLogout sends a body as an OP does.
func postLogout(h *Handler, contentType, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, "/bff/backchannel-logout", strings.NewReader(body))
	r.Header.Set("Content-Type", contentType)
	rec := httptest.NewRecorder()
	write(rec, h.BackchannelLogout(rec, r))
	return rec
}

func (a *app) postLogoutToken(token string) *httptest.ResponseRecorder {
	return postLogoutToken(a.Handler, token)
}

func postLogoutToken(h *Handler, token string) *httptest.ResponseRecorder {
	return postLogout(h, form, url.Values{"logout_token": {token}}.Encode())
}

func wantLoggedOut(t *testing.T, rec *httptest.ResponseRecorder) {
	t.Helper()
	if rec.Code != http.StatusOK || rec.Body.Len() != 0 || rec.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("answer %d %q, %v; want 200, empty, no-store (BCL-21, BCL-23)", rec.Code, rec.Body, rec.Header())
	}
}

func wantRefused(t *testing.T, rec *httptest.ResponseRecorder, description string) {
	t.Helper()
	want := fmt.Sprintf(`{"error":"invalid_request","error_description":%q}`+"\n", description)
	if rec.Code != http.StatusBadRequest || rec.Body.String() != want || rec.Header().Get("Cache-Control") != "no-store" ||
		rec.Header().Get("Content-Type") != "application/json" {
		t.Errorf("answer %d %q, %v; want 400 %q, no-store (BCL-22, BCL-23)", rec.Code, rec.Body, rec.Header(), want)
	}
}

const (
	badForm  = "send one logout_token in a body of application/x-www-form-urlencoded"
	badToken = "the logout token was refused"
)

// TestBackchannelLogout is BCL-18, BCL-20 and BCL-21: who is signed out by which token.
func TestBackchannelLogout(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		subject, sid string
		ends         []string
	}{
		{"alice", "s1", []string{"alice s1", "alice s1 again"}},
		{"", "s1", []string{"alice s1", "alice s1 again"}},
		{"alice", "", []string{"alice s1", "alice s1 again", "alice s2"}},
		{"bob", "", []string{"bob s3"}},
		{"bob", "s1", nil},
		{"alice", "s9", nil},
		{"nobody", "", nil},
	} {
		t.Run(tt.subject+" "+tt.sid, func(t *testing.T) {
			a := newApp(t, notified)
			sessions := map[string]*session.Session{
				"alice s1": a.visitor("alice", "s1"), "alice s1 again": a.visitor("alice", "s1"), "alice s2": a.visitor("alice", "s2"),
				"bob s3": a.visitor("bob", "s3"),
			}
			delivery := a.op.SendLogoutToken("client-one", a.logoutToken(tt.subject, tt.sid))
			if delivery.Err != nil || delivery.Status != http.StatusOK || delivery.Body != "" ||
				delivery.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("answer %+v", delivery)
			}
			for name, s := range sessions {
				if a.isOpen(s) == slices.Contains(tt.ends, name) {
					t.Errorf("%s: open %v", name, a.isOpen(s))
				}
			}
		})
	}
}

// BCL-29: the cookie stays until its next request, which learns why.
func TestBackchannelLogoutAndTheBrowser(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	b := a.browser()
	b.login()
	wantLoggedOut(t, a.postLogoutToken(a.logoutToken("alice", "")))
	b.wantAnonymous("ended")
	if left := b.cookies(a.cookies.session); len(left) != 0 {
		t.Errorf("the cookie stays: %v", left)
	}
}

// BCL-01: the form. What is no form costs the OP nothing, and nobody a session.
func TestBackchannelForm(t *testing.T) {
	t.Parallel()
	var causes []error
	var good []bool
	a := newApp(t, func(o *setup) {
		o.OnLogoutTokenRefused = func(_ *http.Request, cause error) { causes = append(causes, cause) }
		o.AdmitLogoutToken = func(*http.Request) (func(bool), error) {
			return func(g bool) { good = append(good, g) }, nil
		}
	})
	s := a.visitor("alice", "s1")
	token := a.logoutToken("alice", "s1")
	tokenForm := "logout_token=" + token
	a.op.ForgetRequests()
	for name, tt := range map[string]struct{ contentType, body string }{
		"nothing":              {form, ""},
		"another parameter":    {form, "token=" + token},
		"in capitals":          {form, "LOGOUT_TOKEN=" + token},
		"empty":                {form, "logout_token="},
		"twice":                {form, tokenForm + "&" + tokenForm},
		"once more, but empty": {form, tokenForm + "&logout_token="},
		"no form":              {form, tokenForm + "&%zz"},
		"no type":              {"", tokenForm},
		"malformed type":       {form + "; ;", tokenForm},
		"text":                 {"text/plain", tokenForm},
		"multipart":            {"multipart/form-data; boundary=x", "--x\r\nContent-Disposition: form-data; name=logout_token\r\n\r\n" + token + "\r\n--x--"},
		"JSON":                 {"application/json", `{"logout_token":"` + token + `"}`},
		"a bare JWT":           {"application/logout+jwt", token},
	} {
		t.Run(name, func(t *testing.T) {
			causes, good = nil, nil
			wantRefused(t, postLogout(a.Handler, tt.contentType, tt.body), badForm)
			if len(causes) != 1 || !strings.Contains(causes[0].Error(), "BCL-01") || strings.Contains(causes[0].Error(), token) {
				t.Errorf("causes %v", causes)
			}
			if !slices.Equal(good, []bool{false}) {
				t.Errorf("admission was told %v", good)
			}
		})
	}
	t.Run("in the query", func(t *testing.T) {
		r := httptest.NewRequest(http.MethodPost, "/bff/backchannel-logout?"+tokenForm, nil)
		r.Header.Set("Content-Type", form)
		rec := httptest.NewRecorder()
		write(rec, a.BackchannelLogout(rec, r))
		wantRefused(t, rec, badForm)
	})
	for _, body := range []string{strings.Repeat("a", 1<<20), tokenForm + "&pad=" + strings.Repeat("a", maxBackchannel)} {
		t.Run("too large", func(t *testing.T) {
			causes, good = nil, nil
			rec := postLogout(a.Handler, form, body)
			if rec.Code != http.StatusRequestEntityTooLarge || len(causes) != 1 || !slices.Equal(good, []bool{false}) {
				t.Errorf("answer %d %s, causes %v, admission was told %v", rec.Code, rec.Body, causes, good)
			}
		})
	}
	if n := a.op.Count(optest.JWKSEndpoint); n != 0 || !a.isOpen(s) {
		t.Errorf("%d key fetches, open %v", n, a.isOpen(s))
	}
	// Other parameters, in the body or the query, are ignored, and so is a charset.
	wantLoggedOut(t, postLogout(a.Handler, form+"; charset=utf-8", "a=1&a=2&"+tokenForm))
	if !slices.Equal(good, []bool{false, true}) || a.isOpen(s) {
		t.Errorf("admission was told %v, open %v", good, a.isOpen(s))
	}
}

// BCL-27: who is not admitted is told so, and nothing of the token is looked at.
func TestBackchannelAdmission(t *testing.T) {
	t.Parallel()
	a := newApp(t, func(o *setup) {
		o.AdmitLogoutToken = func(*http.Request) (func(bool), error) { return nil, problem.New(problem.TooManyRequests, "") }
		o.OnLogoutTokenRefused = func(*http.Request, error) { t.Error("a token that was not looked at is refused") }
	})
	s := a.visitor("alice", "s1")
	if rec := a.postLogoutToken(a.logoutToken("alice", "s1")); rec.Code != http.StatusTooManyRequests || !a.isOpen(s) {
		t.Errorf("answer %d, open %v", rec.Code, a.isOpen(s))
	}
}

// TestBackchannelReplay is BCL-11 and BCL-12: the second time a token does nothing, on any replica, and says 200.
func TestBackchannelReplay(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	options := a.Options
	options.Sessions = a.replica()
	replica := New(options)

	a.visitor("alice", "s1")
	token := a.logoutToken("alice", "")
	wantLoggedOut(t, a.postLogoutToken(token))
	a.advance(2 * time.Second) // the next ID token is younger than the logout
	back := a.visitor("alice", "s2")
	for range 2 {
		wantLoggedOut(t, a.postLogoutToken(token))
		wantLoggedOut(t, postLogoutToken(replica, token))
	}
	if !a.isOpen(back) {
		t.Error("a logout token that came again has ended a newer session")
	}
	wantLoggedOut(t, postLogoutToken(replica, a.logoutToken("alice", "")))
	if a.isOpen(back) {
		t.Error("another token did nothing")
	}

	a.op.Fault(optest.LogoutSameID)
	first, second := a.logoutToken("bob", ""), a.logoutToken("alice", "")
	a.op.ClearFaults()
	a.advance(2 * time.Second)
	back = a.visitor("alice", "s3")
	wantLoggedOut(t, a.postLogoutToken(first))
	wantLoggedOut(t, a.postLogoutToken(second))
	if !a.isOpen(back) {
		t.Error("of two tokens with one jti both were processed")
	}
}

// The jti is remembered until no replica would take the token, with a clock up to a minute behind (BCL-11).
func TestLogoutTokenIsRememberedLongEnough(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	store := &keepStore{Store: a.store.Store}
	a.store.Store = store
	wantLoggedOut(t, a.postLogoutToken(a.logoutToken("alice", "")))
	if want := 4 * time.Minute; store.keep < want-20*time.Second || store.keep > want { // of which the token lives two
		t.Errorf("remembered for %v, want %v", store.keep, want)
	}
}

type keepStore struct {
	session.Store
	keep time.Duration
}

func (s *keepStore) Consume(ctx context.Context, name string, keep time.Duration) error {
	s.keep = keep
	return s.Store.Consume(ctx, name, keep)
}

// spentStore is a store that another replica has told of the same name a moment before.
type spentStore struct{ session.Store }

func (s spentStore) Consume(ctx context.Context, name string, keep time.Duration) error {
	return errors.Join(s.Store.Consume(ctx, name, keep), s.Store.Consume(ctx, name, keep))
}

// A token that comes to two replicas at the same time has done its work at both.
func TestBackchannelTwiceAtOnce(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	s := a.visitor("alice", "s1")
	a.store.Store = spentStore{a.store.Store}
	wantLoggedOut(t, a.postLogoutToken(a.logoutToken("alice", "s1")))
	if a.isOpen(s) {
		t.Error("the session is open")
	}
}

// faultyStore fails one of the calls that a logout makes, or all.
type faultyStore struct {
	session.Store
	countdown atomic.Int64 // the call that makes it zero fails
	down      atomic.Bool
}

var errDown = errors.New("the store is down")

func (s *faultyStore) fails() error {
	if s.countdown.Add(-1) == 0 || s.down.Load() {
		return errDown
	}
	return nil
}

func (s *faultyStore) Consumed(ctx context.Context, name string) (bool, error) {
	if err := s.fails(); err != nil {
		return false, err
	}
	return s.Store.Consumed(ctx, name)
}

func (s *faultyStore) Consume(ctx context.Context, name string, keep time.Duration) error {
	if err := s.fails(); err != nil {
		return err
	}
	return s.Store.Consume(ctx, name, keep)
}

func (s *faultyStore) Bury(ctx context.Context, index session.Index, at time.Time, keep time.Duration) error {
	if err := s.fails(); err != nil {
		return err
	}
	return s.Store.Bury(ctx, index, at, keep)
}

func (s *faultyStore) Scan(ctx context.Context, index session.Index, cursor string, limit int) ([]session.ID, string, error) {
	if err := s.fails(); err != nil {
		return nil, "", err
	}
	return s.Store.Scan(ctx, index, cursor, limit)
}

func (s *faultyStore) Find(ctx context.Context, index session.Index) ([]session.ID, error) {
	if err := s.fails(); err != nil {
		return nil, err
	}
	return s.Store.Find(ctx, index)
}

func (s *faultyStore) LoadAll(ctx context.Context, ids []session.ID) ([]session.Found, error) {
	if err := s.fails(); err != nil {
		return nil, err
	}
	return s.Store.LoadAll(ctx, ids)
}

func (s *faultyStore) Delete(ctx context.Context, id session.ID, reason session.Reason) (session.Record, error) {
	if err := s.fails(); err != nil {
		return session.Record{}, err
	}
	return s.Store.Delete(ctx, id, reason)
}

// BCL-22: whichever call of the store fails, the answer is no 200, and the OP's next attempt ends the sessions.
func TestBackchannelStoreFailure(t *testing.T) {
	t.Parallel()
	var causes []error
	a := newApp(t, func(o *setup) {
		o.OnLogoutTokenRefused = func(_ *http.Request, cause error) { causes = append(causes, cause) }
		o.AdmitLogoutToken = func(*http.Request) (func(bool), error) {
			return func(good bool) {
				if !good {
					t.Error("a failure of the store counts against the OP")
				}
			}, nil
		}
	})
	store := &faultyStore{Store: a.store.Store}
	a.store.Store = store
	for call := int64(1); ; call++ {
		if call > 100 {
			t.Fatal("no logout works")
		}
		sessions := []*session.Session{a.visitor("alice", "s1"), a.visitor("alice", "s2")}
		token := a.logoutToken("alice", "")
		causes = nil
		store.countdown.Store(call)
		rec := a.postLogoutToken(token)
		if store.countdown.Load() > 0 { // there are not so many calls
			wantLoggedOut(t, rec)
			if call < 6 {
				t.Errorf("a logout makes %d calls only; which does this store not know of?", call-1)
			}
			return
		}
		store.countdown.Store(0)
		if rec.Code == http.StatusOK || rec.Header().Get("Cache-Control") != "no-store" || strings.Contains(rec.Body.String(), token) {
			t.Errorf("call %d fails: %d %s %v", call, rec.Code, rec.Body, rec.Header())
		}
		if len(causes) != 1 || !errors.Is(causes[0], session.ErrStoreUnavailable) {
			t.Errorf("call %d fails: causes %v", call, causes)
		}
		wantLoggedOut(t, a.postLogoutToken(token))
		for _, s := range sessions {
			if a.isOpen(s) {
				t.Errorf("call %d failed, and the next attempt ended nothing", call)
			}
		}
		a.advance(2 * time.Second) // the next round's logins are younger than this logout
	}
}

// Without the OP's metadata or keys a token cannot be verified: no 200, and no 400, which an OP would take for an answer.
func TestBackchannelWithoutProvider(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	s := a.visitor("alice", "s1")
	a.advance(2 * time.Hour)
	a.op.Fault(optest.Status(optest.JWKSEndpoint, 500))
	rec := a.postLogoutToken(a.logoutToken("alice", "s1"))
	if rec.Code != http.StatusServiceUnavailable || !strings.Contains(rec.Body.String(), string(problem.ProviderUnavailable)) {
		t.Errorf("answer %d %s", rec.Code, rec.Body)
	}
	if found, err := a.store.LoadAll(t.Context(), []session.ID{s.ID}); err != nil || len(found) != 1 {
		t.Errorf("found %v, %v", found, err)
	}
	// What is not of this OP is refused all the same.
	a.op.Fault(optest.LogoutWrongIssuer)
	wantRefused(t, a.postLogoutToken(a.logoutToken("alice", "s1")), badToken)
}

// BCL-27: of the few tokens that are looked at at a time none waits long for an OP whose keys do not come, or whoever posts
// made-up ones in its name would keep out the tokens of all. They count as no good.
func TestBackchannelHangingKeys(t *testing.T) {
	t.Parallel()
	var good []bool
	a := newApp(t, notified, func(o *setup) {
		o.AdmitLogoutToken = func(*http.Request) (func(bool), error) {
			return func(g bool) { good = append(good, g) }, nil
		}
	})
	_, claimsAndSignature, _ := strings.Cut(a.logoutToken("alice", "s1"), ".")
	over := make(chan struct{})
	t.Cleanup(func() { close(over) })
	a.op.Fault(optest.Reply("hangs", optest.JWKSEndpoint, func(http.ResponseWriter, *http.Request, http.Handler) { <-over }))
	begun := time.Now()
	rec := a.postLogoutToken(encoded(`{"alg":"RS256","typ":"logout+jwt","kid":"made-up"}`) + "." + claimsAndSignature)
	if took := time.Since(begun); rec.Code != http.StatusServiceUnavailable || took > 5*time.Second || !slices.Equal(good, []bool{false}) {
		t.Errorf("answer %d after %s, admission was told %v", rec.Code, took, good)
	}
}

// TestBackchannelOfSeveralProviders is BCL-05: the issuer, and of two clients at one OP the audience, say whose token it
// is; neither lets one OP sign out the users of another.
func TestBackchannelOfSeveralProviders(t *testing.T) {
	t.Parallel()
	t.Run("two OPs", func(t *testing.T) {
		other, change := twoOPs(t)
		a := newApp(t, change)
		s := a.visitor("alice", "s1")
		foreign, err := other().LogoutToken("client-two", "alice", "s1")
		if err != nil {
			t.Fatal(err)
		}
		other().Fault(optest.LogoutClaim("iss", a.op.Issuer()), optest.LogoutClaim("aud", "client-one"))
		forged, err := other().LogoutToken("client-two", "alice", "s1")
		if err != nil {
			t.Fatal(err)
		}
		wantLoggedOut(t, a.postLogoutToken(foreign)) // good, and about nobody here
		wantRefused(t, a.postLogoutToken(forged), badToken)
		if !a.isOpen(s) {
			t.Error("another OP has ended the session")
		}
		wantLoggedOut(t, a.postLogoutToken(a.logoutToken("alice", "s1")))
		if a.isOpen(s) {
			t.Error("its own OP has not")
		}
	})
	t.Run("two clients", func(t *testing.T) {
		a := newApp(t, twoProviders)
		for _, client := range []string{"client-one", "client-two"} {
			s := a.visitor("alice", "s-of-"+client)
			token, err := a.op.LogoutToken(client, "", "s-of-"+client)
			if err != nil {
				t.Fatal(err)
			}
			wantLoggedOut(t, a.postLogoutToken(token))
			if a.isOpen(s) {
				t.Errorf("the token of %s ended nothing", client)
			}
		}
		a.op.Fault(optest.LogoutOtherAudience)
		wantRefused(t, a.postLogoutToken(a.logoutToken("alice", "")), badToken)
	})
}

// BCL-27, DIS-11: thousands of tokens with keys that nobody knows make one request to the OP, and the key that the OP
// begins to sign with is found when the pause is over.
func TestBackchannelFlood(t *testing.T) {
	t.Parallel()
	a := newApp(t, notified)
	s := a.visitor("alice", "s1")
	_, claimsAndSignature, _ := strings.Cut(a.logoutToken("alice", "s1"), ".")
	a.op.ForgetRequests()
	begun := time.Now()
	var work sync.WaitGroup
	for sender := range 4 {
		work.Go(func() {
			for i := range 500 {
				header := encoded(fmt.Sprintf(`{"alg":"RS256","typ":"logout+jwt","kid":"k-%d-%d"}`, sender, i))
				if rec := a.postLogoutToken(header + "." + claimsAndSignature); rec.Code != http.StatusBadRequest {
					t.Errorf("answer %d", rec.Code)
				}
			}
		})
	}
	work.Wait()
	if n, most := a.op.Count(optest.JWKSEndpoint), 1+int(time.Since(begun)/(10*time.Second)); n < 1 || n > most {
		t.Errorf("2000 bad tokens made %d key fetches, want at most %d", n, most)
	}
	if err := a.op.RotateKeys(); err != nil {
		t.Fatal(err)
	}
	a.advance(11 * time.Second)
	wantLoggedOut(t, a.postLogoutToken(a.logoutToken("alice", "s1")))
	if a.isOpen(s) {
		t.Error("the session is still open")
	}
}

// racingStore runs something once, before a session is written.
type racingStore struct {
	session.Store
	once   sync.Once
	before func()
}

func (s *racingStore) Create(ctx context.Context, rec session.Record, terms session.Terms) error {
	s.once.Do(s.before)
	return s.Store.Create(ctx, rec, terms)
}

// BCL-25: a logout that overtakes a login wins. The user is told, and what was granted is revoked, once, unless it was for
// offline access (BCL-24).
func TestBackchannelLogoutDuringLogin(t *testing.T) {
	t.Parallel()
	for scope, revocations := range map[string]int{"profile": 1, "offline_access": 0} {
		t.Run(scope, func(t *testing.T) {
			a := newApp(t, func(o *setup) { o.RP[0].Scopes = []string{"openid", scope} })
			b := a.browser()
			callback := b.startLogin("")
			a.store.Store = &racingStore{Store: a.store.Store, before: func() {
				wantLoggedOut(t, a.postLogoutToken(a.logoutToken("alice", "")))
			}}
			b.wantFailed(b.get(callback))
			page := b.get("/bff/error")
			if !strings.Contains(page.body, "signed out at the sign-in service") || !strings.Contains(page.body, string(problem.LoginFailed)) {
				t.Errorf("the page says %s", page.body)
			}
			if err := a.Sessions.Close(t.Context()); err != nil { // which waits for the revocation
				t.Fatal(err)
			}
			if n := a.op.Count(optest.RevocationEndpoint); n != revocations {
				t.Errorf("%d revocations, want %d", n, revocations)
			}
		})
	}
}

func encoded(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }

// FuzzBackchannel: whatever is posted, nothing but one token in a form gets past the form, no text of the sender's is in
// an error, and no answer is a 200.
func FuzzBackchannel(f *testing.F) {
	client, err := rp.New(rp.Config{
		Issuer: "https://op.example.com", ClientID: "app", ClientSecret: secret.New("s"), RedirectURI: "https://app.example.com/cb",
		Scopes: []string{"openid"},
	})
	if err != nil {
		f.Fatal(err)
	}
	h := New(Options{URLs: URLs{Public: &url.URL{Scheme: "https", Host: "app.example.com"}}, Providers: Providers{{Name: "one", Client: client}}})
	good := fmt.Sprintf(`{"iss":"https://op.example.com","aud":"app","sub":"alice","jti":"j","iat":%d,"exp":%[1]d,"events":{%q:{}}}`,
		time.Now().Unix(), "http://schemas.openid.net/event/backchannel-logout")
	for _, token := range []string{
		"a.b.c", "a.b.c.d.e", "", encoded(`{"alg":"RS256","typ":"logout+jwt"}`) + "." + encoded(good) + ".AA",
		encoded(`{"alg":"none"}`) + "." + encoded(good) + ".", encoded(`{"alg":"RS256","typ":"logout+jwt"}`) + "." + encoded(`[]`) + ".AA",
	} {
		f.Add(form, "logout_token="+token)
		f.Add(form+";charset=x", "a=b&logout_token="+token+"&logout_token=")
	}
	f.Add("", ";;&&==%")
	f.Fuzz(func(t *testing.T, contentType, body string) {
		token, err := logoutToken(contentType, []byte(body))
		if (err == nil) == (token == "") {
			t.Errorf("token %q, error %v", token, err)
		}
		if values, _ := url.ParseQuery(body); err == nil && !slices.Equal(values["logout_token"], []string{token}) {
			t.Errorf("token %q of %q", token, body)
		}
		err = h.logoutByToken(t.Context(), contentType, []byte(body))
		if !errors.Is(err, errLogoutForm) && !errors.Is(err, rp.ErrLogoutToken) && !errors.Is(err, rp.ErrUnavailable) {
			t.Errorf("error %v", err)
		}
		if len(token) > 40 && strings.Contains(err.Error(), token) {
			t.Errorf("the error holds the token: %v", err)
		}
	})
}
