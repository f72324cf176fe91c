package gateway

import (
	"fmt"
	"io/fs"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/cloakroom/cloakroom/bff/rp"
	"github.com/cloakroom/cloakroom/proxy"
	"github.com/cloakroom/cloakroom/session/secret"
)

// testOutside is a process with a few environment variables, whose files are those of testdata.
var testOutside = Outside{
	Env: func(name string) (string, bool) {
		value, set := map[string]string{
			"CLIENT_SECRET": "from-the-environment",
			"LONG_SECRET":   "from-the-environment-with-32-octets",
			"HOST":          "app.internal",
			"ALLOW_MEMORY":  "true",
			"EMPTY":         "",
		}[name]
		return value, set
	},
	ReadFile:   func(name string) ([]byte, error) { return readFile(filepath.Join("testdata", name)) },
	OpenFolder: func(name string) (fs.FS, error) { return openFolder(filepath.Join("testdata", name)) },
}

// TestBadFiles has one broken file per rule. Each names the exact messages it must give.
func TestBadFiles(t *testing.T) {
	for _, file := range glob(t, "testdata/bad-*.yaml") {
		name := filepath.Base(file)
		t.Run(strings.TrimSuffix(name, ".yaml"), func(t *testing.T) {
			data := read(t, file)
			var want []string
			for line := range strings.Lines(string(data)) {
				if message, ok := strings.CutPrefix(line, "# want: "); ok {
					want = append(want, strings.TrimSuffix(message, "\n"))
				}
			}
			_, err := Parse(name, data, testOutside)
			if err == nil {
				t.Fatal("the file is accepted")
			}
			if diff := cmp.Diff(want, strings.Split(err.Error(), "\n")); diff != "" {
				t.Errorf("messages (-want +got):\n%s", diff)
			}
			for _, value := range []string{"hunter2", "from-the-environment", "from-a-file"} {
				if strings.Contains(err.Error(), value) {
					t.Errorf("a message shows the secret %s", value)
				}
			}
		})
	}
}

func TestGoodFiles(t *testing.T) {
	for _, file := range glob(t, "testdata/good-*.yaml") {
		if _, err := Parse(filepath.Base(file), read(t, file), testOutside); err != nil {
			t.Error(err)
		}
	}
}

// TestByteOrderMark: what some editors put in front of a file is no part of its first key.
func TestByteOrderMark(t *testing.T) {
	if _, err := Parse("bom.yaml", append([]byte("\ufeff"), read(t, "testdata/good-minimal.yaml")...), testOutside); err != nil {
		t.Error(err)
	}
}

// TestDefaults compares the minimal file with the values that contract.md writes out.
func TestDefaults(t *testing.T) {
	minimal := parseGood(t, "good-minimal.yaml")
	contract := parseGood(t, "good-contract.yaml")

	// What the two files say differently on purpose.
	contract.PublicURL = minimal.PublicURL
	contract.Providers[0].Issuer = minimal.Providers[0].Issuer
	contract.Routes[0].Upstream = minimal.Routes[0].Upstream
	contract.Session.AllowMemory = false
	if diff := cmp.Diff(contract, minimal, compareConfig); diff != "" {
		t.Errorf("defaults (-contract.md +got):\n%s", diff)
	}
}

