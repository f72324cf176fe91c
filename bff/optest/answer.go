package optest

import (
	"html"
	"net/http"
	"net/url"
	"strings"
)

// Answer is an authorization response as the browser takes it to the client, in any response mode.
type Answer struct {
	URL  *url.URL   // where the browser is sent, by a redirect or by a form
	Form url.Values // what the form posts; nil for a redirect
}

// Parameters are those of the form, or of the URL's query.
func (a Answer) Parameters() url.Values {
	if a.Form != nil {
		return a.Form
	}
	return a.URL.Query()
}

// NewRequest makes the request that the browser sends to the client. A form comes from another site.
func (a Answer) NewRequest() (*http.Request, error) {
	if a.Form == nil {
		return http.NewRequest(http.MethodGet, a.URL.String(), nil)
	}
	r, err := http.NewRequest(http.MethodPost, a.URL.String(), strings.NewReader(a.Form.Encode()))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Origin", "null") // because of the page's Referrer-Policy
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	r.Header.Set("Sec-Fetch-Mode", "navigate")
	r.Header.Set("Sec-Fetch-Dest", "document")
	return r, nil
}

// Authorize opens a URL of the OP like Visit, and returns the authorization response whatever its mode. The test fails
// if there is none.
func (s *Server) Authorize(address string) Answer {
	s.t.Helper()
	location, page := s.get(address)
	if location != nil {
		return Answer{URL: location}
	}
	answer, ok := readForm(page)
	if !ok {
		s.t.Fatalf("optest: GET %s: neither a redirect nor a form with the response but %s", address, page)
	}
	return answer
}

// readForm reads the page that postForm sends.
func readForm(page string) (Answer, bool) {
	_, rest, ok := strings.Cut(page, `<form method="post" action="`)
	if !ok {
		return Answer{}, false
	}
	action, rest, _ := strings.Cut(rest, `"`)
	target, err := url.Parse(html.UnescapeString(action))
	if err != nil {
		return Answer{}, false
	}
	form := url.Values{}
	for _, input := range strings.Split(rest, `<input type="hidden" name="`)[1:] {
		name, rest, _ := strings.Cut(input, `" value="`)
		value, _, _ := strings.Cut(rest, `"`)
		form.Add(html.UnescapeString(name), html.UnescapeString(value))
	}
	return Answer{target, form}, len(form) > 0
}
