package optest

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	logoutEvent         = "http://schemas.openid.net/event/backchannel-logout" // Back-Channel Logout, 2.4
	logoutTokenLifetime = 2 * time.Minute                                      // 4
	logoutTimeout       = 5 * time.Second                                      // for a client to answer
	maxLogoutAnswer     = 64 << 10                                             // octets
)

// LogoutDelivery is a logout token that was sent to a client, and what the client said.
type LogoutDelivery struct {
	ClientID string
	Token    string
	Status   int // 0: no answer
	Header   http.Header
	Body     string // its first 64 KiB
	Err      error  // why there is no token or no answer
}

// LogoutToken makes a logout token (Back-Channel Logout 1.0, 2.4) through the faults that are active, for a test that
// sends it by itself. An empty subject or sid is left out.
func (op *OP) LogoutToken(clientID, subject, sid string) (string, error) {
	c, ok := op.client(clientID)
	if !ok {
		return "", fmt.Errorf("optest: unknown client %q", clientID)
	}
	now := op.now()
	t := op.newClientJWT(c, "logout+jwt", c.IDTokenAlg, c.IDTokenEncryption, map[string]any{
		"iss":    op.issuer,
		"aud":    c.ID,
		"iat":    now.Unix(),
		"exp":    now.Add(logoutTokenLifetime).Unix(),
		"jti":    rand.Text(),
		"events": map[string]any{logoutEvent: map[string]any{}},
	})
	if subject != "" {
		t.Claims["sub"] = subject
	}
	if sid != "" {
		t.Claims["sid"] = sid
	}
	for _, f := range op.activeFaults(&http.Request{URL: &url.URL{}}) { // it answers none
		if f.logoutToken != nil {
			f.logoutToken(t)
		}
	}
	return t.serialize()
}

// SendLogoutToken posts a logout token, or whatever the text is, to a client's BackchannelLogoutURI (2.5) and waits
// for the answer.
func (op *OP) SendLogoutToken(clientID, token string) LogoutDelivery {
	d := LogoutDelivery{ClientID: clientID, Token: token}
	if c, ok := op.client(clientID); !ok || c.BackchannelLogoutURI == "" {
		d.Err = fmt.Errorf("optest: client %q has no BackchannelLogoutURI", clientID)
	} else {
		d.Err = op.postLogoutToken(c.BackchannelLogoutURI, &d)
	}
	return op.recordDelivery(d)
}

func (op *OP) recordDelivery(d LogoutDelivery) LogoutDelivery {
	op.mu.Lock()
	defer op.mu.Unlock()
	op.deliveries = append(op.deliveries, d)
	return d
}

func (op *OP) postLogoutToken(uri string, d *LogoutDelivery) error {
	ctx, cancel := context.WithTimeout(context.Background(), logoutTimeout)
	defer cancel()
	form := url.Values{"logout_token": {d.Token}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, uri, strings.NewReader(form.Encode()))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := op.http.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	d.Status, d.Header = resp.StatusCode, resp.Header
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxLogoutAnswer))
	d.Body = string(body)
	return err
}

// LogoutDeliveries returns all logout tokens that were sent so far, oldest first.
func (op *OP) LogoutDeliveries() []LogoutDelivery {
	op.mu.Lock()
	defer op.mu.Unlock()
	return slices.Clone(op.deliveries)
}

// notify sends a logout token for each of the sessions to each client that got tokens in it, at the same time to all,
// and waits for the answers.
func (op *OP) notify(sessions ...*session) []LogoutDelivery {
	var deliveries []LogoutDelivery
	var mu sync.Mutex
	var wg sync.WaitGroup
	for _, s := range sessions {
		for _, c := range op.clientsOf(s) {
			if c.BackchannelLogoutURI == "" {
				continue
			}
			wg.Go(func() {
				d := op.tellLogout(c, s)
				mu.Lock()
				defer mu.Unlock()
				deliveries = append(deliveries, d)
			})
		}
	}
	wg.Wait()
	return deliveries
}

func (op *OP) tellLogout(c Client, s *session) LogoutDelivery {
	token, err := op.LogoutToken(c.ID, s.subject, s.sid)
	if err != nil {
		return op.recordDelivery(LogoutDelivery{ClientID: c.ID, Err: err})
	}
	return op.SendLogoutToken(c.ID, token)
}

// clientsOf returns the clients that got tokens in a session, ordered by ID, as they are registered now.
func (op *OP) clientsOf(s *session) []Client {
	op.mu.Lock()
	defer op.mu.Unlock()
	found := map[string]bool{}
	var clients []Client
	for _, code := range op.codes {
		id := code.grant.client.ID
		if code.used && code.grant.session.sid == s.sid && !found[id] {
			found[id] = true
			clients = append(clients, op.clients[id])
		}
	}
	slices.SortFunc(clients, func(a, b Client) int { return cmp.Compare(a.ID, b.ID) })
	return clients
}
