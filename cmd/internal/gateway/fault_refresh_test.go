package gateway

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom/cloakroom/bff/optest"
)

// A refresh whose answer belongs to somebody else, or cannot be understood (standards.md §4.1): one token request; the
// session ends; nothing of the answer is used, and the refresh token in it is given back.
func TestFaultsOfTheRefresh(t *testing.T) {
	t.Parallel()
	g := newReplica(t, func(_ *replica, c *Config) {
		c.Providers[0].TrustedAudiences = []string{"another-client"} // good in itself, and new at a refresh (RFR-04)
	}).ready()
	for _, test := range []struct {
		check string
		fault optest.Fault
	}{
		{"IDT-06", optest.WrongIssuer}, // RFR-02
		{"RFR-03", optest.OtherSubject},
		{"RFR-04", optest.ExtraAudience},
		{"RFR-05", optest.IssuedLongAgo},
		{"RFR-06", optest.StaleAuthTime},
		{"RFR-07", optest.OtherNonce},
		{"IDT-02", optest.BadSignature}, // RFR-08
		{"IDT-03", optest.OtherAlg},     // RFR-08
		{"IDT-10", optest.Expired},      // RFR-08
		{"IDT-18", optest.WrongAtHash},  // RFR-13
	} {
		t.Run(test.check+" "+test.fault.String(), func(t *testing.T) {
			g.op.ClearFaults()
			c := g.client().signIn()
			g.op.ForgetRequests()
			logged, calls := len(g.log.String()), g.calls()
			g.op.Fault(optest.OnRefresh(test.fault))
			g.ahead.Add(int64(6 * time.Minute)) // past the expiry of the access token

			res := c.send("GET", "/api/orders", csrf)
			if res.StatusCode != http.StatusUnauthorized || res.code() != "session_ended" || g.calls() != calls {
				t.Errorf("%s %s, %d upstream calls", res.Status, res.body, g.calls()-calls)
			}
			if n := g.op.CountGrants("refresh_token"); n != 1 {
				t.Errorf("%d refresh requests", n)
			}
			poll(t, "the new refresh token to be given back", func() bool { return g.op.Count(optest.RevocationEndpoint) > 0 })
			if audit := g.log.String()[logged:]; !strings.Contains(audit, test.check) {
				t.Errorf("the log does not name %s:\n%s", test.check, audit)
			}
		})
	}
}

// What an OP may leave out or write in another way at a refresh changes nothing for the user.
func TestRefreshesThatAreAllowed(t *testing.T) {
	t.Parallel()
	g := newReplica(t, nil).ready()
	for _, fault := range []optest.Fault{
		optest.NoIDToken,      // RFR-01, IDT-28: the one of the login has expired by now
		optest.AudienceArray,  // RFR-04
		optest.NoAuthTime,     // RFR-06
		optest.SameNonce,      // RFR-07
		optest.NoRefreshToken, // RFR-11: the old one stays
		optest.NarrowerScope,  // RFR-12
		optest.NoAtHash, optest.NoExpiresIn, optest.FractionalExpiresIn, optest.TokenTypeOddCase,
	} {
		t.Run(fault.String(), func(t *testing.T) {
			g.op.ClearFaults()
			c := g.client().signIn()
			g.op.ForgetRequests()
			g.op.Fault(optest.OnRefresh(fault))
			g.ahead.Add(int64(6 * time.Minute))
			if res := c.send("GET", "/api/orders", csrf); res.StatusCode != http.StatusOK {
				t.Errorf("%s %s", res.Status, res.body)
			}
			if n := g.op.CountGrants("refresh_token"); n != 1 {
				t.Errorf("%d refresh requests", n)
			}
		})
	}
}
