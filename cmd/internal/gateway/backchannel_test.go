package gateway

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cloakroom/cloakroom/bff/optest"
	"github.com/cloakroom/cloakroom/bff/rp"
	"github.com/cloakroom/cloakroom/session"
	"github.com/cloakroom/cloakroom/session/memstore"
)

// notified registers the gateway at its OP for logout tokens.
func (g *replica) notified(c optest.Client) {
	g.t.Helper()
	c.ID, c.Secret, c.RedirectURIs = "app", "the-client-secret-of-the-app", []string{g.url + "/bff/callback"}
	c.BackchannelLogoutURI = g.url + "/bff/backchannel-logout"
	if err := g.op.AddClient(c); err != nil {
		g.t.Fatal(err)
	}
}

// sid is that of alice's only session at the OP.
func (g *replica) sid() string {
	g.t.Helper()
	sessions, err := g.sessions.OfUser(g.t.Context(), g.op.Issuer(), "alice")
	if err != nil || len(sessions) != 1 {
		g.t.Fatalf("sessions of alice: %v, %v", sessions, err)
	}
	return sessions[0].SID
}

func (g *replica) logoutToken(sub, sid string) string {
	g.t.Helper()
	token, err := g.op.LogoutToken("app", sub, sid)
	if err != nil {
		g.t.Fatal(err)
	}
	return token
}

// requests are how many requests each endpoint of the OP has got.
func (g *replica) requests() map[optest.Endpoint]int {
	seen := map[optest.Endpoint]int{}
	for _, e := range []optest.Endpoint{
		optest.MetadataEndpoint, optest.JWKSEndpoint, optest.TokenEndpoint, optest.UserInfoEndpoint, optest.RevocationEndpoint,
	} {
		if n := g.op.Count(e); n > 0 {
			seen[e] = n
		}
	}
	return seen
}

// wantQuiet checks that no part of a logout token, nor its jti, is in a text.
func wantQuiet(t *testing.T, token, where, text string) {
	t.Helper()
	parts := append(strings.Split(token, "."), token)
	if data, err := base64.RawURLEncoding.DecodeString(parts[min(1, len(parts)-1)]); err == nil {
		var claims struct{ JTI string }
		_ = json.Unmarshal(data, &claims) // a JWE has none
		parts = append(parts, claims.JTI)
	}
	for _, part := range parts {
		if len(part) >= 16 && strings.Contains(text, part) {
			t.Errorf("%s holds %q of the token:\n%s", where, part, text)
		}
	}
}

func wantLogoutRefused(t *testing.T, d optest.LogoutDelivery) {
	t.Helper()
	if d.Err != nil || d.Status != http.StatusBadRequest || d.Header.Get("Cache-Control") != "no-store" ||
		d.Header.Get("Content-Type") != "application/json" || d.Header.Get("Set-Cookie") != "" {
		t.Errorf("answer %d %v %v; want 400, application/json, no-store (BCL-22, BCL-23)", d.Status, d.Header, d.Err)
	}
	if want := `{"error":"invalid_request","error_description":"the logout token was refused"}` + "\n"; d.Body != want {
		t.Errorf("body %q, want %q", d.Body, want)
	}
	wantQuiet(t, d.Token, "the answer", d.Body)
}

