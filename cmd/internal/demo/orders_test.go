package demo

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// ordersServer is the API with a key that signs tokens it accepts.
type ordersServer struct {
	*httptest.Server
	t     *testing.T
	token func(sub, scope string) string
}

func newOrdersServer(t *testing.T) *ordersServer {
	t.Helper()
	key := newRSAKey(t)
	op := newKeyServer(t, publicKey("rsa", "sig", key.Public()))
	api := newOrdersAPI(newTestVerifier(t, op, func() time.Time { return testTime }))
	server := httptest.NewServer(api.handler())
	t.Cleanup(server.Close)
	return &ordersServer{server, t, func(sub, scope string) string {
		claims := goodClaims(op.URL)
		claims["sub"], claims["scope"] = sub, scope
		return signed(t, jose.RS256, key, "rsa", "at+jwt", claims)
	}}
}

// call returns the answer and decodes its body into the second result.
func (s *ordersServer) call(method, authorization, body string) (*http.Response, map[string]any) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), method, s.URL+"/api/orders", strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	if authorization != "" {
		req.Header.Set("Authorization", authorization)
	}
	res, err := s.Client().Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	var decoded map[string]any
	if err := json.NewDecoder(res.Body).Decode(&decoded); err != nil {
		s.t.Fatal(err)
	}
	return res, decoded
}

// TestOrdersAuthorization is RFC 6750 §3: what the API says to those it does not serve.
func TestOrdersAuthorization(t *testing.T) {
	s := newOrdersServer(t)
	for name, tt := range map[string]struct {
		method, authorization string
		status                int
		challenge             string
	}{
		"nothing":          {"GET", "", 401, `Bearer realm="orders"`},
		"another scheme":   {"GET", "Basic YTpi", 401, `Bearer realm="orders"`},
		"empty":            {"GET", "Bearer ", 401, `Bearer realm="orders"`},
		"garbage":          {"GET", "Bearer x", 401, `Bearer realm="orders", error="invalid_token"`},
		"no scope":         {"GET", "Bearer " + s.token("alice", ""), 403, `Bearer realm="orders", error="insufficient_scope", scope="orders:read"`},
		"scope is a part":  {"GET", "Bearer " + s.token("alice", "orders:readall"), 403, `Bearer realm="orders", error="insufficient_scope", scope="orders:read"`},
		"read is no write": {"POST", "Bearer " + s.token("alice", "orders:read"), 403, `Bearer realm="orders", error="insufficient_scope", scope="orders:write"`},
		"good":             {"GET", "bearer " + s.token("alice", "openid orders:read"), 200, ""},
	} {
		t.Run(name, func(t *testing.T) {
			res, _ := s.call(tt.method, tt.authorization, `{"item":"Felt hat"}`)
			if res.StatusCode != tt.status || res.Header.Get("WWW-Authenticate") != tt.challenge {
				t.Errorf("%d %q, want %d %q", res.StatusCode, res.Header.Get("WWW-Authenticate"), tt.status, tt.challenge)
			}
		})
	}
}

func TestOrdersWithoutTheOP(t *testing.T) {
	key := newRSAKey(t)
	op := newKeyServer(t)
	api := newOrdersAPI(newTestVerifier(t, op, func() time.Time { return testTime }))
	op.Close()
	req := httptest.NewRequest(http.MethodGet, "/api/orders", nil)
	req.Header.Set("Authorization", "Bearer "+signed(t, jose.RS256, key, "new", "at+jwt", goodClaims(op.URL)))
	w := httptest.NewRecorder()
	api.handler().ServeHTTP(w, req)
	if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" {
		t.Errorf("%d, want 503 with Retry-After: the token may be good", w.Code)
	}
}

func TestOrdersBelongToTheirUser(t *testing.T) {
	s := newOrdersServer(t)
	alice, bob := "Bearer "+s.token("alice", "orders:read orders:write"), "Bearer "+s.token("bob", "orders:read")
	items := func(authorization string) (items []any) {
		_, body := s.call("GET", authorization, "")
		for _, o := range body["orders"].([]any) {
			items = append(items, o.(map[string]any)["item"])
		}
		return items
	}
	if got := len(items(alice)); got != 2 {
		t.Fatalf("alice starts with %d orders, want 2", got)
	}
	if res, _ := s.call("POST", alice, `{"item":"Felt hat"}`); res.StatusCode != http.StatusCreated {
		t.Fatalf("order: %s", res.Status)
	}
	if got := items(alice); len(got) != 3 || got[0] != "Felt hat" {
		t.Errorf("alice has %v, want the felt hat first of three", got)
	}
	if got := items(bob); len(got) != 2 {
		t.Errorf("bob has %v, want his own two", got)
	}
	for range maxOrders {
		s.call("POST", alice, `{"item":"Silk scarf"}`)
	}
	if got := items(alice); len(got) != maxOrders {
		t.Errorf("alice has %d orders, want no more than %d", len(got), maxOrders)
	}
}

func TestOrdersReport(t *testing.T) {
	s := newOrdersServer(t)
	_, body := s.call("GET", "Bearer "+s.token("alice", "orders:read"), "")
	received := body["received"].(map[string]any)
	if received["sub"] != "alice" || received["token_expires_in"] != 60.0 || received["token_age"] != 0.0 || received["cookies"] != 0.0 {
		t.Errorf("received %v", received)
	}
}

func TestOrdersRefusesWhatIsNotInTheCatalogue(t *testing.T) {
	s := newOrdersServer(t)
	alice := "Bearer " + s.token("alice", "orders:write")
	for _, body := range []string{"", "{", `{"item":"Yacht"}`, `{"item":7}`, `{"item":"` + strings.Repeat("x", 2<<10) + `"}`} {
		if res, _ := s.call("POST", alice, body); res.StatusCode != http.StatusBadRequest {
			t.Errorf("%.20q: %s, want 400", body, res.Status)
		}
	}
}

// TestCatalogueOfThePage: the page orders what the API has.
func TestCatalogueOfThePage(t *testing.T) {
	page := read(t, folder("spa"), "orders.js")
	if want := "['" + strings.Join(catalogue, "', '") + "']"; !strings.Contains(page, want) {
		t.Errorf("orders.js does not contain %s", want)
	}
}
