package e2e_test

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cloakroom/cloakroom/bff/optest"
)

// TestTaint records a whole run (logins, API calls, user, session, refresh, errors of many kinds, logouts, event streams,
// lists of sessions) and searches every byte sent to the browser or to an operator, every line of the log, and everything
// that was ever in Redis or sent to it, for every token, code, verifier, ticket, key and secret that was in play (BFF-03,
// CK-08, SES-10, SES-13).
//
// Two places are allowed: the session cookie's own Set-Cookie, and, where id_token_hint is on, the hint in the redirect
// from /bff/logout to the OP (RPL-03).
func TestTaint(t *testing.T) {
	t.Parallel()
	for _, hint := range []bool{true, false} {
		t.Run(fmt.Sprintf("id_token_hint=%t", hint), func(t *testing.T) {
			t.Parallel()
			testTaint(t, hint)
		})
	}
}

func testTaint(t *testing.T, hint bool) {
	const lifetime = time.Second
	redis := startRedis(t)
	sentToRedis := redis.monitor()
	c := newConfig(t, startAPI(t))
	c.useRedis(t, redis)
	c.Session = "refresh_before: 0s"
	c.Logout = fmt.Sprintf("id_token_hint: %t", hint)
	op := c.startOP(t, optest.Config{AccessTokenLifetime: lifetime})
	issued := recordTokens(op)
	g := serve(t, c)
	a := newAgent(g)
	ticketOf := func() string { return a.cookie(sessionCookie(a.origin)) }
	var tickets, dumps []string
	step := func() {
		tickets, dumps = append(tickets, ticketOf()), append(dumps, redis.dump())
	}

	a.login()
	step()
	for _, path := range []string{"/bff/session", "/bff/user", "/bff/user?slide=false", "/api/echo", "/bff/jwks.json"} {
		a.fetch("GET", path).want(t, http.StatusOK)
	}
	a.fetch("POST", "/bff/session/extend").want(t, http.StatusOK)
	awaitExpiry(t, lifetime)
	a.fetch("GET", "/api/echo").want(t, http.StatusOK)
	step()

	op.Fault(optest.OnRefresh(echo(http.StatusServiceUnavailable)))
	awaitExpiry(t, lifetime)
	a.fetch("GET", "/api/echo").wantProblem(t, http.StatusServiceUnavailable, "refresh_unavailable")
	restore(op, issued)

	a.login() // a second login in the same browser ends the first session
	step()
	failLogins(t, a, op, issued)
	failRequests(t, a)

	loggedOut := a.fetch("POST", "/bff/logout")
	loggedOut.want(t, http.StatusOK)
	a.navigate(loggedOut.json(t)["redirect_to"].(string))
	a.login()
	step()
	logoutURL := a.session()["logout_url"].(string)
	a.navigate(logoutURL)
	a.login()
	op.RevokeGrants("alice")
	awaitExpiry(t, lifetime)
	a.fetch("GET", "/api/echo").wantProblem(t, http.StatusUnauthorized, "session_ended")
	a.login()
	step()
	shown, others, logoutTokens := administer(t, a, g, op)
	tickets = append(tickets, others...)
	awaitNextSecond() // in which a login is later than the logout
	a.login()
	step()
	redis.Stop()
	a.fetch("GET", "/api/echo").wantProblem(t, http.StatusServiceUnavailable, "store_unavailable")
	a.navigate("/bff/login")

	secrets := collect(t, c, op, issued, tickets)
	for _, token := range logoutTokens {
		secrets.add("a logout token", token)
	}
	secrets.search(t, "what an operator got", shown)
	for _, receipt := range a.got.of(c.Origin) {
		secrets.search(t, "what the browser got from "+receipt.from.Path, receipt.without(a, hint))
	}
	secrets.search(t, "the log", g.stderr.String()+g.stdout.String())
	for _, dump := range dumps {
		if !strings.Contains(dump, "rec:") {
			t.Errorf("a dump of Redis without a record: %q", dump)
		}
		secrets.search(t, "Redis", dump)
	}
	secrets.search(t, "what was sent to Redis", sentToRedis.String())
	if !strings.Contains(sentToRedis.String(), "rec:") {
		t.Error("nothing was recorded of what was sent to Redis")
	}
}

// failLogins makes logins fail in many ways, some of them with secrets in what the OP says.
func failLogins(t *testing.T, a *agent, op *optest.Server, issued *tokens) {
	t.Helper()
	for _, fault := range []optest.Fault{
		echo(http.StatusBadRequest),
		echo(http.StatusInternalServerError),
		optest.CallbackError("access_denied", optest.HostileText),
		optest.CallbackOtherState,
		optest.CallbackTokens,
		optest.BadSignature,
		optest.OtherNonce,
		optest.WrongAtHash,
		optest.UserInfoOtherSubject,
		optest.NoAccessToken,
		optest.TokenMember("token_type", "leak"),
		optest.Drop(optest.TokenEndpoint),
		optest.HTML(optest.TokenEndpoint),
	} {
		op.Fault(fault)
		answers := a.navigate("/bff/login")
		page := answers[len(answers)-1]
		if page.Request.URL.Path != "/bff/error" {
			t.Errorf("with the fault %q the login ended at %s", fault, page.Request.URL)
		}
		restore(op, issued)
	}
	callback := answersTo(a.navigate("/bff/login"), "/bff/callback")
	a.do("GET", callback.Request.URL.String(), asNavigation("cross-site")) // the same once more
}

