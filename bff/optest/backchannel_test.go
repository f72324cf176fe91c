package optest_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cloakroom/cloakroom/bff/optest"
)

// A receiver is the back-channel logout endpoint of a relying party.
type receiver struct {
	url string

	mu       sync.Mutex
	requests []*http.Request // with their forms
}

func newReceiver(t *testing.T, status int) *receiver {
	t.Helper()
	r := &receiver{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if err := req.ParseForm(); err != nil {
			t.Error(err)
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		r.requests = append(r.requests, req)
		w.Header().Set("Cache-Control", "no-store")
		w.WriteHeader(status)
		io.WriteString(w, "answer")
	}))
	t.Cleanup(server.Close)
	r.url = server.URL
	return r
}

func (r *receiver) received() []*http.Request {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.requests
}

// logoutParty is a party whose client "app" has a back-channel logout endpoint.
func logoutParty(t *testing.T, status int) (*party, *receiver) {
	t.Helper()
	r := newReceiver(t, status)
	cfg := config()
	cfg.Clients[0].BackchannelLogoutURI = r.url + "/logout?keep=1"
	return newParty(t, cfg), r
}

// Back-Channel Logout 1.0, 2.4 and 2.5.
func TestBackchannelLogout(t *testing.T) {
	t.Parallel()
	p, r := logoutParty(t, http.StatusOK)
	idToken, _ := p.verified(p.login()["id_token"])
	p.login() // a second login in the same session does not mean a second token

	deliveries := p.op.EndSessions("alice")
	if len(deliveries) != 1 || len(p.op.LogoutDeliveries()) != 1 {
		t.Fatalf("deliveries: %+v", deliveries)
	}
	d := deliveries[0]
	if d.Err != nil || d.ClientID != "app" || d.Status != http.StatusOK || d.Body != "answer" ||
		d.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("delivery: %+v", d)
	}
	requests := r.received()
	if len(requests) != 1 || requests[0].Method != http.MethodPost || requests[0].URL.RawQuery != "keep=1" ||
		len(requests[0].PostForm) != 1 || requests[0].PostForm.Get("logout_token") != d.Token ||
		len(requests[0].Cookies()) != 0 {
		t.Fatalf("requests: %+v", requests)
	}
	claims, header := p.verified(d.Token)
	if header["typ"] != "logout+jwt" || header["alg"] != "RS256" {
		t.Errorf("header: %v", header)
	}
	event, _ := claims["events"].(map[string]any)[backchannelEvent].(map[string]any)
	if claims["iss"] != p.op.Issuer() || claims["aud"] != "app" || claims["sub"] != "alice" ||
		claims["sid"] != idToken["sid"] || claims["jti"] == "" || event == nil || len(event) != 0 {
		t.Errorf("claims: %v", claims)
	}
	if life := claims["exp"].(float64) - claims["iat"].(float64); life != 120 {
		t.Errorf("lives for %v seconds", life)
	}
	if _, ok := claims["nonce"]; ok {
		t.Error("has a nonce")
	}
	if p.sid() == idToken["sid"] {
		t.Error("the session goes on")
	}
	p.op.ForgetRequests()
	if n := len(p.op.LogoutDeliveries()); n != 0 {
		t.Errorf("%d deliveries after ForgetRequests", n)
	}
}

const backchannelEvent = "http://schemas.openid.net/event/backchannel-logout"

// The end-session endpoint tells the clients before it sends the browser on.
func TestBackchannelLogoutByRequest(t *testing.T) {
	t.Parallel()
	p, r := logoutParty(t, http.StatusOK)
	hint := p.login()["id_token"].(string)
	p.logout("id_token_hint", hint, "post_logout_redirect_uri", byeURL)
	if n := len(r.received()); n != 1 {
		t.Errorf("%d logout tokens", n)
	}
	p.logout("id_token_hint", hint)
	if n := len(r.received()); n != 1 {
		t.Errorf("%d logout tokens after a second logout", n)
	}
}

