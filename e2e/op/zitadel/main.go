// Program zitadel is the example OP of github.com/zitadel/oidc on loopback, for the end-to-end tests: its storage, its
// users and its sign-in page. Its first line of output is its issuer. CLIENT is the client's registration, as JSON.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/zitadel/oidc/v3/example/server/exampleop"
	"github.com/zitadel/oidc/v3/example/server/storage"
	"github.com/zitadel/oidc/v3/pkg/op"
)

const tokenLifetime = 2 * time.Second

// registration is the part of a client's metadata that the example OP can do something with.
type registration struct {
	ID                     string   `json:"client_id"`
	Secret                 string   `json:"client_secret"`
	RedirectURIs           []string `json:"redirect_uris"`
	PostLogoutRedirectURIs []string `json:"post_logout_redirect_uris"`
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
	handler := exampleop.SetupServer(issuer, store{storage.NewStorage(users), client}, nil, false)

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

type client struct {
	op.Client
	postLogoutRedirectURIs []string
}

func (c client) PostLogoutRedirectURIs() []string { return c.postLogoutRedirectURIs }
