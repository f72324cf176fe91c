// Program luikyv is github.com/luikyv/go-oidc as an OP on loopback, for the end-to-end tests: it pushes, signs its
// responses and posts them. Its first line of output is its issuer, later ones say what it has seen. CLIENT is the
// client's registration as JSON, HOST the host of the issuer, 127.0.0.1 by default.
package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/luikyv/go-oidc/pkg/goidc"
	"github.com/luikyv/go-oidc/pkg/provider"
)

const tokenLifetime = 2 // seconds

func main() {
	client, err := readClient(os.Getenv("CLIENT"))
	if err != nil {
		log.Fatal("CLIENT: ", err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(listener.Addr().String()) // a TCP address has one
	issuer := "http://" + net.JoinHostPort(cmp.Or(os.Getenv("HOST"), "127.0.0.1"), port)
	handler, err := newOP(issuer, client)
	if err != nil {
		log.Fatal(err)
	}

	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, func() { _ = listener.Close() })
	fmt.Println(issuer)
	if err := http.Serve(listener, handler); ctx.Err() == nil {
		log.Fatal(err)
	}
}

// readClient decodes a registration and lets the client have every scope.
func readClient(text string) (*goidc.Client, error) {
	var credentials struct {
		ID     string `json:"client_id"`
		Secret string `json:"client_secret"`
	}
	client := &goidc.Client{}
	err := errors.Join(json.Unmarshal([]byte(text), &credentials), json.Unmarshal([]byte(text), &client.ClientMeta))
	client.ID, client.Secret = credentials.ID, credentials.Secret
	client.ResponseTypes = []goidc.ResponseType{goidc.ResponseTypeCode}
	client.ScopeIDs = "openid profile email offline_access"
	return client, err
}

func newOP(issuer string, client *goidc.Client) (http.Handler, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, err
	}
	keys := goidc.JSONWebKeySet{Keys: []goidc.JSONWebKey{
		{Key: key, KeyID: "1", Algorithm: string(goidc.PS256), Use: "sig"},
	}}
	users := &users{signedIn: map[string]login{}}
	// In its OpenID profile the library wants parts of a pushed request repeated in the browser, as OpenID Connect Core
	// §6.1 has it for request objects. RFC 9126 and its FAPI profile do not.
	profile := goidc.ProfileOpenID
	if client.PARIsRequired {
		profile = goidc.ProfileFAPI2
	}
	op, err := provider.New(
		issuer,
		nil, // in memory
		func(context.Context) (goidc.JSONWebKeySet, error) { return keys, nil },
		provider.WithProfile(profile),
		provider.WithStaticClients(client),
		provider.WithScopes(goidc.ScopeOpenID, goidc.ScopeProfile, goidc.ScopeEmail, goidc.ScopeOfflineAccess),
		provider.WithIDTokenSignatureAlgs(goidc.PS256),
		provider.WithAuthCodeGrant(nil, goidc.ResponseTypeCode),
		provider.WithRefreshTokenGrant(nil),
		provider.WithRefreshTokenRotation(),
		provider.WithPAR(nil),
		provider.WithJAR(goidc.ES256),
		provider.WithFormPostResponseMode(),
		provider.WithJARM(goidc.PS256),
		provider.WithSecretBasicAuthn(),
		provider.WithPrivateKeyJWTAuthn(goidc.ES256),
		provider.WithConsumeJTIFunc(onlyOnce()),
		provider.WithIssuerResponseParameter(),
		provider.WithPKCERequired(goidc.CodeChallengeMethodSHA256),
		provider.WithTokenRevocation(func(context.Context, *goidc.Client) bool { return true }),
		provider.WithTokenOptions(func(context.Context, *goidc.Grant, *goidc.Client) goidc.TokenOptions {
			return goidc.NewJWTTokenOptions(goidc.PS256, tokenLifetime)
		}),
		provider.WithIDTokenClaims(users.claims),
		provider.WithUserInfoClaims(users.claims),
		provider.WithPolicies(goidc.NewPolicy("sign-in", always, users.signIn)),
		provider.WithLogout(nil, func(w http.ResponseWriter, _ *http.Request, _ *goidc.LogoutSession) error {
			_, err := fmt.Fprintln(w, "You are signed out.")
			return err
		}),
		provider.WithLogoutPolicies(goidc.NewLogoutPolicy("sign-out",
			func(*http.Request, *goidc.LogoutSession) bool { return true }, users.signOut)),
		provider.WithPARHandleSessionFunc(func(_ context.Context, _ *goidc.AuthnSession, c *goidc.Client) error {
			fmt.Printf("pushed auth=%s\n", c.TokenAuthnMethod)
			return nil
		}),
		provider.WithHandleErrorFunc(func(_ context.Context, err error) { log.Print(err) }),
	)
	if err != nil {
		return nil, err
	}
	return op.Handler(), nil
}

