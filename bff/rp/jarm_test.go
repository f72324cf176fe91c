package rp_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom/cloakroom/bff/optest"
	"github.com/cloakroom/cloakroom/bff/rp"
)

func responseHeader(name string, value any) optest.Fault {
	return optest.EditResponseJWT("JARM header "+name, func(t *optest.JWT) { t.Header[name] = value })
}

// TestResponseJWTRefused is JRM-02 and JRM-03: each of these is refused, whatever it says, and nothing is sent to the
// OP.
func TestResponseJWTRefused(t *testing.T) {
	t.Parallel()
	const other = "https://op.invalid"
	soon := func(d time.Duration) int64 { return time.Now().Add(d).Unix() }
	for _, tt := range []struct {
		id    string
		fault optest.Fault
	}{
		{"iss wrong", optest.ResponseJWTClaim("iss", other)},
		{"iss missing", optest.WithoutResponseJWTClaim("iss")},
		{"iss no string", optest.ResponseJWTClaim("iss", 7)},
		{"aud wrong", optest.ResponseJWTClaim("aud", "other")},
		{"aud missing", optest.WithoutResponseJWTClaim("aud")},
		{"aud with another", optest.ResponseJWTClaim("aud", []string{clientID, "other"})},
		{"exp past", optest.ResponseJWTClaim("exp", soon(-2*time.Minute))},
		{"exp missing", optest.WithoutResponseJWTClaim("exp")},
		{"exp no number", optest.ResponseJWTClaim("exp", "soon")},
		{"exp too far ahead", optest.ResponseJWTClaim("exp", soon(2*time.Hour))},
		{"iat in the future", optest.ResponseJWTClaim("iat", soon(time.Hour))},
		{"nbf in the future", optest.ResponseJWTClaim("nbf", soon(time.Hour))},
		{"alg none", responseHeader("alg", "none")},
		{"alg HS256", responseHeader("alg", "HS256")},
		{"alg not the registered one", responseHeader("alg", "PS256")},
		{"crit", responseHeader("crit", []string{"b64"})},
		{"typ of a logout token", responseHeader("typ", "logout+jwt")},
		{"typ of an access token", responseHeader("typ", "at+jwt")},
		{"kid unknown", responseHeader("kid", "another")},
		{"code no string", optest.ResponseJWTClaim("code", []string{"a", "b"})},
		{"error no string", optest.EditResponseJWT("JARM error 7", func(t *optest.JWT) {
			t.Claims["error"] = 7
			delete(t.Claims, "code")
		})},
		{"JRM-03 state wrong", optest.ResponseJWTClaim("state", "other")},
		{"JRM-03 state missing", optest.WithoutResponseJWTClaim("state")},
		{"FLOW-13 code and error", optest.ResponseJWTClaim("error", "access_denied")},
		{"FLOW-20 access token", optest.ResponseJWTClaim("access_token", "a")},
		{"FLOW-20 JWT in JWT", optest.ResponseJWTClaim("response", "a.b.c")},
		{"FLOW-05 no code", optest.WithoutResponseJWTClaim("code")},
	} {
		t.Run("JRM-02 "+tt.id, func(t *testing.T) {
			f := startLoaded(t, mode(rp.ResponseJWT))
			f.op.Fault(tt.fault)
			code, err := f.roundTrip(newRequest(nil))
			if !errors.Is(err, rp.ErrResponse) || !code.IsZero() {
				t.Errorf("error %v, want ErrResponse", err)
			}
			f.wantCount(optest.TokenEndpoint, 0)
			f.wantQuiet(err)
		})
	}
}

// TestErrorInRefusedJWT: an error is not the OP's before the JWT is (JRM-02).
func TestErrorInRefusedJWT(t *testing.T) {
	t.Parallel()
	f := startLoaded(t, mode(rp.ResponseJWT))
	f.op.Fault(optest.CallbackError("access_denied", ""), optest.ResponseJWTClaim("aud", "other"))
	_, err := f.roundTrip(newRequest(nil))
	if _, ok := errors.AsType[*rp.AuthorizationError](err); ok || !errors.Is(err, rp.ErrResponse) {
		t.Errorf("error %v, want ErrResponse", err)
	}
}

func TestResponseJWTAccepted(t *testing.T) {
	t.Parallel()
	for _, fault := range []optest.Fault{
		optest.ResponseJWTClaim("aud", []string{clientID}),
		optest.ResponseJWTClaim("session_state", map[string]any{"a": 1}), // FLOW-28
		optest.ResponseJWTClaim("exp", time.Now().Add(-30*time.Second).Unix()),
		responseHeader("typ", "application/jwt"),
	} {
		f := startLoaded(t, mode(rp.ResponseJWT))
		f.op.Fault(fault)
		if _, err := f.roundTrip(newRequest(nil)); err != nil {
			t.Errorf("%s: %v", fault, err)
		}
	}
}

// TestResponseJWTWithoutAnnouncedISS: iss inside the JWT is JARM's, not that of RFC 9207, which the OP need not
// announce (JRM-03).
func TestResponseJWTWithoutAnnouncedISS(t *testing.T) {
	t.Parallel()
	f := start(t, mode(rp.ResponseJWT))
	f.op.Fault(optest.MetadataNoIss)
	f.load()
	if _, err := f.roundTrip(newRequest(nil)); err != nil {
		t.Error(err)
	}
}

