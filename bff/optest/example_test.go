package optest_test

import (
	"log"
	"net"
	"net/http"
	"testing"

	"github.com/cloakroom/cloakroom/bff/optest"
)

// A test of a relying party: the OP names another issuer in its ID tokens, and the login has to fail.
func ExampleStart() {
	_ = func(t *testing.T) {
		op := optest.Start(t, optest.Config{
			Clients: []optest.Client{{ID: "app", Secret: "s", RedirectURIs: []string{"http://localhost/callback"}}},
			Users:   []optest.User{{Subject: "alice", Claims: map[string]any{"name": "Alice"}}},
		})
		op.Fault(optest.WrongIssuer)

		authorizationURL := "..." // what the relying party redirects the browser to
		callback := op.Visit(authorizationURL)
		_ = callback // give it to the relying party, which has to refuse

		if n := op.Count(optest.TokenEndpoint); n != 1 {
			t.Errorf("%d token requests, want 1", n)
		}
	}
}

// An OP for a demonstration, with pages.
func ExampleNew() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	op, err := optest.New(optest.Config{
		Issuer:  "http://" + listener.Addr().String(),
		Clients: []optest.Client{{ID: "app", Secret: "s", RedirectURIs: []string{"http://localhost:8080/callback"}}},
		Users:   []optest.User{{Subject: "alice"}, {Subject: "bob"}},
		Pages:   optest.PlainPages{},
	})
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(http.Serve(listener, op))
}

// A fault that the package does not know.
func ExampleEditIDToken() {
	_ = optest.EditIDToken("groups as one string", func(t *optest.JWT) {
		t.Claims["groups"] = "admin,staff"
	})
}