// failRequests sends what is refused, with the good ticket in odd places.
func failRequests(t *testing.T, a *agent) {
	t.Helper()
	name := sessionCookie(a.origin)
	ticket := a.cookie(name)
	for _, cookie := range []string{ticket + "A", ticket[1:], "", ticket + "; " + name + "=" + ticket} {
		a.stranger().fetch("GET", "/api/echo", header("Cookie", name+"="+cookie)).want(t, http.StatusUnauthorized)
	}
	a.do("GET", "/api/echo").want(t, http.StatusForbidden)
	a.do("GET", "/bff/logout?sid=wrong").want(t, http.StatusBadRequest)
	a.do("GET", "/bff/login?returnUrl="+url.QueryEscape("https://evil.test/"+ticket)).want(t, http.StatusBadRequest)
	a.do("DELETE", "/bff/session").want(t, http.StatusMethodNotAllowed)
	a.fetch("GET", "/bff/nothing").want(t, http.StatusNotFound)
	a.fetch("GET", "/api/%2e%2e/x").want(t, http.StatusBadRequest)
	a.fetch("GET", "/api/echo", header("X-Ticket", ticket)).want(t, http.StatusOK)
}

// administer listens to a session and lists, renews and ends it and others of the same user, in all ways. It returns what
// an operator was shown, the tickets of the others, and logout tokens, of which all but the last are no good.
func administer(t *testing.T, a *agent, g *gateway, op *optest.Server) (shown string, tickets, logoutTokens []string) {
	t.Helper()
	var others []*agent
	for range 4 {
		other := a.stranger()
		other.login()
		others = append(others, other)
		tickets = append(tickets, other.cookie(sessionCookie(a.origin)))
	}
	stream := a.listen("/bff/events")
	a.fetch("POST", "/bff/session/extend").want(t, http.StatusOK)
	a.fetch("POST", "/bff/session/refresh").want(t, http.StatusOK)
	a.fetch("POST", "/bff/session/refresh").want(t, http.StatusTooManyRequests)
	operator := newOperator(t, g)
	for _, path := range []string{"/sessions", "/sessions?sub=alice", "/sessions/unknown", "/metrics", "/readyz"} {
		shown += operator.do("GET", path).body
	}
	if status, out, _ := command(t, "sessions", "list", "-admin", g.config.Admin); status != 0 || out == "" {
		t.Errorf("cloakroom sessions list: exit code %d, %q", status, out)
	} else {
		shown += out
	}
	for i, one := range a.sessions() {
		switch {
		case one.Current:
		case i%2 == 0:
			a.fetch("DELETE", "/bff/sessions/"+one.ID).want(t, http.StatusNoContent)
		default:
			operator.do("DELETE", "/sessions/"+one.ID).want(t, http.StatusNoContent)
		}
	}
	for _, other := range others {
		other.fetch("GET", "/api/echo").wantProblem(t, http.StatusUnauthorized, "session_ended")
	}
	a.fetch("DELETE", "/bff/sessions/unknown").want(t, http.StatusNotFound)

	logoutTokens = badLogoutTokens(t, op, 1)
	for _, token := range logoutTokens {
		deliver(a.stranger(), token).want(t, http.StatusBadRequest)
	}
	token, err := op.LogoutToken("app", "alice", "")
	if err != nil {
		t.Fatal(err)
	}
	deliver(a.stranger(), token).wantDone(t)
	heard := 0
	for e := range stream.events {
		if heard++; e.id == "end" && e.json(t)["cause"] != "backchannel_logout" {
			t.Errorf("the stream ended with %+v", e)
		}
	}
	if heard < 4 {
		t.Errorf("the stream had %d events", heard)
	}
	return shown, tickets, append(logoutTokens, token)
}

// echo makes the token endpoint refuse, with all that it was sent in its answer.
func echo(status int) optest.Fault {
	return optest.Reply("echo", optest.TokenEndpoint, func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		said := r.PostForm.Encode() + " " + r.Header.Get("Authorization")
		_, _ = fmt.Fprintf(w, `{"error":"invalid_request","error_description":%q}`, said)
	})
}

// tokens are the successful answers of the token endpoint.
type tokens struct {
	mu     sync.Mutex
	issued []map[string]any
}

func recordTokens(op *optest.Server) *tokens {
	issued := &tokens{}
	restore(op, issued)
	return issued
}

// restore makes the OP honest, and goes on recording.
func restore(op *optest.Server, issued *tokens) {
	op.ClearFaults()
	op.Fault(optest.EditTokenResponse("record", func(response map[string]any) {
		issued.mu.Lock()
		defer issued.mu.Unlock()
		issued.issued = append(issued.issued, maps.Clone(response))
	}))
}