// onlyOnce refuses the jti of a client assertion that was there before.
func onlyOnce() goidc.ConsumeJTIFunc {
	var seen sync.Map
	return func(_ context.Context, jti string) error {
		if _, again := seen.LoadOrStore(jti, true); again {
			return errors.New("this jti was there before")
		}
		return nil
	}
}

// users signs in whoever gives a name, and remembers the browser.
type users struct {
	mu       sync.Mutex
	signedIn map[string]login // by cookie
}

type login struct {
	name string
	at   int64 // Unix time
}

const cookieName = "luikyv"

func always(*http.Request, *goidc.AuthnSession, *goidc.Client) bool { return true }

func (u *users) signIn(
	w http.ResponseWriter, r *http.Request, s *goidc.AuthnSession, _ *goidc.Client,
) (goidc.Status, error) {
	who, known := u.remembered(r)
	if name := r.PostFormValue("login"); name != "" {
		who, known = login{name, time.Now().Unix()}, true
		u.remember(w, who)
	}
	if !known {
		fmt.Fprintf(w, "<!doctype html><title>Sign in at luikyv</title>"+
			`<form method="post" action="/authorize/%s"><input name="login"><button>Sign in</button></form>`, s.ID)
		return goidc.StatusPending, nil
	}
	s.Subject = who.name
	s.GrantedScopes = s.Scopes
	s.Store = map[string]any{"auth_time": who.at}
	fmt.Printf("authorized mode=%s pushed=%t\n", s.ResponseMode, s.PushedAuthReqID != "")
	return goidc.StatusSuccess, nil
}

func (u *users) remembered(r *http.Request) (login, bool) {
	cookie, err := r.Cookie(cookieName)
	if err != nil {
		return login{}, false
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	who, ok := u.signedIn[cookie.Value]
	return who, ok
}

func (u *users) remember(w http.ResponseWriter, who login) {
	id := rand.Text()
	http.SetCookie(w, &http.Cookie{Name: cookieName, Value: id, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode})
	u.mu.Lock()
	defer u.mu.Unlock()
	u.signedIn[id] = who
}

// claims are those of the ID token and of userinfo.
func (u *users) claims(_ context.Context, grant *goidc.Grant) map[string]any {
	name := grant.Subject
	return map[string]any{
		"auth_time": grant.Store["auth_time"],
		"name":      name + " of luikyv", "preferred_username": name, "email": name + "@luikyv.test",
	}
}

// signOut believes the ID token hint, which the library has verified.
func (u *users) signOut(_ http.ResponseWriter, r *http.Request, s *goidc.LogoutSession) (goidc.Status, error) {
	if s.IDTokenHint == "" {
		return goidc.StatusFailure, errors.New("who is it? id_token_hint is missing")
	}
	if cookie, err := r.Cookie(cookieName); err == nil {
		u.mu.Lock()
		defer u.mu.Unlock()
		delete(u.signedIn, cookie.Value)
	}
	fmt.Println("ended session")
	return goidc.StatusSuccess, nil
}
