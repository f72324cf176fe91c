package gateway

import (
	"cmp"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cloakroom/cloakroom/session"
	"github.com/cloakroom/cloakroom/session/problem"
)

const (
	sessionsPath = "/sessions"
	adminPage    = 100
	maxAdminPage = 1000
)

// admin is what an operator may do with people's sessions (SES-07, RPL-13), at /sessions of the admin listener.
type admin struct {
	sessions *session.Manager
	config   *Config
	access   *adminAccess
	audit    *audit
}

// adminSession is a session as the admin listener shows it: neither token nor ticket, and no claim beyond sub.
type adminSession struct {
	ID         session.ID `json:"id"`
	Provider   string     `json:"provider"`
	Issuer     string     `json:"iss"`
	Subject    string     `json:"sub"`
	SID        string     `json:"sid"`
	CreatedAt  time.Time  `json:"created_at"`
	LastSeenAt time.Time  `json:"last_seen_at"`
	ExpiresAt  time.Time  `json:"expires_at"`
	UserAgent  string     `json:"user_agent"`
}

// adminList is a page of GET /sessions.
type adminList struct {
	Sessions []adminSession `json:"sessions"`
	Next     string         `json:"next"` // the cursor of the page after it, "" at the end
}

// adminEnd is the answer to DELETE /sessions.
type adminEnd struct {
	Ended int `json:"ended"`
}

// serve answers /sessions and what is below it.
func (a *admin) serve(w http.ResponseWriter, r *http.Request) error {
	accessOf(r).route = "admin " + sessionsPath
	if err := a.access.admit(r); err != nil {
		return err
	}
	methods := map[string]handler{http.MethodGet: a.list, http.MethodDelete: a.endMatching}
	if id, ok := strings.CutPrefix(r.URL.Path, sessionsPath+"/"); ok {
		r.SetPathValue("id", id)
		methods = map[string]handler{http.MethodGet: a.show, http.MethodDelete: a.end}
	}
	handle, ok := methods[r.Method]
	if !ok {
		return methodNotAllowed(methods)
	}
	return handle(w, r)
}

// list is GET /sessions?sub=&sid=&provider=&cursor=&limit=. A page has about limit sessions, and may have fewer, or
// none, with more to come.
func (a *admin) list(w http.ResponseWriter, r *http.Request) error {
	query, err := adminQuery(r, "sub", "sid", "provider", "cursor", "limit")
	if err != nil {
		return err
	}
	filter, err := a.filter(query)
	if err != nil {
		return err
	}
	limit, err := strconv.Atoi(cmp.Or(query.Get("limit"), strconv.Itoa(adminPage)))
	if err != nil || limit < 1 || limit > maxAdminPage {
		return problem.New(problem.BadRequest, "limit must be a number from 1 to %d", maxAdminPage)
	}
	page, next, err := a.sessions.List(r.Context(), filter, query.Get("cursor"), limit)
	if errors.Is(err, session.ErrCursor) {
		return problem.New(problem.BadRequest, "cursor must be what next was in the answer before")
	}
	if err != nil {
		return err
	}
	answer := adminList{Sessions: make([]adminSession, len(page)), Next: next}
	for i, s := range page {
		answer.Sessions[i] = adminView(s)
	}
	writeAdmin(w, http.StatusOK, answer)
	return nil
}

// show is GET /sessions/{id}.
func (a *admin) show(w http.ResponseWriter, r *http.Request) error {
	s, err := a.lookup(r)
	if err != nil {
		return err
	}
	writeAdmin(w, http.StatusOK, adminView(s))
	return nil
}

// end is DELETE /sessions/{id}.
func (a *admin) end(w http.ResponseWriter, r *http.Request) error {
	s, err := a.lookup(r)
	if err != nil {
		return err
	}
	if err := a.sessions.EndByID(r.Context(), s.ID, session.ReasonAdmin); err != nil {
		return err
	}
	a.audit.adminEnded(r.Context(), a.access.way, 1, s.ID, session.Filter{})
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// endMatching is DELETE /sessions?sub=&sid=&provider=. Without sub or sid it would be everybody, and is refused. What
// ended before a failure is in the audit log.
func (a *admin) endMatching(w http.ResponseWriter, r *http.Request) error {
	query, err := adminQuery(r, "sub", "sid", "provider")
	if err != nil {
		return err
	}
	if query.Get("sub") == "" && query.Get("sid") == "" {
		return problem.New(problem.BadRequest, "say whose sessions are to end: sub, sid or /sessions/ID")
	}
	filter, err := a.filter(query)
	if err != nil {
		return err
	}
	ended, err := a.sessions.EndSelected(r.Context(), filter, "", session.ReasonAdmin)
	if ended > 0 || err == nil {
		a.audit.adminEnded(r.Context(), a.access.way, ended, "", filter)
	}
	if err != nil {
		return err
	}
	writeAdmin(w, http.StatusOK, adminEnd{ended})
	return nil
}

// lookup finds the live session of the path.
func (a *admin) lookup(r *http.Request) (*session.Session, error) {
	s, err := a.sessions.Lookup(r.Context(), session.ID(r.PathValue("id")))
	if _, gone := session.Anonymous(err); gone {
		return nil, problem.New(problem.NotFound, "there is no such session")
	}
	return s, err
}

// filter reads sub, sid and provider. A sub or sid is looked for at every configured OP, or at that of the provider.
func (a *admin) filter(query url.Values) (session.Filter, error) {
	f := session.Filter{Provider: query.Get("provider"), Subject: query.Get("sub"), SID: query.Get("sid")}
	var issuers []string
	for _, p := range a.config.Providers {
		if f.Provider == "" || f.Provider == p.Name {
			issuers = append(issuers, p.Issuer)
		}
	}
	if len(issuers) == 0 {
		return f, problem.New(problem.BadRequest, "provider must be a name of the configuration")
	}
	if f.Subject != "" || f.SID != "" {
		slices.Sort(issuers)
		f.Issuers = slices.Compact(issuers)
	}
	return f, nil
}

// adminQuery reads the query. A parameter that is misspelt or given twice must not select more than was meant.
func adminQuery(r *http.Request, known ...string) (url.Values, error) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, problem.New(problem.BadRequest, "the query is malformed")
	}
	for name, values := range query {
		if len(values) > 1 || !slices.Contains(known, name) {
			return nil, problem.New(problem.BadRequest, "the query may hold %s, each once", choice(known))
		}
	}
	return query, nil
}

func adminView(s *session.Session) adminSession {
	return adminSession{
		ID: s.ID, Provider: s.Provider, Issuer: s.Issuer, Subject: s.Subject, SID: s.SID,
		CreatedAt: s.CreatedAt.UTC(), LastSeenAt: s.LastSeenAt.UTC(), ExpiresAt: s.ExpiresAt.UTC(), UserAgent: s.UserAgent,
	}
}