// TestFaultsOfTheLogoutToken is standards.md §8 over HTTP, one fault at a time: the OP hears 400 in the specification's
// form and nothing more, no session ends, the audit log names the check and nothing of the token, and the OP is asked for
// nothing, but once for a key that nobody knows (BCL-27).
func TestFaultsOfTheLogoutToken(t *testing.T) {
	t.Parallel()
	g := newReplica(t, nil).ready()
	g.notified(optest.Client{})
	c := g.client().signIn()
	sid := g.sid()
	for _, test := range []struct {
		check string
		fault optest.Fault
		keys  int // requests for them
	}{
		{"IDT-02", optest.LogoutBadSignature, 0},      // BCL-03
		{"IDT-02", optest.LogoutUnknownKid, 1},        // BCL-03, BCL-27
		{"IDT-02", optest.LogoutUnknownKid, 0},        // BCL-27: not again so soon
		{"IDT-02", optest.LogoutEmbeddedJWK, 0},       // BCL-03
		{"IDT-03", optest.LogoutOtherAlg, 0},          // BCL-03
		{"IDT-03", optest.LogoutAlgHS256PublicKey, 0}, // BCL-03
		{"IDT-03", optest.LogoutAlgNone, 0},           // BCL-04
		{"IDT-06", optest.LogoutWrongIssuer, 0},       // BCL-05
		{"IDT-06", optest.LogoutNoIssuer, 0},          // BCL-05
		{"IDT-07", optest.LogoutOtherAudience, 0},     // BCL-06
		{"IDT-07", optest.LogoutNoAudience, 0},        // BCL-06
		{"IDT-08", optest.LogoutExtraAudience, 0},     // BCL-06
		{"IDT-10", optest.LogoutExpired, 0},           // BCL-07
		{"IDT-10", optest.LogoutNoExpiry, 0},          // BCL-07
		{"IDT-11", optest.LogoutNoIssuedAt, 0},        // BCL-08
		{"IDT-11", optest.LogoutIssuedFuture, 0},      // BCL-08
		{"BCL-08", optest.LogoutIssuedLong, 0},
		{"BCL-09", optest.LogoutLongLived, 0},
		{"BCL-10", optest.LogoutNoID, 0},
		{"BCL-13", optest.LogoutNobody, 0},
		{"BCL-14", optest.LogoutNoEvents, 0},
		{"BCL-14", optest.LogoutNullEvents, 0},
		{"BCL-14", optest.LogoutWrongEvent, 0},
		{"BCL-14", optest.LogoutNullEvent, 0},
		{"BCL-14", optest.LogoutStringEvent, 0},
		{"IDT-22", optest.LogoutNonce, 0},     // BCL-15
		{"IDT-22", optest.LogoutNullNonce, 0}, // BCL-15
		{"IDT-22", optest.LogoutTypeAccess, 0},
		{"IDT-22", optest.LogoutTypeJWT, 0}, // BCL-16
		{"IDT-22", optest.LogoutNoType, 0},  // BCL-16
		{"IDT-22", optest.LogoutType("secevent+jwt"), 0},
	} {
		t.Run(test.check+" "+test.fault.String(), func(t *testing.T) {
			g.op.ClearFaults()
			g.op.ForgetRequests()
			logged := len(g.log.String())
			g.op.Fault(test.fault)
			delivery := g.op.SendLogoutToken("app", g.logoutToken("alice", sid))
			wantLogoutRefused(t, delivery)
			want := map[optest.Endpoint]int{}
			if test.keys > 0 {
				want[optest.JWKSEndpoint] = test.keys
			}
			if diff := cmp.Diff(want, g.requests()); diff != "" {
				t.Errorf("requests that the OP has got (-want +got):\n%s", diff)
			}
			if s := c.send("GET", "/bff/session", csrf); !strings.Contains(s.body, `"authenticated":true`) {
				t.Errorf("the session says %s", s.body)
			}
			said := g.log.String()[logged:]
			if strings.Count(said, `"logout_token_refused"`) != 1 || !strings.Contains(said, test.check) {
				t.Errorf("the log does not name %s once:\n%s", test.check, said)
			}
			wantQuiet(t, delivery.Token, "the log", said)
		})
	}
}

// What an OP may send ends the session, or somebody else's: 200 with nothing in it, and no cookie, header or origin is
// asked for (BCL-02, BCL-18, BCL-20, BCL-21).
func TestLogoutTokensThatAreAllowed(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		fault   optest.Fault
		untyped bool // the option
		stays   bool
	}{
		{fault: optest.Fault{}},
		{fault: optest.LogoutNoSubject},                 // BCL-13
		{fault: optest.LogoutNoSession},                 // BCL-13
		{fault: optest.LogoutTypeOddCase},               // BCL-16
		{fault: optest.LogoutTypeJWT, untyped: true},    // BCL-16
		{fault: optest.LogoutNoType, untyped: true},     // BCL-16
		{fault: optest.LogoutOtherSubject, stays: true}, // BCL-18
		{fault: optest.LogoutOtherSession, stays: true}, // BCL-20
	} {
		t.Run(test.fault.String(), func(t *testing.T) {
			t.Parallel()
			g := newReplica(t, func(_ *replica, c *Config) { c.Providers[0].UntypedLogoutTokens = test.untyped }).ready()
			g.notified(optest.Client{})
			c := g.client().signIn()
			g.op.Fault(test.fault)
			d := g.op.SendLogoutToken("app", g.logoutToken("alice", g.sid()))
			if d.Err != nil || d.Status != http.StatusOK || d.Body != "" || d.Header.Get("Cache-Control") != "no-store" ||
				d.Header.Get("Set-Cookie") != "" {
				t.Errorf("answer %d %q %v %v", d.Status, d.Body, d.Header, d.Err)
			}
			res := c.send("GET", "/api/orders", csrf)
			if stays := res.StatusCode == http.StatusOK; stays != test.stays {
				t.Errorf("a call: %s %s", res.Status, res.body)
			}
			if !test.stays && (res.code() != "session_ended" || !strings.Contains(res.Header.Get("Set-Cookie"), "Max-Age=0")) { // BCL-29
				t.Errorf("a call: %s %s %v", res.Status, res.body, res.Header)
			}
			if !test.stays && !strings.Contains(g.log.String(), `"reason":"backchannel_logout"`) {
				t.Error("the audit log does not say why the session has ended")
			}
			wantQuiet(t, d.Token, "the log", g.log.String())
		})
	}
}

