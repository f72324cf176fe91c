package gateway

import (
	"encoding/json"
	"net/netip"
	"net/url"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cloakroom/cloakroom/bff/rp"
	"github.com/cloakroom/cloakroom/proxy"
	"github.com/cloakroom/cloakroom/session/secret"
)

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
			MaxRequests:  32,
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

				IdleTimeout: 90 * time.Second, MaxDuration: 8 * time.Hour,
			},
			CSRF: "origin", Login: "none",
		}, {
			Route: proxy.Route{
				Path:     "/public/",
				Upstream: &url.URL{Scheme: "http", Host: "files.internal"},
				Token:    proxy.TokenNone,
				Timeout:  30 * time.Second,

				IdleTimeout: 10 * time.Minute,
			},
			CSRF: "none", Login: "none",
		}, {
			Route: proxy.Route{
				Path:      "/",
				Upstream:  &url.URL{Scheme: "http", Host: "127.0.0.1:3000"},
				Token:     proxy.TokenUserOrNone,
				Documents: true,
				Timeout:   30 * time.Second,

				IdleTimeout: 10 * time.Minute,
			},
			CSRF: "navigation", Login: "redirect",
		}, {
			Route: proxy.Route{
				Path: "/members/", Token: proxy.TokenUser, Documents: true, Timeout: 30 * time.Second, IdleTimeout: 10 * time.Minute,
			},
			StaticDir: "dist",
			CSRF:      "navigation", Login: "none",
		}, {
			Route: proxy.Route{
				Path:     "/stock/",
				Upstream: &url.URL{Scheme: "h2c", Host: "127.0.0.1:9001"},
				Token:    proxy.TokenUser,
				Timeout:  30 * time.Second,

				IdleTimeout: 10 * time.Minute,
			},
			CSRF: "header", Login: "none",
			Target: Target{Audience: "https://orders.example.com/v2"},
			Require: Require{Scopes: []string{"stock", "read"}, Claims: map[string][]any{
				"department": {"sales"}, "level": {json.Number("2"), json.Number("3")}, "https://example.com/admin": {true},
			}},
		}, {
			Route: proxy.Route{
				Path:     "/billing/",
				Upstream: &url.URL{Scheme: "https", Host: "billing.internal"},
				Token:    proxy.TokenExchange,
				Timeout:  30 * time.Second,

				IdleTimeout: 10 * time.Minute,
			},
			CSRF: "header", Login: "none",
			Target: Target{Audience: "billing", Resource: "https://billing.example.com", Scopes: []string{"read", "write"}},
		}, {
			Route: proxy.Route{
				Path:     "/prices/",
				Upstream: &url.URL{Scheme: "https", Host: "prices.internal"},
				Token:    proxy.TokenClient,
				Timeout:  30 * time.Second,

				IdleTimeout: 10 * time.Minute,
			},
			CSRF: "header", Login: "none",
			Target: Target{Audience: "prices", Scopes: []string{"prices"}, Provider: "home-2"},
		}},
	}
	if diff := cmp.Diff(want, parseGood(t, "good-full.yaml"), compareConfig); diff != "" {
		t.Errorf("configuration (-want +got):\n%s", diff)
	}
}