// TestOutsideOfTheJWT: what stands beside the JWT or in its place is refused (JRM-01, JRM-04), and so is a JWT that was
// not asked for.
func TestOutsideOfTheJWT(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		id   string
		mode rp.ResponseMode
		edit func(url.Values) // of the honest response
		want string           // "" for a response that is accepted
	}{
		{"as it is", rp.ResponseJWT, func(url.Values) {}, ""},
		{"unknown parameter beside", rp.ResponseJWT, func(v url.Values) { v.Set("session_state", "x") }, ""},
		{"code beside", rp.ResponseJWT, func(v url.Values) { v.Set("code", "c") }, "JRM-01"},
		{"state beside", rp.ResponseJWT, func(v url.Values) { v.Set("state", "s") }, "JRM-01"},
		{"error beside", rp.ResponseJWT, func(v url.Values) { v.Set("error", "access_denied") }, "JRM-01"},
		{"iss beside", rp.ResponseQueryJWT, func(v url.Values) { v.Set("iss", "i") }, "JRM-01"},
		{"twice", rp.ResponseJWT, func(v url.Values) { v.Add("response", v.Get("response")) }, "JRM-04"},
		{"nothing", rp.ResponseJWT, func(v url.Values) { v.Del("response") }, "JRM-04"},
		{"empty", rp.ResponseJWT, func(v url.Values) { v.Set("response", "") }, "IDT-30"},
		{"JSON form", rp.ResponseJWT, func(v url.Values) { v.Set("response", `{"payload":""}`) }, "IDT-30"},
		{"line end", rp.ResponseJWT, func(v url.Values) { v.Set("response", v.Get("response")+"\n") }, "IDT-30"},
		{"too long", rp.ResponseJWT, func(v url.Values) { v.Set("response", strings.Repeat("a", 64<<10+1)) }, "IDT-30"},
		{"JWE", rp.ResponseJWT, func(v url.Values) { v.Set("response", "YQ.YQ.YQ.YQ.YQ") }, "IDT-24"},
		{"signature of another", rp.ResponseJWT, func(v url.Values) {
			parts := strings.Split(v.Get("response"), ".")
			v.Set("response", parts[0]+"."+parts[1]+"."+strings.Repeat("A", len(parts[2])))
		}, "IDT-02"},
		{"JWT in plain mode", rp.ResponseQuery, func(v url.Values) { v.Set("response", "a.b.c") }, "FLOW-20"},
	} {
		t.Run(tt.want+" "+tt.id, func(t *testing.T) {
			f := startLoaded(t, mode(tt.mode))
			r := newRequest(nil)
			params := f.authorize(r)
			tt.edit(params)
			_, err := f.respond(params, r.State)
			if tt.want == "" && err != nil ||
				tt.want != "" && (!errors.Is(err, rp.ErrResponse) || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
			f.wantCount(optest.TokenEndpoint, 0)
		})
	}
}

// TestDowngrade is JRM-04: an OP, or whoever sits between, answers without the JWT, honestly in all else.
func TestDowngrade(t *testing.T) {
	t.Parallel()
	f := startLoaded(t, mode(rp.ResponseJWT))
	r := newRequest(nil)
	params := url.Values{"code": {"c"}, "state": {r.State}, "iss": {f.op.Issuer()}}
	if _, err := f.respond(params, r.State); !errors.Is(err, rp.ErrResponse) {
		t.Errorf("error %v, want ErrResponse", err)
	}
}

// TestEncryptedResponse: with encryption registered nothing else will do (JRM-01).
func TestEncryptedResponse(t *testing.T) {
	t.Parallel()
	f := startLoaded(t, func(_ *optest.Config, c *rp.Config) {
		c.ResponseMode, c.Keys = rp.ResponseJWT, ourKeys(t)
		c.ResponseEncryption = rp.Encryption{Alg: "ECDH-ES"}
	})
	r := newRequest(nil)
	params := f.authorize(r)
	if n := strings.Count(params.Get("response"), "."); n != 4 {
		t.Fatalf("the response has %d parts", n+1)
	}
	if _, err := f.respond(params, r.State); err != nil {
		t.Error(err)
	}

	params.Set("response", "YQ."+params.Get("response")[3:])
	if _, err := f.respond(params, r.State); !errors.Is(err, rp.ErrResponse) {
		t.Errorf("another header: %v, want ErrResponse", err)
	}
	plain := startLoaded(t, mode(rp.ResponseJWT))
	if _, err := f.respond(plain.authorize(r), r.State); !errors.Is(err, rp.ErrResponse) || !strings.Contains(err.Error(), "IDT-24") {
		t.Errorf("not encrypted: %v, want ErrResponse naming IDT-24", err)
	}
}

// TestResponseJWTWithoutKeys: that keys cannot be fetched says nothing about the response.
func TestResponseJWTWithoutKeys(t *testing.T) {
	t.Parallel()
	f := startLoaded(t, mode(rp.ResponseJWT))
	r := newRequest(nil)
	params := f.authorize(r)
	f.clock.advance(2 * time.Hour)
	f.op.Close()
	request := httptest.NewRequest(http.MethodGet, redirectURI+"?"+params.Encode(), nil)
	if _, err := f.client.ReadResponse(t.Context(), request); !errors.Is(err, rp.ErrUnavailable) || errors.Is(err, rp.ErrResponse) {
		t.Errorf("error %v, want ErrUnavailable", err)
	}
}

// TestResponseJWTBeforeLoad: without metadata there is nothing to check a JWT with.
func TestResponseJWTBeforeLoad(t *testing.T) {
	t.Parallel()
	f := start(t, mode(rp.ResponseJWT))
	request := httptest.NewRequest(http.MethodGet, redirectURI+"?response=a.b.c", nil)
	if _, err := f.client.ReadResponse(t.Context(), request); !errors.Is(err, rp.ErrUnavailable) {
		t.Errorf("error %v, want ErrUnavailable", err)
	}
}
