package rp

import (
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var fuzzKey = ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))

// goodResponse is the claims of a JARM response.
var goodResponse = fmt.Sprintf(`{"iss":%q,"aud":"app","exp":%d,"code":"c","state":"s"}`, fuzzIssuer, fuzzTime.Unix()+60)

// FuzzReadResponse: whatever is sent to the redirect URI, a response comes out of one channel only, and in the modes
// with a JWT only out of a JWT of the OP's (FLOW-27, JRM-04).
func FuzzReadResponse(f *testing.F) {
	c, _ := fuzzClient(f, fuzzKey)
	const form = "application/x-www-form-urlencoded"
	jwt := "response=" + sign(fuzzKey, `{"alg":"EdDSA"}`, goodResponse)
	f.Add("GET", "code=c&state=s", "", "")
	f.Add("GET", jwt, "", "")
	f.Add("GET", "code=c&state=s", form, "code=d&state=t")
	f.Add("POST", "", form, "code=c&state=s")
	f.Add("POST", "", form+"; charset=utf-8", jwt)
	f.Add("POST", "code=c", form, "state=s")
	f.Add("POST", "a=%zz", form, "a=b;c=d")
	f.Add("POST", "", "multipart/form-data; boundary=x", "--x\r\n\r\n--x--")
	f.Add("HEAD", "code=c", "", "")
	f.Fuzz(func(t *testing.T, method, query, contentType, body string) {
		for _, mode := range []ResponseMode{ResponseQuery, ResponseFormPost, ResponseQueryJWT, ResponseFormPostJWT} {
			r := httptest.NewRequest(http.MethodGet, "/", strings.NewReader(body))
			r.Method, r.URL.RawQuery = method, query
			r.Header.Set("Content-Type", contentType)
			c.cfg.ResponseMode = mode
			response, err := c.ReadResponse(t.Context(), r)
			if err != nil {
				if !errors.Is(err, ErrResponse) {
					t.Errorf("%s: error %v, want ErrResponse", mode, err)
				}
				continue
			}
			channel, other := query, body
			if mode.isPost() {
				channel, other = body, query
			}
			params, err := url.ParseQuery(channel)
			switch {
			case err != nil || (method == http.MethodPost) != mode.isPost():
				t.Errorf("%s: accepted", mode)
			case mode.isJWT() && !response.signed:
				t.Errorf("%s: accepted a response without a JWT", mode)
			case !mode.isJWT() && !cmp.Equal(params, response.params):
				t.Errorf("%s: %v is not what the channel says", mode, response.params)
			}
			if rest, _ := url.ParseQuery(other); rest.Has("code") || rest.Has("state") || rest.Has("response") {
				t.Errorf("%s: accepted beside %q", mode, other)
			}
		}
	})
}

// FuzzJARM: whatever an OP signs, a response that is accepted is from the OP, for us and of this hour (JRM-02).
func FuzzJARM(f *testing.F) {
	c, p := fuzzClient(f, fuzzKey)
	c.cfg.ResponseMode, c.cfg.ResponseSigningAlg = ResponseJWT, "EdDSA"
	for _, header := range []string{
		`{"alg":"EdDSA","kid":"k1"}`, `{"alg":"EdDSA","typ":"JWT"}`, `{"alg":"none"}`, `{"alg":"EdDSA","crit":["b64"]}`,
	} {
		f.Add(header, goodResponse, "")
	}
	for _, claims := range []string{
		`null`, `{"code":7}`, strings.Replace(goodResponse, `"c"`, `["c","d"]`, 1), strings.Replace(goodResponse, `"app"`, `["app"]`, 1),
		strings.Replace(goodResponse, `"exp"`, `"EXP"`, 1), strings.Replace(goodResponse, `"code"`, `"error"`, 1),
	} {
		f.Add(`{"alg":"EdDSA"}`, claims, "")
	}
	f.Add("", "", "a.b.c")
	f.Add("", "", "a.b.c.d.e")
	f.Fuzz(func(t *testing.T, header, claims, raw string) {
		if raw == "" {
			raw = sign(fuzzKey, header, claims)
		}
		response, err := c.readJWT(t.Context(), p, url.Values{"response": {raw}})
		if err != nil {
			if !errors.Is(err, ErrResponse) || response != nil {
				t.Errorf("error %v, want ErrResponse", err)
			}
			return
		}
		payload, err := base64.RawURLEncoding.DecodeString(strings.Split(raw, ".")[1])
		if err != nil {
			t.Fatalf("accepted %q", raw)
		}
		got, err := parseObject(payload)
		if err != nil || !response.signed {
			t.Fatalf("accepted %q", payload)
		}
		iss, _ := got.text("iss")
		aud, _ := got.audience()
		exp, err := got.date("exp")
		if iss != fuzzIssuer || len(aud) == 0 || len(without(aud, []string{"app"})) > 0 || err != nil ||
			exp.Before(fuzzTime.Add(-leeway)) || exp.After(fuzzTime.Add(maxResponseLife)) {
			t.Errorf("accepted %q", payload)
		}
	})
}

// FuzzPushedAnswer: what the browser is given to carry is a URI, and runs out.
func FuzzPushedAnswer(f *testing.F) {
	f.Add([]byte(`{"request_uri":"urn:ietf:params:oauth:request_uri:x","expires_in":60}`))
	f.Add([]byte(`{"request_uri":"urn:x\r\n","expires_in":"60"}`))
	f.Add([]byte(`{"request_uri":"","expires_in":9223372036854775807}`))
	f.Add([]byte(`{"request_uri":["urn:x"],"expires_in":1e3}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		requestURI, expiresIn, err := parsePushed(&answer{status: 201, mediaType: "application/json", body: data})
		if err != nil {
			if !errors.Is(err, ErrUnavailable) || requestURI != "" {
				t.Errorf("%q, error %v, want ErrUnavailable", requestURI, err)
			}
			return
		}
		if u, err := url.Parse(requestURI); err != nil || !u.IsAbs() || !isVisible(requestURI) || len(requestURI) > maxRequestURI ||
			expiresIn < time.Second || expiresIn > maxLifetime {
			t.Errorf("accepted %q, %v", requestURI, expiresIn)
		}
	})
}
