package optest_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/cloakroom/cloakroom/bff/optest"
)

const (
	callbackURL = "http://localhost:7777/callback?app=1"
	byeURL      = "http://localhost:7777/bye"
	verifier    = "0123456789-0123456789-0123456789-0123456789"
	secret      = "s:e+c r/e%t" // needs the encoding of RFC 6749, 2.3.1
)

var keyPairAlgs = []jose.SignatureAlgorithm{
	jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512, jose.ES256, jose.ES384, jose.EdDSA,
}

var everything = []string{"openid", "profile", "email", "offline_access"}

func config() optest.Config {
	return optest.Config{
		Clients: []optest.Client{
			{
				ID: "app", Name: "The App", Secret: secret,
				RedirectURIs: []string{callbackURL}, PostLogoutRedirectURIs: []string{byeURL},
			},
			{ID: "post", Secret: secret, AuthMethod: optest.ClientSecretPost, RedirectURIs: []string{callbackURL}},
		},
		Users: []optest.User{
			{Subject: "alice", Claims: map[string]any{"name": "Alice", "email": "alice@example.com", "team": "red"}},
			{Subject: "bob"},
		},
	}
}

// registered is config with another registration of the client app.
func registered(edit func(*optest.Client)) optest.Config {
	cfg := config()
	edit(&cfg.Clients[0])
	return cfg
}

// A party is a relying party made of net/http, with the browser of one user.
type party struct {
	*testing.T
	op       *optest.Server
	clientID string
	browser  *http.Client
}

func newParty(t *testing.T, cfg optest.Config) *party {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	noRedirects := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &party{t, optest.Start(t, cfg), "app", &http.Client{Jar: jar, CheckRedirect: noRedirects}}
}

// An answer is a response with its body read.
type answer struct {
	*http.Response
	body string
}

func (p *party) do(req *http.Request) answer {
	p.Helper()
	resp, err := p.browser.Do(req)
	if err != nil {
		p.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		p.Fatal(err)
	}
	return answer{resp, string(body)}
}

func (p *party) get(address string) answer {
	p.Helper()
	req, err := http.NewRequest(http.MethodGet, address, nil)
	if err != nil {
		p.Fatal(err)
	}
	return p.do(req)
}

