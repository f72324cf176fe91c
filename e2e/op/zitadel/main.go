// Program zitadel is the example OP of github.com/zitadel/oidc on loopback, for the end-to-end tests: its storage, its
// users and its sign-in page. Its first line of output is its issuer, later ones say how logout tokens were answered.
// CLIENT is the client's registration, as JSON.
package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"log"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/zitadel/oidc/v3/example/server/exampleop"
	"github.com/zitadel/oidc/v3/example/server/storage"
	"github.com/zitadel/oidc/v3/pkg/crypto"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

const tokenLifetime = 2 * time.Second

// registration is the part of a client's metadata that the example OP can do something with.
type registration struct {
	ID                     string   `json:"client_id"`
	Secret                 string   `json:"client_secret"`
	RedirectURIs           []string `json:"redirect_uris"`
	PostLogoutRedirectURIs []string `json:"post_logout_redirect_uris"`
	BackchannelLogoutURI   string   `json:"backchannel_logout_uri"`
}

func main() {
	var client registration
	if err := json.Unmarshal([]byte(os.Getenv("CLIENT")), &client); err != nil {
		log.Fatal("CLIENT: ", err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	issuer := "http://" + listener.Addr().String()
	storage.RegisterClients(storage.WebClient(client.ID, client.Secret, client.RedirectURIs...))
	users := storage.NewUserStore(issuer)
	handler := exampleop.SetupServer(issuer, store{storage.NewStorage(users), issuer, client}, nil, false)

	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, func() { _ = listener.Close() })
	fmt.Println(issuer)
	if err := http.Serve(listener, handler); ctx.Err() == nil {
		log.Fatal(err)
	}
}

// store is the example's storage, whose own clients cannot have post-logout redirect URIs.
type store struct {
	*storage.Storage
	issuer     string
	registered registration
}

func (s store) GetClientByClientID(ctx context.Context, id string) (op.Client, error) {
	found, err := s.Storage.GetClientByClientID(ctx, id)
	return client{found, s.registered.PostLogoutRedirectURIs}, err
}

// CreateAccessAndRefreshTokens gives access tokens that live for a shorter time than the example's five minutes.
func (s store) CreateAccessAndRefreshTokens(
	ctx context.Context, request op.TokenRequest, current string,
) (accessToken, refreshToken string, expiry time.Time, err error) {
	accessToken, refreshToken, _, err = s.Storage.CreateAccessAndRefreshTokens(ctx, request, current)
	return accessToken, refreshToken, time.Now().Add(tokenLifetime), err
}

// TerminateSession also tells the client. The library has the logout token and leaves sending it to the storage.
func (s store) TerminateSession(ctx context.Context, user, client string) error {
	if err := s.Storage.TerminateSession(ctx, user, client); err != nil || s.registered.BackchannelLogoutURI == "" {
		return err
	}
	key, err := s.SigningKey(ctx)
	if err != nil {
		return err
	}
	signer, err := op.SignerFromKey(key)
	if err != nil {
		return err
	}
	claims := oidc.NewLogoutTokenClaims(
		s.issuer, user, oidc.Audience{client}, time.Now().Add(time.Minute), rand.Text(), "", 0)
	token, err := crypto.Sign(claims, signer)
	if err != nil {
		return err
	}
	res, err := http.PostForm(s.registered.BackchannelLogoutURI, url.Values{"logout_token": {token}})
	if err != nil {
		return err
	}
	fmt.Println("logout token answered", res.StatusCode)
	return res.Body.Close()
}

type client struct {
	op.Client
	postLogoutRedirectURIs []string
}

func (c client) PostLogoutRedirectURIs() []string { return c.postLogoutRedirectURIs }