func TestEveryValueIsRead(t *testing.T) {
	public := &url.URL{Scheme: "https", Host: "app.example.com:8443"}
	defaultScopes := []string{"openid", "profile", "email", "offline_access"}
	loginParams := []string{"login_hint", "prompt", "ui_locales", "acr_values", "max_age"}
	want := &Config{
		BasePath:       "/auth",
		PublicURL:      public,
		Listen:         ":8443",
		TLS:            TLS{CertFile: "tls.crt", KeyFile: "tls.key"},
		Admin:          Admin{Listen: "unix:/run/cloakroom/admin.sock", TokenFile: "client_secret"},
		TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")},
		InternalHosts:  []string{"app.internal", "gateway:8443"},
		Providers: []Provider{{
			Name:                "work",
			Issuer:              "https://op.example.com/realms/work/",
			ClientID:            "1234",
			ClientAuth:          "client_secret_post",
			ClientSecret:        secret.New("from-a-file"),
			AssertionAudience:   "issuer",
			Scopes:              []string{"openid"},
			PushedRequests:      "off",
			ResponseMode:        "query",
			IDTokenSigningAlg:   "EdDSA",
			Userinfo:            "required",
			AuthorizationParams: map[string]string{"audience": "https://api.example.com"},
			TrustedAudiences:    []string{"https://api.example.com"},
			UntypedLogoutTokens: true,
			CAFile:              "ca.pem",
		}, {
			Name:              "home-2",
			Issuer:            "https://home.example.com",
			ClientID:          "app",
			ClientAuth:        "client_secret_basic",
			ClientSecret:      secret.New("a$$b${c}"),
			AssertionAudience: "issuer",
			Scopes:            defaultScopes,
			PushedRequests:    "auto",
			ResponseMode:      "query",
			IDTokenSigningAlg: "RS256",
			Userinfo:          "auto",
			LoginParams:       loginParams,
		}, {
			Name:                    "keys",
			Issuer:                  "https://keys.example.com",
			ClientID:                "app",
			ClientAuth:              "private_key_jwt",
			ClientKeyFile:           "client.jwk",
			AssertionAudience:       "token_endpoint",
			Scopes:                  defaultScopes,
			PushedRequests:          "required",
			RequestObjectSigningAlg: "PS256",
			Resource:                []string{"https://orders.example.com/v2", "urn:example:stock"},
			AuthorizationDetails: []byte(`[{"type":"payment_initiation","locations":["https://app.internal/payments"],` +
				`"limit":{"currency":"EUR","amount":123.50},"recurring":false},{"type":"1"}]`),
			ResponseMode:       "form_post.jwt",
			ResponseSigningAlg: "PS256",
			ResponseEncryption: rp.Encryption{Alg: "ECDH-ES", Enc: "A256GCM"},
			IDTokenSigningAlg:  "ES384",
			IDTokenEncryption:  rp.Encryption{Alg: "RSA-OAEP-256", Enc: "A128GCM"},
			Userinfo:           "auto",
			UserinfoSigningAlg: "ES256",
			UserinfoEncryption: rp.Encryption{Alg: "ECDH-ES+A128KW", Enc: "A256CBC-HS512"},
			LoginParams:        loginParams,
		}, {
			Name:                    "certificate",
			Issuer:                  "https://certificate.example.com",
			ClientID:                "app",
			ClientAuth:              "tls_client_auth",
			ClientKeyFile:           "client.key",
			ClientCertFile:          "client.crt",
			AssertionAudience:       "issuer",
			Scopes:                  defaultScopes,
			PushedRequests:          "auto",
			RequestObjectSigningAlg: "ES256",
			ResponseMode:            "form_post",
			IDTokenSigningAlg:       "RS256",
			Userinfo:                "auto",
			LoginParams:             loginParams,
		}, {
			Name:              "mac",
			Issuer:            "https://mac.example.com",
			ClientID:          "app",
			ClientAuth:        "client_secret_jwt",
			ClientSecret:      secret.New("from-the-environment-with-32-octets"),
			AssertionAudience: "issuer",
			Scopes:            defaultScopes,
			PushedRequests:    "auto",
			ResponseMode:      "jwt",
			IDTokenSigningAlg: "HS256",
			Userinfo:          "auto",
			LoginParams:       loginParams,
		}},
		Session: Session{
			Store:        "rediss://redis.example.com:6380/3",
			KeysFile:     "keys",
			IdleTimeout:  time.Hour,
			Lifetime:     time.Hour,
			SameSite:     "lax",
			Claims:       []string{"sub"},
			PerUserLimit: 3,
			AllowMemory:  true,
			Redis: Redis{
				Username: "app",
				Password: secret.New("from-the-environment"),
				CAFile:   "ca.pem",
				CertFile: "redis.crt",
				KeyFile:  "redis.key",
			},
		},
		Logout: Logout{
			PostLogoutReturnURL: "/goodbye?from=app", Method: "post", Frontchannel: true, ClearSiteData: []string{"cache", "*"},
		},
		Login: Login{ThirdParty: true},
		Routes: []Route{{
			Route: proxy.Route{
				Path:           "/orders/",
				Upstream:       &url.URL{Scheme: "http", Host: "orders.mesh", Path: "/v2/"},
				StripPrefix:    true,
				Token:          proxy.TokenUserOrNone,
				Methods:        []string{"GET", "POST"},
				Headers:        map[string]string{"X-Tenant": "one"},
				Identity:       map[string]string{"X-User-Id": "sub"},
				MaxBody:        10485760,
				AllowPlaintext: true,
				Timeout:        2 * time.Minute,
			},
			CSRF: "origin", Login: "none",
		}, {
			Route: proxy.Route{
				Path:      "/live/",
				Upstream:  &url.URL{Scheme: "https", Host: "live.internal"},
				WebSocket: true,
				Token:     proxy.TokenUser,
				Timeout:   30 * time.Second,
			},
			CSRF: "origin", Login: "none",
		}, {
			Route: proxy.Route{
				Path:     "/public/",
				Upstream: &url.URL{Scheme: "http", Host: "files.internal"},
				Token:    proxy.TokenNone,
				Timeout:  30 * time.Second,
			},
			CSRF: "none", Login: "none",
		}, {
			Route: proxy.Route{
				Path:      "/",
				Upstream:  &url.URL{Scheme: "http", Host: "127.0.0.1:3000"},
				Token:     proxy.TokenUserOrNone,
				Documents: true,
				Timeout:   30 * time.Second,
			},
			CSRF: "navigation", Login: "redirect",
		}, {
			Route:     proxy.Route{Path: "/members/", Token: proxy.TokenUser, Documents: true, Timeout: 30 * time.Second},
			StaticDir: "dist",
			CSRF:      "navigation", Login: "none",
		}},
	}
	if diff := cmp.Diff(want, parseGood(t, "good-full.yaml"), compareConfig); diff != "" {
		t.Errorf("configuration (-want +got):\n%s", diff)
	}
}

