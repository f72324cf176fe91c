package e2e_test

import (
	"net/url"
	"testing"

	"github.com/cloakroom/cloakroom/bff/optest"
)

// TestPushedLogin: of a pushed request the browser carries a handle, which lives as long as the JSON says (PAR-04).
func TestPushedLogin(t *testing.T) {
	t.Parallel()
	g, op, _ := startApplication(t, nil)
	object := newAgent(g).fetch("GET", "/bff/login").json(t)
	address, _ := object["authorization_url"].(string)
	location, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	query := location.Query()
	if len(query) != 2 || query.Get("client_id") != g.config.ClientID || query.Get("request_uri") == "" {
		t.Errorf("the browser is sent to %s", location)
	}
	pushes := op.Requests(optest.PushedEndpoint)
	if len(pushes) != 1 || pushes[0].Form.Get("redirect_uri") != g.config.Origin+"/bff/callback" {
		t.Errorf("the OP has got %v", pushes)
	}
	if seconds, _ := object["expires_in"].(float64); seconds <= 0 || seconds >= 600 {
		t.Errorf("expires_in is %v, which is not that of the OP", object["expires_in"])
	}
}
