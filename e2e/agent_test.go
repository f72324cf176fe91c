package e2e_test

import (
	"cmp"
	"context"
	"crypto/tls"
	"encoding/json"
	"html"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httputil"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// agent is a browser without JavaScript and without a screen: it keeps cookies, follows redirects and meta refreshes on
// navigations, says in Fetch Metadata what it does, and keeps every byte that it gets. It sends Strict cookies always;
// what they do in earnest is for Chromium to show.
type agent struct {
	t      *testing.T
	origin string
	client *http.Client
	got    *received
}

// newAgent makes an agent that reaches the application through this gateway.
func newAgent(g *gateway) *agent {
	g.t.Helper()
	jar, _ := cookiejar.New(nil) // never fails without options
	a := &agent{t: g.t, origin: g.config.Origin, client: &http.Client{Jar: jar}, got: &received{}}
	return a.via(g)
}

// via is the same browser, reaching the application through another replica.
func (a *agent) via(g *gateway) *agent {
	origin, _ := url.Parse(a.origin)
	transport := &http.Transport{
		MaxIdleConnsPerHost: 100,
		TLSClientConfig:     &tls.Config{RootCAs: g.config.roots},
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			if host, port, _ := net.SplitHostPort(address); host == origin.Hostname() && port == cmp.Or(origin.Port(), "443") {
				address = g.config.Listen
			}
			return new(net.Dialer).DialContext(ctx, network, address)
		},
	}
	g.t.Cleanup(transport.CloseIdleConnections)
	return &agent{t: g.t, origin: a.origin, got: a.got, client: &http.Client{
		Jar:           a.client.Jar,
		Transport:     recorder{transport, a.got},
		Timeout:       time.Minute,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// stranger is an agent without cookies whose answers are kept together with a's.
func (a *agent) stranger() *agent {
	jar, _ := cookiejar.New(nil) // never fails without options
	client := *a.client
	client.Jar = jar
	return &agent{a.t, a.origin, &client, a.got}
}

// answer is a response with its body.
type answer struct {
	*http.Response
	body string
}

// option changes a request before it is sent.
type option func(*http.Request)

// header sets a header field; the value "" removes it.
func header(name, value string) option {
	return func(r *http.Request) {
		r.Header.Del(name)
		if value != "" {
			r.Header.Set(name, value)
		}
	}
}

// do sends one request and follows nothing.
func (a *agent) do(method, address string, options ...option) *answer {
	a.t.Helper()
	res, err := a.try(a.t.Context(), method, address, options...)
	if err != nil {
		a.t.Fatal(err)
	}
	return res
}

// try is do for goroutines, and for requests that may fail.
func (a *agent) try(ctx context.Context, method, address string, options ...option) (*answer, error) {
	if strings.HasPrefix(address, "/") {
		address = a.origin + address
	}
	r, err := http.NewRequestWithContext(ctx, method, address, nil)
	if err != nil {
		return nil, err
	}
	for _, change := range options {
		change(r)
	}
	res, err := a.client.Do(r)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	return &answer{res, string(body)}, err
}

// body gives a request a body.
func body(text string) option {
	return func(r *http.Request) {
		r.Body, r.ContentLength = io.NopCloser(strings.NewReader(text)), int64(len(text))
	}
}

// asFetch makes a request what fetch(path, {headers: {"X-CSRF": "1"}}) sends in a page of the application.
func asFetch(r *http.Request) {
	for name, value := range map[string]string{
		"Accept": "application/json", "X-CSRF": "1",
		"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty",
	} {
		r.Header.Set(name, value)
	}
}

// fetch calls the application as a script in its own pages does.
func (a *agent) fetch(method, path string, options ...option) *answer {
	a.t.Helper()
	return a.do(method, path, append([]option{asFetch}, options...)...)
}

// asNavigation makes a request a navigation of the top-level page, started by such a site.
func asNavigation(site string) option {
	return func(r *http.Request) {
		for name, value := range map[string]string{
			"Accept": "text/html,application/xhtml+xml", "Upgrade-Insecure-Requests": "1", "Sec-Fetch-Site": site,
			"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document", "Sec-Fetch-User": "?1",
		} {
			r.Header.Set(name, value)
		}
	}
}

var metaRefresh = regexp.MustCompile(`<meta http-equiv="refresh" content="0; url=([^"]*)">`)

// step sends a navigation and returns its answer and where that leads next, nil if it is a page to look at.
func (a *agent) step(address, site string) (res *answer, next *url.URL, nextSite string) {
	a.t.Helper()
	res = a.do(http.MethodGet, address, asNavigation(site))
	next, nextSite = a.next(res, site)
	return res, next, nextSite
}

// next is where the answer of a navigation leads. A chain of redirects that has once left the site is cross-site to its
// end, a page's own refresh starts anew.
func (a *agent) next(res *answer, site string) (next *url.URL, nextSite string) {
	a.t.Helper()
	target := res.Header.Get("Location")
	if target == "" {
		match := metaRefresh.FindStringSubmatch(res.body)
		if match == nil {
			return nil, ""
		}
		target, site = html.UnescapeString(match[1]), "same-origin"
	}
	next, err := res.Request.URL.Parse(target)
	if err != nil {
		a.t.Errorf("%s leads to %q: %v", res.Request.URL, target, err)
		return nil, ""
	}
	if next.Host != res.Request.URL.Host {
		site = "cross-site"
	}
	return next, site
}

// navigate opens an address as a link in the application does and follows it to a page. It returns every answer on the
// way, the page last.
func (a *agent) navigate(address string) []*answer {
	a.t.Helper()
	return a.follow(address, "same-origin")
}

func (a *agent) follow(address, site string) []*answer {
	a.t.Helper()
	var answers []*answer
	for range 20 {
		res, next, nextSite := a.step(address, site)
		answers = append(answers, res)
		if next == nil {
			return answers
		}
		address, site = next.String(), nextSite
	}
	a.t.Fatalf("a loop: the navigation has led to 20 addresses, the last one %s", address)
	return nil
}

// login signs in at an OP that asks nothing, and ends on the application's page.
func (a *agent) login() []*answer {
	a.t.Helper()
	answers := a.navigate("/bff/login?returnUrl=/%23signed-in")
	page := answers[len(answers)-1]
	if page.StatusCode != http.StatusOK || !strings.Contains(page.body, "<title>The application</title>") {
		a.t.Fatalf("the login ended at %s with %s: %s", page.Request.URL, page.Status, page.body)
	}
	return answers
}

// session is the answer of GET /bff/session.
func (a *agent) session() map[string]any {
	a.t.Helper()
	res := a.fetch(http.MethodGet, "/bff/session")
	res.want(a.t, http.StatusOK)
	return res.json(a.t)
}

// cookie returns the value of a cookie of the application's host, "" if there is none.
func (a *agent) cookie(name string) string {
	u, _ := url.Parse(a.origin)
	cookies := a.client.Jar.Cookies(u)
	if i := slices.IndexFunc(cookies, func(c *http.Cookie) bool { return c.Name == name }); i >= 0 {
		return cookies[i].Value
	}
	return ""
}

func (r *answer) want(t *testing.T, status int) {
	t.Helper()
	if r.StatusCode != status {
		t.Fatalf("%s %s: %s, want %d; %s", r.Request.Method, r.Request.URL, r.Status, status, r.body)
	}
}

// json decodes an object.
func (r *answer) json(t *testing.T) map[string]any {
	t.Helper()
	var object map[string]any
	if err := json.Unmarshal([]byte(r.body), &object); err != nil {
		t.Fatalf("%s: %v in %q", r.Request.URL, err, r.body)
	}
	return object
}

// received is everything that has been sent to an agent, with the address that it came from.
type received struct {
	mu   sync.Mutex
	list []receipt
}

type receipt struct {
	from *url.URL
	dump string // status line, header and body
}

// of returns what an origin has sent.
func (r *received) of(origin string) []receipt {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(r.list), func(one receipt) bool {
		return one.from.Scheme+"://"+one.from.Host != origin
	})
}

// recorder is a transport that keeps what it delivers.
type recorder struct {
	next http.RoundTripper
	got  *received
}

func (r recorder) RoundTrip(req *http.Request) (*http.Response, error) {
	res, err := r.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	dump, err := httputil.DumpResponse(res, true)
	if err != nil {
		return nil, err
	}
	r.got.mu.Lock()
	defer r.got.mu.Unlock()
	r.got.list = append(r.got.list, receipt{req.URL, string(dump)})
	return res, nil
}

func readAll(t *testing.T, res *http.Response) string {
	t.Helper()
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// sessionCookie is the name of the session cookie on a loopback http origin.
func sessionCookie(origin string) string {
	return "cloakroom-" + origin[strings.LastIndex(origin, ":")+1:]
}

// wantProblem checks a refusal against contract.md "Errors", member by member, and returns it.
func (r *answer) wantProblem(t *testing.T, status int, code string) map[string]any {
	t.Helper()
	r.want(t, status)
	if kind := r.Header.Get("Content-Type"); kind != "application/problem+json" {
		t.Errorf("%s: Content-Type %q", r.Request.URL, kind)
	}
	if control := r.Header.Get("Cache-Control"); control != "no-store" {
		t.Errorf("%s: Cache-Control %q", r.Request.URL, control)
	}
	problem := r.json(t)
	if problem["code"] != code || problem["status"] != float64(status) {
		t.Errorf("%s: code %v and status %v, want %s and %d", r.Request.URL, problem["code"], problem["status"], code, status)
	}
	for _, member := range []string{"type", "title", "request_id"} {
		if text, _ := problem[member].(string); text == "" {
			t.Errorf("%s: the member %s is missing in %v", r.Request.URL, member, problem)
		}
	}
	if problem["request_id"] != r.Header.Get("X-Request-Id") {
		t.Errorf("%s: request_id %v, the header says %q", r.Request.URL, problem["request_id"], r.Header.Get("X-Request-Id"))
	}
	if after := r.Header.Get("Retry-After"); (after != "") != (status == http.StatusServiceUnavailable) {
		t.Errorf("%s: Retry-After %q with status %d", r.Request.URL, after, status)
	}
	if login := problem["login_url"]; (login != nil) != (status == http.StatusUnauthorized) {
		t.Errorf("%s: login_url %v with status %d", r.Request.URL, login, status)
	}
	return problem
}
