package demo

import (
	"crypto/rand"
	"embed"
	"errors"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/cloakroom/cloakroom/bff/optest"
	"github.com/cloakroom/cloakroom/cmd/internal/gateway"
	"github.com/cloakroom/cloakroom/proxy"
	"github.com/cloakroom/cloakroom/session/secret"
)

//go:embed spa spa2 op
var embedded embed.FS

// application is one of the two: a static site, and a gateway that is a client of the OP.
type application struct {
	listener net.Listener
	url      *url.URL
	name     string // that the OP shows
	clientID string
	secret   secret.String
	scopes   []string
	ask      bool // the OP asks the user for consent
	site     fs.FS
	usesAPI  bool
}

func firstApp(l net.Listener) *application {
	return &application{
		listener: l,
		url:      localhost(l),
		name:     "Cloakroom demo",
		clientID: "cloakroom-demo",
		secret:   secret.New(rand.Text()),
		scopes:   []string{"openid", "profile", "email", "offline_access", scopeRead, scopeWrite},
		ask:      true,
		site:     layers{folder("spa")},
		usesAPI:  true,
	}
}

// secondApp borrows the style and the modules of the first one.
func secondApp(l net.Listener) *application {
	return &application{
		listener: l,
		url:      localhost(l),
		name:     "Lost & Found",
		clientID: "lost-and-found",
		secret:   secret.New(rand.Text()),
		scopes:   []string{"openid", "profile", "offline_access"},
		site:     layers{folder("spa2"), folder("spa")},
	}
}

// localhost is the URL under which the browser finds the listener.
func localhost(l net.Listener) *url.URL {
	return &url.URL{Scheme: "http", Host: "localhost:" + strconv.Itoa(l.Addr().(*net.TCPAddr).Port)}
}

// config is the configuration of the application's gateway. The deadlines are short enough to watch.
func (a *application) config(issuer string, api net.Addr) *gateway.Config {
	upstream := &url.URL{Scheme: "http", Host: api.String()}
	routes := []gateway.Route{
		{Route: proxy.Route{Path: "/", Static: a.site, Token: proxy.TokenNone}, CSRF: "none", Login: "none"},
		{
			Route: proxy.Route{Path: "/public/", Upstream: upstream, Token: proxy.TokenNone, Timeout: 10 * time.Second},
			CSRF:  "none", Login: "none",
		},
	}
	if a.usesAPI {
		routes = append(routes, gateway.Route{
			Route: proxy.Route{Path: "/api/", Upstream: upstream, Token: proxy.TokenUser, Timeout: 10 * time.Second},
			CSRF:  "header", Login: "none",
		})
	}
	return &gateway.Config{
		BasePath:  "/bff",
		PublicURL: a.url,
		Listen:    a.listener.Addr().String(),
		Providers: []gateway.Provider{{
			Name:              "harbour",
			Issuer:            issuer,
			ClientID:          a.clientID,
			ClientAuth:        "client_secret_basic",
			ClientSecret:      a.secret,
			Scopes:            a.scopes,
			IDTokenSigningAlg: "RS256",
			Userinfo:          "auto",
			LoginParams:       []string{"login_hint", "prompt"},
		}},
		Session: gateway.Session{
			Store:         "memory:",
			IdleTimeout:   5 * time.Minute,
			Lifetime:      30 * time.Minute,
			RefreshBefore: 20 * time.Second,
			SameSite:      "strict",
			Claims:        []string{"sub", "name", "preferred_username", "email"},
		},
		Logout: gateway.Logout{
			RevokeTokens: true, IDTokenHint: true, PostLogoutReturnURL: "/", ClearSiteData: []string{"storage"},
		},
		Routes: routes,
	}
}

// client is the registration of the application at the OP.
func (a *application) client() optest.Client {
	return optest.Client{
		ID:                     a.clientID,
		Secret:                 a.secret.Reveal(),
		Name:                   a.name,
		RedirectURIs:           []string{a.url.JoinPath("/bff/callback").String()},
		PostLogoutRedirectURIs: []string{a.url.JoinPath("/bff/logout/callback").String()},
		BackchannelLogoutURI:   a.url.JoinPath("/bff/backchannel-logout").String(),
		Scopes:                 a.scopes,
		SkipConsent:            !a.ask,
	}
}

// apiHandler is what stands behind the gateways: the orders, and for everybody where the applications and the OP are.
func apiHandler(orders *ordersAPI, issuer string, first, second *application) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/api/", orders.handler())
	mux.HandleFunc("GET /public/apps", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, map[string]string{
			"first": first.url.String(), "second": second.url.String(), "op": issuer + signOutPage,
		})
	})
	return mux
}

// folder is one of the embedded ones.
func folder(name string) fs.FS {
	sub, err := fs.Sub(embedded, name)
	if err != nil {
		panic(err) // the name is not a valid path: a mistake in this file
	}
	return sub
}

// layers is a file system in which later folders fill the gaps of earlier ones.
type layers []fs.FS

func (l layers) Open(name string) (fs.File, error) {
	for _, one := range l {
		if f, err := one.Open(name); !errors.Is(err, fs.ErrNotExist) {
			return f, err
		}
	}
	return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
}
