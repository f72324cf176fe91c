package gateway

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"

	"github.com/cloakroom/cloakroom/proxy"
	"github.com/cloakroom/cloakroom/session/problem"
)

// What lets an operator in.
const (
	adminByToken    = "token"
	adminBySocket   = "unix"
	adminByLoopback = "loopback"
	adminByNothing  = "none"
)

// adminAccess decides who may see and end the sessions of others: whoever has the token, if there is one, and else
// whoever is on this machine.
type adminAccess struct {
	way       string
	tokenFile string
}

// newAdminAccess reads the token once, for what is wrong with it.
func newAdminAccess(c Admin) (*adminAccess, error) {
	if c.TokenFile != "" {
		if _, err := readToken(c.TokenFile); err != nil {
			return nil, fmt.Errorf("admin.token_file: %w", err)
		}
		return &adminAccess{adminByToken, c.TokenFile}, nil
	}
	if _, isSocket := c.socket(); isSocket {
		return &adminAccess{way: adminBySocket}, nil
	}
	if host, _, err := net.SplitHostPort(c.Listen); err == nil && proxy.IsLoopback(host) {
		return &adminAccess{way: adminByLoopback}, nil
	}
	return &adminAccess{way: adminByNothing}, nil
}

// admit refuses whoever may not. Nothing here is for browsers. They name where a request comes from, and one that was
// made to believe that a foreign name is this machine's, by DNS rebinding, sends that name as its Host.
func (a *adminAccess) admit(r *http.Request) error {
	switch {
	case r.Header["Origin"] != nil || r.Header["Sec-Fetch-Site"] != nil:
		return problem.New(problem.CrossSiteRequest, "this is not for browsers")
	case a.way == adminByToken:
		return a.checkToken(r)
	case a.way == adminBySocket:
		return nil
	case a.way == adminByNothing || !isLoopbackPeer(r):
		return problem.New(problem.NotFound,
			"sessions are administered on loopback, on a unix socket, or with admin.token_file")
	case !isAddress(r.Host):
		return problem.New(problem.Misdirected, "write the address of this machine, or localhost, in the URL")
	}
	return nil
}

// checkToken reads the file each time, so that a new token counts at once. A file that cannot be used lets nobody in.
func (a *adminAccess) checkToken(r *http.Request) error {
	want, err := readToken(a.tokenFile)
	if err != nil {
		return fmt.Errorf("admin.token_file: %w", err)
	}
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	got := sha256.Sum256([]byte(token)) // of one length, whatever was sent
	if !strings.EqualFold(scheme, "Bearer") || subtle.ConstantTimeCompare(got[:], want[:]) != 1 {
		return problem.New(problem.Unauthenticated, "send Authorization: Bearer with the token of admin.token_file")
	}
	return nil
}

// readToken returns the hash of the token in a file.
func readToken(file string) (hash [sha256.Size]byte, err error) {
	data, err := readFile(file)
	if err != nil {
		return hash, err
	}
	token := trimNewline(data)
	if token == "" {
		return hash, errors.New(file + " is an empty file; write the token into it")
	}
	return sha256.Sum256([]byte(token)), nil
}

func isLoopbackPeer(r *http.Request) bool {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	return err == nil && peer.Addr().Unmap().IsLoopback()
}

// isAddress reports whether a Host header names a machine without the help of DNS.
func isAddress(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	_, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil || strings.EqualFold(host, "localhost")
}