// BCL-17: where ID tokens are registered to be encrypted, so are logout tokens.
func TestEncryptedLogoutTokens(t *testing.T) {
	t.Parallel()
	encrypted := optest.Encryption{Alg: "RSA-OAEP-256", Enc: "A256GCM"}
	g := newReplica(t, func(_ *replica, c *Config) {
		c.Providers[0].IDTokenEncryption, c.Providers[0].ClientKeyFile = rp.Encryption(encrypted), clientKeys(t)
	})
	g.notified(optest.Client{JWKSURI: g.url + "/bff/jwks.json", IDTokenEncryption: encrypted})
	c := g.ready().client().signIn()
	sid := g.sid()
	g.op.Fault(optest.LogoutNotEncrypted)
	wantLogoutRefused(t, g.op.SendLogoutToken("app", g.logoutToken("alice", sid)))
	if !strings.Contains(g.log.String(), "IDT-24") {
		t.Error("the log does not name IDT-24")
	}
	g.op.ClearFaults()
	if d := g.op.SendLogoutToken("app", g.logoutToken("alice", sid)); d.Status != http.StatusOK {
		t.Errorf("encrypted: %d %s", d.Status, d.Body)
	}
	if res := c.send("GET", "/api/orders", csrf); res.code() != "session_ended" {
		t.Errorf("a call: %s %s", res.Status, res.body)
	}
}

// BCL-01: the method, the size, the body and the two names of the endpoint.
func TestBackchannelEndpoint(t *testing.T) {
	t.Parallel()
	g := newReplica(t, nil).ready()
	c := g.client().signIn()
	token := g.logoutToken("alice", g.sid())
	post := func(path, body string) response {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, g.url+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		return g.client().do(req)
	}
	for _, method := range []string{"GET", "PUT", "DELETE", "HEAD"} {
		res := c.send(method, "/bff/backchannel-logout?logout_token="+token)
		if res.StatusCode != http.StatusMethodNotAllowed || res.Header.Get("Allow") != "POST" || res.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %s %v", method, res.Status, res.Header)
		}
	}
	if res := post("/bff/backchannel-logout?logout_token="+token, ""); res.StatusCode != http.StatusBadRequest {
		t.Errorf("a token in the query: %s %s", res.Status, res.body)
	}
	// Not much too large: of a body that the server does not read to its end, a client may see no more than a reset.
	res := post("/bff/backchannel-logout", "logout_token="+token+"&pad="+strings.Repeat("a", 64<<10))
	if res.StatusCode != http.StatusRequestEntityTooLarge || res.code() != "too_large" || res.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("too large: %s %s %v", res.Status, res.body, res.Header)
	}
	if res := c.send("GET", "/bff/session", csrf); !strings.Contains(res.body, `"authenticated":true`) {
		t.Errorf("the session says %s", res.body)
	}
	form := url.Values{"logout_token": {token}, "other": {"x"}}.Encode()
	if res := post("/bff/backchannel", form); res.StatusCode != http.StatusOK || res.body != "" {
		t.Errorf("the alias: %s %s", res.Status, res.body)
	}
	if res := c.send("GET", "/bff/session", csrf); !strings.Contains(res.body, `"reason":"ended"`) {
		t.Errorf("the session says %s", res.body)
	}
}

