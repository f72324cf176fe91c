package rp

import (
	"net/url"
	"strings"
	"testing"

	"github.com/cloakroom/cloakroom/session/secret"
)

// FuzzDiscovery: a document that is accepted has only addresses that we may use, the table of its capabilities agrees,
// and nothing in it would harm a terminal.
func FuzzDiscovery(f *testing.F) {
	cfg := (Config{
		Issuer: fuzzIssuer, ClientID: "app", ClientSecret: secret.New("s"), Scopes: []string{"openid"},
	}).withDefaults()
	good := `{"issuer":"https://op.example.com","authorization_endpoint":"https://op.example.com/a",` +
		`"token_endpoint":"https://op.example.com/t","jwks_uri":"https://op.example.com/k"`
	f.Add([]byte(good + `}`))
	f.Add([]byte(good + `,"pushed_authorization_request_endpoint":"http://op.example.com","require_pushed_authorization_requests":true}`))
	f.Add([]byte(good + `,"mtls_endpoint_aliases":{"token_endpoint":"ftp://x"},"response_modes_supported":[]}`))
	f.Add([]byte(good + `,"scopes_supported":["\u001b[31m","\u202e"],"backchannel_logout_supported":7}`))
	f.Add([]byte(`{"issuer":"https://op.example.com","authorization_endpoint":"javascript:alert(1)"}`))
	f.Add([]byte(`{"Issuer":"https://op.example.com","token_endpoint":null}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		doc, err := parseObject(data)
		if err != nil {
			return
		}
		_, rows := examine(doc, &cfg)
		usable := true
		for _, row := range rows {
			usable = usable && row.Met
			if len(row.Offered) > 2000 || strings.ContainsFunc(row.Offered, func(r rune) bool { return r < ' ' || r > '~' }) {
				t.Errorf("row %+v", row)
			}
		}
		m, err := newMetadata(doc, &cfg)
		if usable != (err == nil) {
			t.Errorf("the table says %v, newMetadata %v", usable, err)
		}
		if err != nil {
			if m != (Metadata{}) {
				t.Errorf("partial metadata %+v", m)
			}
			return
		}
		if m.Issuer != fuzzIssuer || m.AuthorizationEndpoint == "" || m.TokenEndpoint == "" || m.JWKSURI == "" {
			t.Errorf("accepted %+v", m)
		}
		for _, address := range []string{
			m.AuthorizationEndpoint, m.TokenEndpoint, m.JWKSURI, m.UserinfoEndpoint, m.EndSessionEndpoint,
			m.RevocationEndpoint, m.PushedRequestEndpoint,
		} {
			if u, err := url.Parse(address); address != "" && (err != nil || u.Scheme != "https" || u.Host == "" || u.Fragment != "") {
				t.Errorf("accepted endpoint %q", address)
			}
		}
	})
}