// secrets are values that must not be seen.
type secrets map[string]secret

type secret struct {
	what  string
	forms []string
}

func (s secrets) add(what, value string) {
	if value != "" {
		s[value] = secret{what, forms(value)}
	}
}

// collect gathers every secret of the run.
func collect(t *testing.T, c *config, op *optest.Server, issued *tokens, tickets []string) secrets {
	t.Helper()
	found := secrets{}
	found.add("the client secret", c.Secret)
	for _, r := range op.Requests(optest.TokenEndpoint) {
		found.add("a code", r.Form.Get("code"))
		found.add("a code verifier", r.Form.Get("code_verifier"))
		found.add("the refresh_token", r.Form.Get("refresh_token"))
		_, basic, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		found.add("the client credentials", basic)
	}
	issued.mu.Lock()
	defer issued.mu.Unlock()
	for _, response := range issued.issued {
		for _, name := range []string{"access_token", "id_token", "refresh_token"} {
			value, _ := response[name].(string)
			found.add("the "+name, value)
			for i, part := range strings.Split(value, ".") {
				if i > 0 { // the header is the same for all tokens, and no secret
					found.add("a part of the "+name, part)
				}
			}
		}
	}
	for _, ticket := range tickets {
		found.add("a ticket", ticket)
		raw, err := base64.RawURLEncoding.DecodeString(ticket)
		if err != nil || len(raw) != 32 {
			t.Errorf("the ticket is not 32 bytes in base64url (CK-07)")
		}
		found.add("a ticket's bytes", string(raw))
	}
	ring, err := os.ReadFile(c.Keys)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(ring)) {
		fields := strings.Fields(line)
		found.add("a key", fields[len(fields)-1])
	}
	counts := map[string]int{}
	for _, one := range found {
		counts[one.what]++
	}
	for what, least := range map[string]int{
		"the client secret": 1, "the client credentials": 1, "a code": 8, "a code verifier": 8, "the refresh_token": 6,
		"the access_token": 6, "the id_token": 6, "a ticket": 4, "a ticket's bytes": 4, "a key": 1,
	} {
		if counts[what] < least {
			t.Errorf("%d values of the kind %q were recorded, want at least %d", counts[what], what, least)
		}
	}
	return found
}

// search reports every secret that a text holds, in any of its forms.
func (s secrets) search(t *testing.T, where, text string) {
	t.Helper()
	for _, one := range s {
		for _, form := range one.forms {
			if at := strings.Index(text, form); at >= 0 {
				t.Errorf("%s holds %s: %q", where, one.what, text[max(0, at-60):min(len(text), at+len(form)+20)])
				break
			}
		}
	}
}

// forms are the ways in which a value may be written down: plain, escaped for a URL, in hex, and as part of something in
// base64, at each of the three places in which it may begin there.
func forms(value string) []string {
	inHex := hex.EncodeToString([]byte(value))
	all := []string{value, url.QueryEscape(value), inHex, strings.ToUpper(inHex)}
	for skip := range 3 {
		whole := value[skip:]
		whole = whole[:len(whole)/3*3]
		all = append(all, base64.StdEncoding.EncodeToString([]byte(whole)), base64.URLEncoding.EncodeToString([]byte(whole)))
	}
	return slices.Compact(all)
}

// without returns a receipt less what is allowed to be in it.
func (r receipt) without(a *agent, hint bool) string {
	lines := strings.SplitAfter(r.dump, "\r\n")
	for i, line := range lines {
		if strings.HasPrefix(line, "Set-Cookie: "+sessionCookie(a.origin)+"=") {
			lines[i] = ""
		}
		if target, ok := strings.CutPrefix(line, "Location: "); ok && hint && r.from.Path == "/bff/logout" {
			u, err := url.Parse(strings.TrimSpace(target))
			if err != nil {
				continue
			}
			query := u.Query()
			query.Del("id_token_hint")
			u.RawQuery = query.Encode()
			lines[i] = u.String()
		}
	}
	return strings.Join(lines, "")
}

// answersTo returns the answer to the request for a path.
func answersTo(answers []*answer, path string) *answer {
	i := slices.IndexFunc(answers, func(a *answer) bool { return a.Request.URL.Path == path })
	return answers[i]
}

// TestSearch is the test of the search itself.
func TestSearch(t *testing.T) {
	const value = "a secret, quite long"
	for _, text := range []string{
		value,
		"q=" + url.QueryEscape(value),
		hex.EncodeToString([]byte(value)),
		base64.StdEncoding.EncodeToString([]byte("app:" + value)),
		base64.RawURLEncoding.EncodeToString([]byte(`{"s":"` + value + `"}`)),
		base64.RawURLEncoding.EncodeToString([]byte(`{"ss":"` + value + `"}`)),
	} {
		if !slices.ContainsFunc(forms(value), func(form string) bool { return strings.Contains(text, form) }) {
			t.Errorf("not found in %q", text)
		}
	}
}