// BCL-11, BCL-12, BCL-28: replicas agree. A logout at one is seen at the other at once, and a token that one has heard does
// nothing at the other.
func TestBackchannelLogoutAtAnotherReplica(t *testing.T) {
	t.Parallel()
	store := memstore.New()
	g := newReplica(t, func(g *replica, _ *Config) { g.options.store = store }).ready()
	other := newReplica(t, func(o *replica, c *Config) {
		o.options.store, o.op = store, g.op
		c.Providers[0].Issuer = g.op.Issuer()
	}).ready()
	other.notified(optest.Client{})
	if err := g.op.AddClient(optest.Client{
		ID: "app", Secret: "the-client-secret-of-the-app", RedirectURIs: []string{g.url + "/bff/callback"},
		BackchannelLogoutURI: other.url + "/bff/backchannel-logout",
	}); err != nil {
		t.Fatal(err)
	}
	c := g.client().signIn()
	if res := c.send("GET", "/api/orders", csrf); res.StatusCode != http.StatusOK { // and the session is in g's cache
		t.Fatalf("a call: %s %s", res.Status, res.body)
	}
	token := g.logoutToken("alice", "")
	if d := g.op.SendLogoutToken("app", token); d.Status != http.StatusOK {
		t.Errorf("%d %s", d.Status, d.Body)
	}
	if res := c.send("GET", "/api/orders", csrf); res.code() != "session_ended" {
		t.Errorf("a call: %s %s", res.Status, res.body)
	}
	for _, r := range []*replica{g, other} {
		r.ahead.Add(int64(2 * time.Second)) // the next ID token is younger than the logout
	}
	c.signIn()
	for _, r := range []*replica{g, other, g} {
		r.notified(optest.Client{})
		if d := r.op.SendLogoutToken("app", token); d.Status != http.StatusOK {
			t.Errorf("once more: %d %s", d.Status, d.Body)
		}
	}
	if res := c.send("GET", "/api/orders", csrf); res.StatusCode != http.StatusOK {
		t.Errorf("a token that came again has ended a newer session: %s %s", res.Status, res.body)
	}
}

// stoppedStore is a store whose writes and searches can be made to fail.
type stoppedStore struct {
	session.Store
	stopped atomic.Bool
}

func (s *stoppedStore) Bury(ctx context.Context, index session.Index, at time.Time, keep time.Duration) error {
	if s.stopped.Load() {
		return errors.New("dial tcp 10.0.0.5:6379: connection refused")
	}
	return s.Store.Bury(ctx, index, at, keep)
}

// BCL-22: a store that does not answer is 503, which OPs try again; and then the session ends.
func TestLogoutWithoutStore(t *testing.T) {
	t.Parallel()
	store := &stoppedStore{Store: memstore.New()}
	g := newReplica(t, func(g *replica, c *Config) { g.options.store, c.Logout.Frontchannel = store, true }).ready()
	g.notified(optest.Client{})
	c := g.client().signIn()
	sid := g.sid()
	token := g.logoutToken("alice", sid)
	store.stopped.Store(true)
	frame := "/bff/frontchannel-logout?" + url.Values{"iss": {g.op.Issuer()}, "sid": {sid}}.Encode()
	if res := g.client().send("GET", frame); res.StatusCode != http.StatusServiceUnavailable || strings.Contains(res.body, "10.0.0.5") {
		t.Errorf("front-channel: %s %s", res.Status, res.body)
	}
	d := g.op.SendLogoutToken("app", token)
	if d.Status != http.StatusServiceUnavailable || d.Header.Get("Retry-After") == "" || d.Header.Get("Cache-Control") != "no-store" ||
		!strings.Contains(d.Body, "store_unavailable") || strings.Contains(d.Body, "10.0.0.5") {
		t.Errorf("back-channel: %d %s %v", d.Status, d.Body, d.Header)
	}
	if !strings.Contains(g.log.String(), `"logout_token_refused"`) {
		t.Error("the audit log does not say that the logout failed")
	}
	store.stopped.Store(false)
	if d := g.op.SendLogoutToken("app", token); d.Status != http.StatusOK {
		t.Errorf("once more: %d %s", d.Status, d.Body)
	}
	if res := c.send("GET", "/api/orders", csrf); res.code() != "session_ended" {
		t.Errorf("a call: %s %s", res.Status, res.body)
	}
}