// TestConfigNeverPrintsSecrets is BFF-03: a configuration that is logged by mistake shows no credential, not even one
// that was written into the store's URL.
func TestConfigNeverPrintsSecrets(t *testing.T) {
	text := fmt.Sprintf("%+v", *parseGood(t, "good-full.yaml"))
	for _, value := range []string{"from-the-environment", "from-a-file", "a$$b"} {
		if strings.Contains(text, value) {
			t.Errorf("%s is printed", value)
		}
	}
}

// TestStaticStaysInside: no symbolic link leads out of the folder of a static route.
func TestStaticStaysInside(t *testing.T) {
	outer := t.TempDir()
	dist := filepath.Join(outer, "dist")
	for _, err := range []error{
		os.Mkdir(dist, 0o755),
		os.WriteFile(filepath.Join(outer, "secret"), []byte("x"), 0o600),
		os.Symlink("../secret", filepath.Join(dist, "link")),
		os.WriteFile(filepath.Join(dist, "index.html"), []byte("x"), 0o600),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	folder, err := openFolder(dist)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fs.ReadFile(folder, "index.html"); err != nil {
		t.Error(err)
	}
	if _, err := fs.ReadFile(folder, "link"); err == nil {
		t.Error("a link out of the folder was followed")
	}
}

func TestLoad(t *testing.T) {
	t.Setenv("CLIENT_SECRET", "x")
	t.Chdir("testdata")
	if _, err := Load("good-minimal.yaml"); err != nil {
		t.Error(err)
	}
	_, err := Load("no-such-file.yaml")
	if want := "no-such-file.yaml: cannot be read: no such file or directory"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	huge := filepath.Join(t.TempDir(), "huge.yaml")
	if err := os.WriteFile(huge, make([]byte, maxFile+1), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(huge); err == nil || !strings.Contains(err.Error(), "longer than") {
		t.Errorf("a file beyond the limit: %v", err)
	}
}

// TestValidate checks a configuration that no file stands behind: the messages have no place, the rules are the same.
func TestValidate(t *testing.T) {
	config := parseGood(t, "good-full.yaml")
	if err := config.Validate(); err != nil {
		t.Fatal(err)
	}
	config.PublicURL = nil
	config.Routes[0].CSRF = "none"
	want := "public_url: is missing; write the origin that browsers see, such as https://app.example.com\n" +
		"routes[0].csrf: none goes with token: none only, for other sites could act in the user's name; write header"
	if err := config.Validate(); err == nil || err.Error() != want {
		t.Errorf("got %v\nwant %s", err, want)
	}
}

// FuzzParse: no file makes loading panic, and whatever is accepted is valid.
func FuzzParse(f *testing.F) {
	for _, pattern := range []string{"testdata/good-*.yaml", "testdata/bad-*.yaml"} {
		for _, file := range glob(f, pattern) {
			f.Add(read(f, file))
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		config, err := Parse("fuzz.yaml", data, testOutside)
		if err != nil {
			if strings.Count(err.Error(), "\n") != len(err.(Errors))-1 {
				t.Errorf("an error is longer than a line: %q", err)
			}
			return
		}
		if err := config.Validate(); err != nil {
			t.Error(err)
		}
	})
}

// compareConfig tells an empty list from an absent one no more than the gateway does.
var compareConfig = cmp.Options{
	cmpopts.EquateEmpty(),
	cmpopts.IgnoreFields(proxy.Route{}, "Static"),
	cmp.Comparer(secret.String.Equal),
	cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }),
}

func parseGood(t *testing.T, name string) *Config {
	t.Helper()
	config, err := Parse(name, read(t, filepath.Join("testdata", name)), testOutside)
	if err != nil {
		t.Fatal(err)
	}
	return config
}

func glob(t testing.TB, pattern string) []string {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("no file matches %s: %v", pattern, err)
	}
	return files
}

func read(t testing.TB, file string) []byte {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