// BCL-18: a session is ended alone, in one of several browsers.
func TestEndSession(t *testing.T) {
	t.Parallel()
	p, r := logoutParty(t, http.StatusOK)
	sid := p.sid()
	first := p.browser
	p.present()
	other := p.sid()

	if deliveries := p.op.EndSession(sid.(string)); len(deliveries) != 1 {
		t.Fatalf("deliveries: %+v", deliveries)
	}
	claims, _ := p.verified(r.received()[0].PostForm.Get("logout_token"))
	if claims["sid"] != sid {
		t.Errorf("sid %v, want %v", claims["sid"], sid)
	}
	if p.sid() != other {
		t.Error("the other browser's session is gone")
	}
	p.browser = first
	if p.sid() == sid {
		t.Error("the session goes on")
	}
	if n := len(p.op.EndSessions("alice")); n != 2 {
		t.Errorf("%d deliveries at the end of all sessions, want 2", n)
	}
}

// Only clients that got tokens in the session are told.
func TestBackchannelLogoutConcerns(t *testing.T) {
	t.Parallel()
	p, r := logoutParty(t, http.StatusOK)
	p.callback(p.authorize()) // a code that nobody redeems
	if deliveries := p.op.EndSessions("alice"); len(deliveries) != 0 {
		t.Errorf("deliveries: %+v", deliveries)
	}
	p.clientID = "post" // has no BackchannelLogoutURI
	code := p.callback(p.authorize()).Get("code")
	form := codeForm(code)
	form.Set("client_id", "post")
	form.Set("client_secret", secret)
	p.ok(p.post(p.op.EndpointURL(optest.TokenEndpoint), form, nil))
	if deliveries := p.op.EndSessions("alice"); len(deliveries) != 0 || len(r.received()) != 0 {
		t.Errorf("deliveries: %+v", deliveries)
	}
	if deliveries := p.op.EndSessions("bob"); len(deliveries) != 0 {
		t.Errorf("deliveries: %+v", deliveries)
	}
}

func TestLogoutDeliveryFails(t *testing.T) {
	t.Parallel()
	p, _ := logoutParty(t, http.StatusBadRequest)
	p.login()
	if d := p.op.EndSessions("alice"); len(d) != 1 || d[0].Status != http.StatusBadRequest || d[0].Err != nil {
		t.Errorf("deliveries: %+v", d)
	}
	if d := p.op.SendLogoutToken("post", "token"); d.Err == nil {
		t.Error("sent to a client without BackchannelLogoutURI")
	}
	gone := optest.Client{ID: "gone", Secret: secret, BackchannelLogoutURI: "http://127.0.0.1:1/"}
	if err := p.op.AddClient(gone); err != nil {
		t.Fatal(err)
	}
	if d := p.op.SendLogoutToken("gone", "token"); d.Err == nil || d.Status != 0 {
		t.Errorf("delivery to nobody: %+v", d)
	}
	if _, err := p.op.LogoutToken("nobody", "alice", ""); err == nil {
		t.Error("a logout token for an unknown client")
	}
	redirecting := httptest.NewServer(http.RedirectHandler(p.op.URL, http.StatusTemporaryRedirect))
	defer redirecting.Close()
	err := p.op.AddClient(optest.Client{ID: "redirects", Secret: secret, BackchannelLogoutURI: redirecting.URL})
	if err != nil {
		t.Fatal(err)
	}
	if d := p.op.SendLogoutToken("redirects", "token"); d.Status != http.StatusTemporaryRedirect {
		t.Errorf("a redirect was followed: %+v", d)
	}
}

// An answer that does not come is not waited for longer than 5 seconds.
func TestLogoutDeliveryTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		silent := roundTripper(func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		})
		op, err := optest.New(optest.Config{
			Issuer:     "http://localhost",
			Clients:    []optest.Client{{ID: "app", Secret: secret, BackchannelLogoutURI: "http://localhost/logout"}},
			HTTPClient: &http.Client{Transport: silent},
		})
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		if d := op.SendLogoutToken("app", "token"); d.Err == nil || time.Since(start) != 5*time.Second {
			t.Errorf("%v after %v", d.Err, time.Since(start))
		}
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// A client that is registered for another algorithm or for encryption has its logout tokens so too (2.4).
func TestLogoutTokenFollowsIDToken(t *testing.T) {
	t.Parallel()
	p := newParty(t, config())
	if err := p.op.AddClient(optest.Client{ID: "es", Secret: secret, IDTokenAlg: "ES256"}); err != nil {
		t.Fatal(err)
	}
	token, err := p.op.LogoutToken("es", "", "sid-1")
	if err != nil {
		t.Fatal(err)
	}
	claims, header := p.verified(token)
	if _, ok := claims["sub"]; ok || claims["sid"] != "sid-1" || header["alg"] != "ES256" {
		t.Errorf("%v %v", header, claims)
	}
}
