package demo

import (
	"bufio"
	"context"
	"encoding/json"
	"html"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"
)

// stubListener is a listener that has an address and is never listened on.
type stubListener struct{ net.Listener }

func (stubListener) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 8080} }

// startDemo runs the demo on free ports and returns the URL that it prints. When the test ends it has to stop within
// seconds, without an error and without another line.
func startDemo(t *testing.T) string {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	out, in := io.Pipe()
	done := make(chan error, 1)
	go func() {
		err := Run(ctx, Options{Listen: "127.0.0.1:0", Out: in})
		in.CloseWithError(err)
		done <- err
	}()
	printed := bufio.NewReader(out)
	var lines [3]string
	for i := range lines {
		var err error
		if lines[i], err = printed.ReadString('\n'); err != nil {
			t.Fatalf("line %d: %v", i+1, err)
		}
	}
	t.Cleanup(func() {
		cancel()
		if rest, err := io.ReadAll(printed); err != nil || len(rest) > 0 {
			t.Errorf("more than three lines: %q, %v", rest, err)
		}
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	address, ok := strings.CutPrefix(strings.TrimSpace(lines[0]), "open ")
	if !ok || !strings.HasPrefix(address, "http://localhost:") {
		t.Fatalf("the first line is %q", lines[0])
	}
	if !strings.Contains(lines[1], "alice") || !strings.Contains(lines[1], "bob") {
		t.Errorf("the second line is %q", lines[1])
	}
	return address
}

// browser is as much of one as the demo needs: cookies, redirects, the landing page's refresh, forms, fetch.
type browser struct {
	t    *testing.T
	http *http.Client
}

func newBrowser(t *testing.T) *browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return &browser{t, &http.Client{Jar: jar, Transport: transport, Timeout: 10 * time.Second}}
}

// page is what the browser shows.
type page struct {
	url    *url.URL
	status int
	header http.Header
	body   string
}

func (b *browser) do(method, address, body string, header map[string]string) page {
	b.t.Helper()
	req, err := http.NewRequestWithContext(b.t.Context(), method, address, strings.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	for name, value := range header {
		req.Header.Set(name, value)
	}
	res, err := b.http.Do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	defer res.Body.Close()
	content, err := io.ReadAll(res.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	if strings.Contains(string(content), "eyJ") { // BFF-03: how every JWT begins
		b.t.Errorf("%s %s: the browser sees a token: %s", method, address, content)
	}
	return page{res.Request.URL, res.StatusCode, res.Header, string(content)}
}

var refresh = regexp.MustCompile(`<meta http-equiv="refresh" content="0; url=([^"]*)">`)

// navigate opens an address as a link of the application does.
func (b *browser) navigate(address string) page {
	b.t.Helper()
	return b.settle(b.do(http.MethodGet, address, "", map[string]string{
		"Accept": "text/html", "Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document",
	}))
}

// press submits the page's form with one of its buttons.
func (b *browser) press(p page, name, value string) page {
	b.t.Helper()
	action := regexp.MustCompile(`action="([^"]*)"`).FindStringSubmatch(p.body)
	if action == nil || !strings.Contains(p.body, `name="`+name+`" value="`+value+`"`) {
		b.t.Fatalf("%s has no button %s=%s:\n%s", p.url, name, value, p.body)
	}
	target, err := p.url.Parse(html.UnescapeString(action[1]))
	if err != nil {
		b.t.Fatal(err)
	}
	return b.settle(b.do(http.MethodPost, target.String(), url.Values{name: {value}}.Encode(), map[string]string{
		"Accept": "text/html", "Content-Type": "application/x-www-form-urlencoded",
		"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document",
	}))
}

// settle follows a page that moves on by itself.
func (b *browser) settle(p page) page {
	b.t.Helper()
	next := refresh.FindStringSubmatch(p.body)
	if next == nil {
		return p
	}
	target, err := p.url.Parse(html.UnescapeString(next[1]))
	if err != nil {
		b.t.Fatal(err)
	}
	return b.navigate(target.String())
}

// fetch calls as spa/bff.js does, and decodes the JSON of the answer.
func (b *browser) fetch(method, address, body string) (int, map[string]any) {
	b.t.Helper()
	p := b.do(method, address, body, map[string]string{
		"Accept": "application/json", "X-CSRF": "1", "Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors",
		"Sec-Fetch-Dest": "empty",
	})
	var decoded map[string]any
	if err := json.Unmarshal([]byte(p.body), &decoded); err != nil {
		b.t.Fatalf("%s %s: %d %s", method, address, p.status, p.body)
	}
	return p.status, decoded
}

// login goes to the OP, and gives a gateway that has just started the moment it needs to discover the OP.
func (b *browser) login(app, returnURL, extra string) page {
	b.t.Helper()
	_, session := b.fetch(http.MethodGet, app+"/bff/session", "")
	loginURL, ok := session["login_url"].(string)
	if !ok {
		b.t.Fatalf("no login_url in %v", session)
	}
	for deadline := time.Now().Add(5 * time.Second); ; {
		p := b.navigate(app + loginURL + "?returnUrl=" + url.QueryEscape(returnURL) + extra)
		if p.status != http.StatusServiceUnavailable || time.Now().After(deadline) {
			return p
		}
	}
}

func (p page) mustShow(t *testing.T, host, text string) {
	t.Helper()
	if p.status != http.StatusOK || p.url.Hostname() != host || !strings.Contains(p.body, text) {
		t.Fatalf("%d %s, want a page on %s that says %q:\n%s", p.status, p.url, host, text, p.body)
	}
}

// TestDemo is what a visitor does: sign in, call the API, visit the second application, sign out.
func TestDemo(t *testing.T) {
	first := startDemo(t)
	b := newBrowser(t)

	b.navigate(first+"/").mustShow(t, "localhost", "<title>Cloakroom demo</title>")
	if _, session := b.fetch("GET", first+"/bff/session", ""); session["authenticated"] != false {
		t.Fatalf("a session before anybody signed in: %v", session)
	}
	if status, refused := b.fetch("GET", first+"/api/orders", ""); status != 401 || refused["code"] != "unauthenticated" {
		t.Errorf("the API without a session: %d %v", status, refused)
	}

	signIn := b.login(first, "/desk?day=sunday#top", "")
	signIn.mustShow(t, "127.0.0.1", "<title>Sign in – Harbour ID</title>")
	checkPagePolicy(t, signIn.header, first)
	consent := b.press(signIn, "subject", "alice")
	consent.mustShow(t, "127.0.0.1", "Read your orders")
	home := b.press(consent, "decision", "allow")
	home.mustShow(t, "localhost", "<title>Cloakroom demo</title>")
	if got := home.url.RequestURI() + "#" + home.url.Fragment; got != "/desk?day=sunday#top" {
		t.Errorf("back at %s, not where the sign-in began", got)
	}

	_, session := b.fetch("POST", first+"/bff/session/extend", "")
	user, _ := session["user"].(map[string]any)
	if session["authenticated"] != true || user["name"] != "Alice Anderson" || user["email"] != "alice@harbour.test" {
		t.Errorf("session %v", session)
	}
	idle, _ := session["idle_expires_in"].(float64)
	absolute, _ := session["expires_in"].(float64)
	if idle < 290 || idle > 300 || absolute < 1790 || absolute > 1800 {
		t.Errorf("deadlines in %v and %v seconds, want 5 and 30 minutes", idle, absolute)
	}

	if status, placed := b.fetch("POST", first+"/api/orders", `{"item":"Felt hat"}`); status != 201 || placed["item"] != "Felt hat" {
		t.Errorf("order: %d %v", status, placed)
	}
	status, body := b.fetch("GET", first+"/api/orders", "")
	orders, _ := body["orders"].([]any)
	received, _ := body["received"].(map[string]any)
	if status != 200 || len(orders) != 3 || received["sub"] != "alice" || received["cookies"] != 0.0 {
		t.Errorf("orders: %d %v", status, body)
	}

	_, apps := b.fetch("GET", first+"/public/apps", "")
	second, _ := apps["second"].(string)
	choice := b.login(second, "/", "&prompt=select_account")
	choice.mustShow(t, "127.0.0.1", "Go on as Alice Anderson")
	b.press(choice, "account", "continue").mustShow(t, "localhost", "<title>Lost &amp; Found</title>")
	if _, session := b.fetch("GET", second+"/bff/session", ""); session["authenticated"] != true {
		t.Errorf("not signed in to the second application: %v", session)
	}

	_, goodbye := b.fetch("POST", first+"/bff/logout?returnUrl="+url.QueryEscape("/?signed-out"), "") // as bff.js does
	target, _ := goodbye["redirect_to"].(string)
	signedOut := b.navigate(first + target)
	signedOut.mustShow(t, "localhost", "<title>Cloakroom demo</title>")
	if signedOut.url.RawQuery != "signed-out" {
		t.Errorf("the logout ended at %s", signedOut.url)
	}
	if _, session := b.fetch("GET", first+"/bff/session", ""); session["authenticated"] != false {
		t.Errorf("still signed in: %v", session)
	}
	b.login(first, "/", "").mustShow(t, "127.0.0.1", "<title>Sign in – Harbour ID</title>")
}

// TestSignOutAtOP: the OP tells both applications.
func TestSignOutAtOP(t *testing.T) {
	first := startDemo(t)
	b := newBrowser(t)
	b.press(b.press(b.login(first, "/", ""), "subject", "alice"), "decision", "allow")
	_, apps := b.fetch("GET", first+"/public/apps", "")
	second, _ := apps["second"].(string)
	b.press(b.login(second, "/", "&prompt=select_account"), "account", "continue")

	op, _ := apps["op"].(string)
	b.press(b.navigate(op), "decision", "sign-out").mustShow(t, "127.0.0.1", "You are signed out")
	for _, app := range []string{first, second} {
		if _, session := b.fetch("GET", app+"/bff/session", ""); session["authenticated"] != false || session["reason"] != "ended" {
			t.Errorf("%s: %v", app, session)
		}
	}
}

// TestDemoDeny: who says no at consent gets a page that says so, and a way to try again.
func TestDemoDeny(t *testing.T) {
	first := startDemo(t)
	b := newBrowser(t)
	consent := b.press(b.login(first, "/", ""), "subject", "bob")
	denied := b.press(consent, "decision", "deny")
	if denied.url.Hostname() != "localhost" || denied.url.Path != "/bff/error" || !strings.Contains(denied.body, `action="/bff/login"`) {
		t.Errorf("%d %s:\n%s", denied.status, denied.url, denied.body)
	}
	if _, session := b.fetch("GET", first+"/bff/session", ""); session["authenticated"] != false {
		t.Errorf("signed in all the same: %v", session)
	}
}

func TestRunRefusesAddresses(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for address, want := range map[string]string{
		"8080":                "write host:port, such as 127.0.0.1:8080",
		"0.0.0.0:8080":        "listens on loopback only, such as 127.0.0.1:8080",
		"192.0.2.1:8080":      "listens on loopback only",
		"example.com:8080":    "listens on loopback only",
		"127.0.0.1:http":      "the port must be a number",
		"127.0.0.1:70000":     "the port must be a number up to 65535",
		taken.Addr().String(): "choose another address with -listen",
	} {
		err := Run(t.Context(), Options{Listen: address, Out: io.Discard})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("-listen %s: %v, want %s", address, err, want)
		}
	}
}

// TestSecondAppPort: when the port after the first one is taken, the second application goes elsewhere.
func TestSecondAppPort(t *testing.T) {
	earlier, err := listen("localhost:0")
	if err != nil {
		t.Fatal(err)
	}
	defer earlier.close()
	first := earlier.first.Addr().(*net.TCPAddr)
	if err := earlier.first.Close(); err != nil {
		t.Fatal(err)
	}
	l, err := listen(first.String()) // while earlier.second still has the next port
	if err != nil {
		t.Fatal(err)
	}
	defer l.close()
	if port := l.second.Addr().(*net.TCPAddr).Port; port == first.Port+1 {
		t.Errorf("two listeners on port %d", port)
	}
}
