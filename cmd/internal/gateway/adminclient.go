package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"
)

const (
	adminTimeout   = time.Minute // for each answer; many sessions take a while to end
	maxAdminAnswer = 16 << 20    // bytes
)

// AdminClient is the command `cloakroom sessions`: it asks the admin listener of a running gateway. Its errors are
// lines for a person.
type AdminClient struct {
	out     io.Writer
	http    *http.Client
	address string
	host    string // of the URLs
	token   string
}

// NewAdminClient makes a client for an admin listener, host:port or unix:/path. A token file is for a gateway that has
// admin.token_file.
func NewAdminClient(out io.Writer, address, tokenFile string) (*AdminClient, error) {
	c := &AdminClient{out: out, address: address, host: "localhost"}
	network, target := "unix", strings.TrimPrefix(address, "unix:")
	if target == address {
		host, port, err := net.SplitHostPort(address)
		if err != nil || port == "" {
			return nil, fmt.Errorf("%s must be host:port or unix:/path, as in admin.listen", strconv.Quote(address))
		}
		if isEveryInterface(host) {
			host = "127.0.0.1"
		}
		network, target = "tcp", net.JoinHostPort(host, port)
		c.host = target
	}
	if tokenFile != "" {
		data, err := readFile(tokenFile)
		if err != nil {
			return nil, fmt.Errorf("the token file: %w", err)
		}
		c.token = trimNewline(data)
	}
	c.http = &http.Client{
		Timeout: adminTimeout,
		Transport: &http.Transport{ // without a proxy: the token is for the gateway alone
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, network, target)
			},
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return c, nil
}

// Selection says which sessions are meant: one by its ID, or all that match the other fields.
type Selection struct{ ID, Subject, SID, Provider string }

func (s Selection) query() url.Values {
	query := url.Values{}
	for name, value := range map[string]string{"sub": s.Subject, "sid": s.SID, "provider": s.Provider} {
		if value != "" {
			query.Set(name, value)
		}
	}
	return query
}

// List prints the sessions of a selection, as a table or as a line of JSON each.
func (c *AdminClient) List(ctx context.Context, s Selection, asJSON bool) error {
	show := c.printTable
	if asJSON {
		show = c.printLines
	}
	if s.ID != "" {
		var one adminSession
		if err := c.ask(ctx, http.MethodGet, sessionsPath+"/"+url.PathEscape(s.ID), nil, &one); err != nil {
			return err
		}
		return show([]adminSession{one})
	}
	query := s.query()
	query.Set("limit", strconv.Itoa(maxAdminPage))
	for {
		var page adminList
		if err := c.ask(ctx, http.MethodGet, sessionsPath, query, &page); err != nil {
			return err
		}
		if err := show(page.Sessions); err != nil || page.Next == "" {
			return err
		}
		query.Set("cursor", page.Next)
	}
}

// End ends the sessions of a selection, which must name an id, a user or a session at the OP, and prints how many there
// were.
func (c *AdminClient) End(ctx context.Context, s Selection) error {
	ended := adminEnd{Ended: 1}
	path, query := sessionsPath, s.query()
	if s.ID != "" {
		path, query = sessionsPath+"/"+url.PathEscape(s.ID), nil
	}
	if err := c.ask(ctx, http.MethodDelete, path, query, &ended); err != nil {
		return err
	}
	_, err := fmt.Fprintf(c.out, "%d ended\n", ended.Ended)
	return err
}

// ask sends a request and reads its answer into body, unless that is empty.
func (c *AdminClient) ask(ctx context.Context, method, path string, query url.Values, body any) error {
	req, err := http.NewRequestWithContext(ctx, method, "http://"+c.host+path+"?"+query.Encode(), nil)
	if err != nil {
		return err
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	res, err := c.http.Do(req)
	if err != nil {
		if wrapped, ok := errors.AsType[*url.Error](err); ok {
			err = wrapped.Err // without the address, which has sub and sid in it
		}
		return fmt.Errorf("the admin listener at %s does not answer: %w; is the gateway running, and is that its admin.listen?",
			c.address, err)
	}
	defer res.Body.Close()
	data, err := io.ReadAll(io.LimitReader(res.Body, maxAdminAnswer))
	switch {
	case err != nil:
		return fmt.Errorf("the answer of %s broke off: %w", c.address, err)
	case res.StatusCode == http.StatusNoContent:
		return nil
	case res.StatusCode != http.StatusOK:
		return refusedBy(res, data)
	}
	if err := json.Unmarshal(data, body); err != nil {
		return fmt.Errorf("the answer of %s is not that of an admin listener", c.address)
	}
	return nil
}

func refusedBy(res *http.Response, data []byte) error {
	var p struct {
		Title, Detail string
		RequestID     string `json:"request_id"`
	}
	if json.Unmarshal(data, &p) != nil || p.Title == "" {
		return fmt.Errorf("the answer is %s, which no admin listener says", res.Status)
	}
	switch {
	case res.StatusCode == http.StatusUnauthorized:
		return errors.New("the gateway wants the token of its admin.token_file; name that file with -token-file")
	case res.StatusCode >= 500: // the detail is for people who sign in
		return fmt.Errorf("%s; the gateway's log has the cause under request_id %s", printable(p.Title), printable(p.RequestID))
	case p.Detail == "":
		return errors.New(printable(p.Title))
	}
	return errors.New(printable(p.Detail))
}

func (c *AdminClient) printLines(sessions []adminSession) error {
	lines := json.NewEncoder(escapedJSON{c.out})
	for _, s := range sessions {
		if err := lines.Encode(s); err != nil {
			return err
		}
	}
	return nil
}

// printTable prints a page; the columns of each are as wide as it needs.
func (c *AdminClient) printTable(sessions []adminSession) error {
	if len(sessions) == 0 {
		return nil
	}
	table := tabwriter.NewWriter(c.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "ID\tPROVIDER\tSUB\tSID\tCREATED\tLAST SEEN\tEXPIRES\tUSER AGENT")
	for _, s := range sessions {
		fmt.Fprintln(table, strings.Join([]string{
			printable(string(s.ID)), printable(s.Provider), printable(s.Subject), printable(s.SID),
			s.CreatedAt.Format(time.RFC3339), s.LastSeenAt.Format(time.RFC3339), s.ExpiresAt.Format(time.RFC3339),
			printable(s.UserAgent),
		}, "\t"))
	}
	return table.Flush()
}

// printable is foreign text, fit for a terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, s)
}
