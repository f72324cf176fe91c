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
