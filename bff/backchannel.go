package bff

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"time"

	"github.com/cloakroom/cloakroom/bff/rp"
	"github.com/cloakroom/cloakroom/session"
	"github.com/cloakroom/cloakroom/session/problem"
)

const (
	// maxBackchannel bounds the body of a back-channel logout, in bytes (BCL-01).
	maxBackchannel = 64 << 10
	// keyPatience is how long a logout token waits for keys of its OP, which go on coming. Few tokens are looked at at a
	// time: an OP that does not answer must not keep out those of the others, which wait a little longer than that.
	keyPatience = 1500 * time.Millisecond
)

// errLogoutForm: the body of a back-channel logout is not what Back-Channel Logout 1.0 §2.5 describes.
var errLogoutForm = errors.New("back-channel logout refused")

func refuseLogoutForm(why string) error { return fmt.Errorf("%w: %s (BCL-01)", errLogoutForm, why) }

// BackchannelLogout is the backchannel_logout_uri: the OP says, from server to server, who has signed out there
// (Back-Channel Logout 1.0 §2.5). The logout token proves itself; there is no cookie (BCL-02).
//
// What is not a good logout token is 400 in the specification's own form (§2.8). That the store or the OP's keys could
// not be asked is 503: the token may be good and the sessions may still be there, so that the OP has to send it again. Never
// is it a 200 (BCL-22).
func (h *Handler) BackchannelLogout(w http.ResponseWriter, r *http.Request) error {
	w.Header().Set("Cache-Control", "no-store") // BCL-23
	// The body comes before the question for admission: a slow sender must not use up what that counts.
	body, err := readBackchannel(w, r)
	done, refused := h.admitLogout(r)
	if refused != nil {
		return refused
	}
	good := false
	defer func() { done(good) }()
	if err == nil {
		err = h.logoutByToken(r.Context(), r.Header.Get("Content-Type"), body)
	}
	good = err == nil || errors.Is(err, session.ErrStoreUnavailable) // without keys anything may be in it
	if err == nil {
		w.WriteHeader(http.StatusOK) // and nothing in it (BCL-21)
		return nil
	}
	if h.OnLogoutTokenRefused != nil {
		h.OnLogoutTokenRefused(r, err)
	}
	switch {
	case errors.Is(err, rp.ErrUnavailable):
		return problem.Wrap(problem.ProviderUnavailable, err)
	case errors.Is(err, errLogoutForm), errors.Is(err, rp.ErrLogoutToken):
		return writeLogoutRefused(w, err)
	}
	return err
}

// admitLogout asks AdmitLogoutToken.
func (h *Handler) admitLogout(r *http.Request) (done func(good bool), err error) {
	if h.AdmitLogoutToken == nil {
		return func(bool) {}, nil
	}
	return h.AdmitLogoutToken(r)
}

func readBackchannel(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBackchannel))
	if _, large := errors.AsType[*http.MaxBytesError](err); large {
		return nil, problem.New(problem.TooLarge, "a logout token has at most %d bytes", maxBackchannel)
	}
	if err != nil {
		return nil, refuseLogoutForm("the body ended early")
	}
	return body, nil
}

// logoutByToken verifies a logout token and ends what it names, once (BCL-11). A token that has done its work may come
// again, since its answer may have been lost: it does nothing then, also to a session that has begun meanwhile (BCL-12).
// It is spent last, so that one whose work failed halfway can come again.
func (h *Handler) logoutByToken(ctx context.Context, contentType string, body []byte) error {
	raw, err := logoutToken(contentType, body)
	if err != nil {
		return err
	}
	token, err := h.verifyLogoutToken(ctx, raw)
	if err != nil {
		return err
	}
	name := "logout " + token.Issuer + "\n" + token.ID
	if seen, err := h.Sessions.Seen(ctx, name); seen || err != nil {
		return err
	}
	ctx = context.WithoutCancel(ctx) // an OP that hangs up does not stop a logout halfway
	_, err = h.Sessions.EndMatching(ctx, session.Logout{
		Issuer: token.Issuer, Subject: token.Subject, SID: token.SID, IssuedAt: token.IssuedAt,
	}, session.ReasonBackchannel)
	if err != nil {
		return err
	}
	err = h.Sessions.Consume(ctx, name, token.SpentUntil().Sub(h.Now()))
	if errors.Is(err, session.ErrSpent) { // it came twice at the same time
		return nil
	}
	return err
}

// logoutToken is the logout_token of a form. The query counts for nothing, nor do other parameters (§2.5).
func logoutToken(contentType string, body []byte) (string, error) {
	if mediaType, _, err := mime.ParseMediaType(contentType); err != nil || mediaType != "application/x-www-form-urlencoded" {
		return "", refuseLogoutForm("it is not application/x-www-form-urlencoded")
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return "", refuseLogoutForm("the form cannot be read")
	}
	if tokens := form["logout_token"]; len(tokens) != 1 || tokens[0] == "" {
		return "", refuseLogoutForm("it has not exactly one logout_token")
	}
	return form.Get("logout_token"), nil
}

// verifyLogoutToken has each provider look at a token. All refuse it by what it says of itself, at no cost, but the one
// that it is from and for (BCL-05): of two with one issuer that is the one whose client_id it names.
func (h *Handler) verifyLogoutToken(ctx context.Context, raw string) (*rp.LogoutToken, error) {
	ctx, cancel := context.WithTimeout(ctx, keyPatience)
	defer cancel()
	var refused error
	for _, p := range h.Providers {
		token, err := p.Client.VerifyLogoutToken(ctx, raw)
		if err == nil {
			return token, nil
		}
		refused = errors.Join(refused, fmt.Errorf("provider %s: %w", p.Name, err))
	}
	return nil, refused
}

// writeLogoutRefused answers as §2.8 has it. Which check failed is in the log alone.
func writeLogoutRefused(w http.ResponseWriter, err error) error {
	description := "the logout token was refused"
	if errors.Is(err, errLogoutForm) {
		description = "send one logout_token in a body of application/x-www-form-urlencoded"
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusBadRequest)
	return json.NewEncoder(w).Encode(struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}{"invalid_request", description})
}
