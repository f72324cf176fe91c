package bff

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/cloakroom/cloakroom/session"
	"github.com/cloakroom/cloakroom/session/problem"
)

// FrontchannelLogout is the frontchannel_logout_uri: a page of the OP loads it in a frame when the user signs out there
// (Front-Channel Logout 1.0 §2). Browsers send no cookie of ours to a frame on another site, so it goes by iss and sid
// alone, and cannot do without them (FCL-01, FCL-04). It answers 404 unless it is turned on (FCL-06).
//
// Nothing proves who asks. All that protects a session is that nobody can guess its sid, so the answer does not tell
// whether there was such a session (FCL-05), and an address that goes on guessing is not heard for a while.
func (h *Handler) FrontchannelLogout(w http.ResponseWriter, r *http.Request) error {
	if !h.Frontchannel {
		return problem.New(problem.NotFound, "there is no such endpoint")
	}
	query, err := singleValues(r.URL.RawQuery)
	if err != nil {
		return err
	}
	issuer, sid := query["iss"], query["sid"]
	if issuer == "" || sid == "" {
		return problem.New(problem.BadRequest, "send both iss and sid")
	}
	providers := h.Providers.ofIssuer(issuer)
	if len(providers) == 0 {
		return problem.New(problem.BadRequest, "iss is no issuer that is configured here")
	}
	done, err := h.admitLogout(r)
	if err != nil {
		return err
	}
	good := false
	defer func() { done(good) }()
	ended, err := h.endBySID(r.Context(), issuer, sid)
	good = ended > 0 || err != nil
	if err != nil {
		return err
	}
	return writeFrame(w, providers)
}

// endBySID ends the sessions that have a sid. The store remembers for an hour what EndMatching has ended; of what
// strangers make up it shall remember nothing, so that the sid must be that of a session first. A login that is being
// written at that moment is missed: back-channel logout ends that, too.
func (h *Handler) endBySID(ctx context.Context, issuer, sid string) (ended int, err error) {
	found, next, err := h.Sessions.List(ctx, session.Filter{Issuers: []string{issuer}, SID: sid}, "", 1)
	if err != nil || len(found) == 0 && next == "" {
		return 0, err
	}
	return h.Sessions.EndMatching(ctx, session.Logout{Issuer: issuer, SID: sid, IssuedAt: h.Now()}, session.ReasonFrontchannel)
}

// ofIssuer are the providers with an issuer, which differ in their client_id.
func (ps Providers) ofIssuer(issuer string) Providers {
	return slices.DeleteFunc(slices.Clone(ps), func(p Provider) bool { return p.Client.Issuer() != issuer })
}

// writeFrame writes an empty page that the OP alone may frame (FCL-03).
func writeFrame(w http.ResponseWriter, providers Providers) error {
	header := w.Header()
	header.Set("Content-Type", "text/html; charset=utf-8")
	header.Set("Cache-Control", "no-store")
	header.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors "+framers(providers))
	header.Set("Cross-Origin-Resource-Policy", "cross-origin") // for an OP's page with Cross-Origin-Embedder-Policy
	header.Set("Referrer-Policy", "no-referrer")
	_, err := io.WriteString(w, "<!doctype html><title>Signed out</title>\n")
	return err
}

// framers are the origins of an OP's pages, as far as we know them: those of its issuer and of its end-session endpoint.
func framers(providers Providers) string {
	var origins []string
	for _, p := range providers {
		addresses := []string{p.Client.Issuer()}
		if metadata, err := p.Client.Metadata(); err == nil {
			addresses = append(addresses, metadata.EndSessionEndpoint)
		}
		for _, address := range addresses {
			if origin := sourceOf(address); origin != "" && !slices.Contains(origins, origin) {
				origins = append(origins, origin)
			}
		}
	}
	if len(origins) == 0 {
		return "'none'"
	}
	return strings.Join(origins, " ")
}

// plainHost is a host that means in a Content-Security-Policy what it says. An asterisk would be more than one host, and a
// semicolon another directive.
var plainHost = regexp.MustCompile(`^[a-zA-Z0-9.:\[\]-]+$`)

// sourceOf is the origin of an address as a source expression (CSP 3 §2.3.1), "" where it has none.
func sourceOf(address string) string {
	u, err := url.Parse(address)
	if err != nil || !plainHost.MatchString(u.Host) {
		return ""
	}
	return u.Scheme + "://" + u.Host
}
