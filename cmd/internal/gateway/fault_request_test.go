package gateway

import (
	"net/http"
	"strings"
	"testing"

	"github.com/cloakroom/cloakroom/bff/optest"
	"github.com/cloakroom/cloakroom/session/memstore"
)

// A pushed request that goes wrong (standards.md §12, PAR-03): one push, no browser at the OP with plain parameters in
// its stead, no flow begun, and the same for the next who tries.
func TestFaultsOfPushedRequests(t *testing.T) {
	t.Parallel()
	store := &countingStore{Store: memstore.New()}
	g := newReplica(t, func(g *replica, c *Config) {
		g.options.store = store
		c.Providers[0].PushedRequests = "required"
	}).ready()
	e := optest.PushedEndpoint
	for _, test := range []struct {
		fault optest.Fault
		check string
	}{
		{optest.PushedOK, "200"},
		{optest.PushedNoRequestURI, "PAR-03"},
		{optest.PushedEmptyRequestURI, "PAR-03"},
		{optest.PushedNumericRequestURI, "PAR-03"},
		{optest.PushedNoExpiresIn, "PAR-03"},
		{optest.PushedZeroExpiresIn, "PAR-03"},
		{optest.PushedNegativeExpiresIn, "PAR-03"},
		{optest.PushedStringExpiresIn, "PAR-03"},
		{optest.PushedFractionalExpiresIn, "PAR-03"},
		{optest.Status(e, 400), "400"},
		{optest.Status(e, 429), "429"},
		{optest.Status(e, 500), "500"},
		{optest.Redirect(e, 307, "http://127.0.0.1:1/evil"), "307"},
		{optest.HTML(e), "200"},
		{optest.Huge(e), "larger than"},
		{optest.Drop(e), "push"},
	} {
		t.Run(test.fault.String(), func(t *testing.T) {
			g.op.ClearFaults()
			g.op.ForgetRequests()
			logged := len(g.log.String())
			g.op.Fault(test.fault)
			c := g.client()
			for pushes := 1; pushes <= 2; pushes++ { // PAR-05
				res := c.send("GET", "/bff/login", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document")
				if res.StatusCode/100 == 3 || res.StatusCode/100 == 2 || len(res.Cookies()) != 0 {
					t.Errorf("%s, Location %q, cookies %v", res.Status, res.Header.Get("Location"), res.Cookies())
				}
				if strings.Contains(res.body, "evil") || strings.Contains(res.body, g.op.URL) {
					t.Errorf("the page shows text of the OP:\n%s", res.body)
				}
				if n := g.op.Count(e); n != pushes {
					t.Errorf("%d pushes after %d tries", n, pushes)
				}
			}
			if n := g.op.Count(optest.TokenEndpoint) + g.op.Count(optest.AuthorizationEndpoint); n != 0 || store.created.Load() != 0 {
				t.Errorf("%d other requests, %d sessions", n, store.created.Load())
			}
			if log := g.log.String()[logged:]; !strings.Contains(log, test.check) {
				t.Errorf("the log does not say %q:\n%s", test.check, log)
			}
		})
	}
	t.Run("PAR-04", func(t *testing.T) { // what a hostile OP writes into request_uri stays in request_uri
		g.op.ClearFaults()
		g.op.Fault(optest.PushedHostileRequestURI)
		location := g.client().send("GET", "/bff/login").Header.Get("Location")
		if u := parseURL(t, location); location != "" && (len(u.Query()) != 2 || u.Fragment != "" || !strings.HasPrefix(location, g.op.URL)) {
			t.Errorf("the browser is sent to %s", location)
		}
	})
}

// What keeps the OP's metadata or keys from being used (§5) keeps the browser at home: 503, and not one request to any
// other endpoint of the OP.
func TestFaultsOfDiscovery(t *testing.T) {
	t.Parallel()
	metadata, keys := optest.MetadataEndpoint, optest.JWKSEndpoint
	hugeHeader := optest.Reply("metadata with a header of 300 kB", metadata,
		func(w http.ResponseWriter, r *http.Request, honest http.Handler) {
			w.Header().Set("X-Padding", strings.Repeat("a", 300_000))
			honest.ServeHTTP(w, r)
		})
	for _, fault := range []optest.Fault{
		hugeHeader,                                                     // FLOW-33
		optest.MetadataOtherIssuer, optest.MetadataIssuerTrailingSlash, // DIS-01
		optest.Redirect(metadata, 301, "/"), optest.Status(metadata, 500), optest.HTML(metadata), optest.Array(metadata), // DIS-04
		optest.MetadataNoJWKSURI,                                                                // DIS-05
		optest.InsecureEndpoint("token_endpoint"), optest.InsecureEndpoint("userinfo_endpoint"), // DIS-05
		optest.InsecureEndpoint("revocation_endpoint"), optest.InsecureEndpoint("end_session_endpoint"), // DIS-05
		optest.InsecureEndpoint("pushed_authorization_request_endpoint"), // DIS-05
		optest.MetadataFragment, // FLOW-45
		optest.Metadata("code_challenge_methods_supported", []string{"plain"}),              // FLOW-03
		optest.Metadata("id_token_signing_alg_values_supported", []string{"HS256", "none"}), // DIS-10
		optest.Metadata("token_endpoint_auth_methods_supported", []string{"none"}),          // DIS-10
		optest.Metadata("response_modes_supported", []string{"fragment"}),                   // DIS-10
		optest.Huge(metadata), optest.Huge(keys), optest.Gone(keys), optest.HTML(keys), optest.JWKSEmpty, // DIS-18
		optest.JWKSEncryptionUse, optest.JWKSEncryptionOps, optest.JWKSOtherAlg, optest.JWKSPrivateKeys, // DIS-14, DIS-15
	} {
		t.Run(fault.String(), func(t *testing.T) {
			t.Parallel()
			g := newReplica(t, func(g *replica, _ *Config) { g.op.Fault(fault) })
			poll(t, "the first try", func() bool { return strings.Contains(g.log.String(), "metadata failed") })
			res := g.client().send("GET", "/bff/login")
			if res.StatusCode != http.StatusServiceUnavailable || res.code() != "provider_unavailable" || len(res.Cookies()) != 0 {
				t.Errorf("%s %s", res.Status, res.body)
			}
			for _, e := range []optest.Endpoint{optest.PushedEndpoint, optest.AuthorizationEndpoint, optest.TokenEndpoint} {
				if n := g.op.Count(e); n != 0 {
					t.Errorf("%d requests to %s", n, e)
				}
			}
		})
	}
}

// FLOW-35, FLOW-44: nothing in the address of the login endpoint chooses the transaction, or what is asked for.
func TestLoginAddressCannotChooseTheFlow(t *testing.T) {
	t.Parallel()
	g := newReplica(t, nil).ready()
	chosen := "chosen-by-an-attacker-0123456789-0123456789-0123456789"
	c := g.client()
	start := c.send("GET", "/bff/login?state="+chosen+"&nonce="+chosen+"&code_challenge="+chosen+"&flow="+chosen+
		"&client_id="+chosen+"&redirect_uri=https%3A%2F%2Fevil.example&scope=admin&request_uri="+chosen)
	if start.StatusCode != http.StatusFound || strings.Contains(start.Header.Get("Location"), chosen) {
		t.Fatalf("%s %s", start.Status, start.Header.Get("Location"))
	}
	pushed := g.op.Requests(optest.PushedEndpoint)
	if len(pushed) != 1 {
		t.Fatalf("%d pushed requests", len(pushed))
	}
	for name, values := range pushed[0].Form {
		if strings.Contains(values[0], chosen) || strings.Contains(values[0], "evil") || strings.Contains(values[0], "admin") {
			t.Errorf("the OP was asked with %s=%s", name, values[0])
		}
	}
	if back := c.deliver(start.Header.Get("Location")); back.Header.Get("Location") != "/bff/landing" {
		t.Errorf("callback: %s %s", back.Status, back.Header.Get("Location"))
	}
}