func (p *party) post(address string, form url.Values, edit func(*http.Request)) answer {
	p.Helper()
	req, err := http.NewRequest(http.MethodPost, address, strings.NewReader(form.Encode()))
	if err != nil {
		p.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if edit != nil {
		edit(req)
	}
	return p.do(req)
}

func (p *party) json(a answer) map[string]any {
	p.Helper()
	m := map[string]any{}
	if err := json.Unmarshal([]byte(a.body), &m); err != nil {
		p.Fatalf("%s: %v: %q", a.Status, err, a.body)
	}
	return m
}

// authorizationRequest returns a good request, changed by pairs of name and value ("" leaves the parameter out).
func (p *party) authorizationRequest(changes ...string) url.Values {
	hash := sha256.Sum256([]byte(verifier))
	v := url.Values{
		"response_type":         {"code"},
		"client_id":             {p.clientID},
		"redirect_uri":          {callbackURL},
		"scope":                 {strings.Join(everything, " ")},
		"state":                 {"state-1"},
		"nonce":                 {"nonce-1"},
		"code_challenge":        {base64.RawURLEncoding.EncodeToString(hash[:])},
		"code_challenge_method": {"S256"},
	}
	for i := 0; i < len(changes); i += 2 {
		v.Set(changes[i], changes[i+1])
		if changes[i+1] == "" {
			v.Del(changes[i])
		}
	}
	return v
}

func (p *party) authorize(changes ...string) answer {
	p.Helper()
	return p.get(p.op.EndpointURL(optest.AuthorizationEndpoint) + "?" + p.authorizationRequest(changes...).Encode())
}

// callback returns the parameters with which the browser was sent back.
func (p *party) callback(a answer) url.Values {
	p.Helper()
	location, err := a.Location()
	if err != nil || a.StatusCode != http.StatusSeeOther || !strings.HasPrefix(location.String(), callbackURL) {
		p.Fatalf("no redirect to the client: %s %s: %s", a.Status, a.Header.Get("Location"), a.body)
	}
	return location.Query()
}

func basic(id, secret string) func(*http.Request) {
	return func(r *http.Request) { r.SetBasicAuth(url.QueryEscape(id), url.QueryEscape(secret)) }
}

func (p *party) tokenRequest(form url.Values) answer {
	p.Helper()
	return p.post(p.op.EndpointURL(optest.TokenEndpoint), form, basic(p.clientID, secret))
}

func codeForm(code string) url.Values {
	return url.Values{
		"grant_type": {"authorization_code"}, "code": {code},
		"redirect_uri": {callbackURL}, "code_verifier": {verifier},
	}
}

func refreshForm(token any) url.Values {
	text, _ := token.(string)
	return url.Values{"grant_type": {"refresh_token"}, "refresh_token": {text}}
}

// login does the whole flow and returns the token response.
func (p *party) login(changes ...string) map[string]any {
	p.Helper()
	code := p.callback(p.authorize(changes...)).Get("code")
	return p.ok(p.tokenRequest(codeForm(code)))
}

func (p *party) ok(a answer) map[string]any {
	p.Helper()
	if a.StatusCode != http.StatusOK {
		p.Fatalf("%s: %s", a.Status, a.body)
	}
	return p.json(a)
}

// refused checks for an OAuth error.
func (p *party) refused(a answer, status int, code string) {
	p.Helper()
	if a.StatusCode != status || p.json(a)["error"] != code {
		p.Errorf("got %s %s, want %d %s", a.Status, a.body, status, code)
	}
}

func (p *party) userInfo(accessToken any) answer {
	p.Helper()
	req, err := http.NewRequest(http.MethodGet, p.op.EndpointURL(optest.UserInfoEndpoint), nil)
	if err != nil {
		p.Fatal(err)
	}
	text, _ := accessToken.(string)
	req.Header.Set("Authorization", "Bearer "+text)
	return p.do(req)
}

// verified checks a token with go-jose against the published keys and returns its claims and its header.
func (p *party) verified(token any) (claims, header map[string]any) {
	p.Helper()
	var set jose.JSONWebKeySet
	body := p.get(p.op.EndpointURL(optest.JWKSEndpoint)).body
	if err := json.Unmarshal([]byte(body), &set); err != nil {
		p.Fatal(err)
	}
	text, _ := token.(string)
	parsed, err := jwt.ParseSigned(text, keyPairAlgs)
	if err != nil {
		p.Fatalf("%v: %q", err, text)
	}
	if err := parsed.Claims(set, &claims); err != nil {
		p.Fatal(err)
	}
	header, _ = decode(text)
	return claims, header
}

// decode reads header and claims without looking at the signature.
func decode(token string) (header, claims map[string]any) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return nil, nil
	}
	for i, m := range []*map[string]any{&header, &claims} {
		text, _ := base64.RawURLEncoding.DecodeString(parts[i])
		_ = json.Unmarshal(text, m)
	}
	return header, claims
}

// press submits the form on a page with one of its buttons, named by its text.
func (p *party) press(page answer, button string) answer {
	p.Helper()
	action := regexp.MustCompile(`action="([^"]+)"`).FindStringSubmatch(page.body)
	field := regexp.MustCompile(`<button name="([^"]+)" value="([^"]+)">` + button + `</button>`).
		FindStringSubmatch(page.body)
	if action == nil || field == nil {
		p.Fatalf("no button %q: %s %s", button, page.Status, page.body)
	}
	return p.post(action[1], url.Values{field[1]: {field[2]}}, nil)
}

// atHash is OpenID Connect Core, 3.1.3.6 for the algorithms with SHA-256.
func atHash(response map[string]any) string {
	accessToken, _ := response["access_token"].(string)
	hash := sha256.Sum256([]byte(accessToken))
	return base64.RawURLEncoding.EncodeToString(hash[:16])
}
