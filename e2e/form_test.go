package e2e_test

import (
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
)

// person is what somebody types into forms and which buttons they press: the names of fields and their values.
type person map[string]string

var (
	formTag  = regexp.MustCompile(`(?is)<form\b[^>]*>.*?</form>`)
	inputTag = regexp.MustCompile(`(?is)<input\b[^>]*>`)
	attr     = regexp.MustCompile(`(?is)\b(name|value|action|type|method)="([^"]*)"`)
)

// attributes are those of the first tag of some HTML.
func attributes(text string) map[string]string {
	tag, _, _ := strings.Cut(text, ">")
	found := map[string]string{}
	for _, match := range attr.FindAllStringSubmatch(tag, -1) {
		found[strings.ToLower(match[1])] = html.UnescapeString(match[2])
	}
	return found
}

// form reads the first form of a page, filled in by p. Without one, or if it is not to be posted, ok is false.
func (p person) form(page *answer) (action *url.URL, fields url.Values, ok bool) {
	form := formTag.FindString(page.body)
	of := attributes(form)
	if !strings.EqualFold(of["method"], "post") {
		return nil, nil, false
	}
	action, err := page.Request.URL.Parse(of["action"])
	if err != nil {
		return nil, nil, false
	}
	fields = url.Values{}
	for _, tag := range inputTag.FindAllString(form, -1) {
		input := attributes(tag)
		fields.Set(input["name"], input["value"])
	}
	for name, value := range p {
		if strings.Contains(page.body, `name="`+name+`"`) {
			fields.Set(name, value)
		}
	}
	return action, fields, true
}

// walk is navigate for pages with forms: it fills them in and posts them, one page after the other, those too that a
// script would post. It returns every answer on the way; the last one is a page without a form, or one that came a
// third time.
func (a *agent) walk(address string, p person) []*answer {
	a.t.Helper()
	answers := a.navigate(address)
	for range 10 {
		page := answers[len(answers)-1]
		action, fields, ok := p.form(page)
		if !ok {
			return answers
		}
		answers = append(answers, a.post(page, action, fields)...)
	}
	a.t.Fatalf("a loop: ten forms, the last one at %s", answers[len(answers)-1].Request.URL)
	return nil
}

// post sends a form of a page and follows the answer to the next page.
func (a *agent) post(page *answer, action *url.URL, fields url.Values) []*answer {
	a.t.Helper()
	from := page.Request.URL
	site := "cross-site"
	switch {
	case from.Host == action.Host:
		site = "same-origin"
	case from.Hostname() == action.Hostname():
		site = "same-site" // a port is no part of a site
	}
	res := a.do(http.MethodPost, action.String(), asNavigation(site), body(fields.Encode()),
		header("Content-Type", "application/x-www-form-urlencoded"),
		header("Origin", from.Scheme+"://"+from.Host))
	next, nextSite := a.next(res, site)
	if next == nil {
		return []*answer{res}
	}
	return append([]*answer{res}, a.follow(next.String(), nextSite)...)
}

// signIn is a login at an OP with forms; it ends on the application's page.
func (a *agent) signIn(p person) []*answer {
	a.t.Helper()
	answers := a.walk("/bff/login?returnUrl=/%23signed-in", p)
	page := answers[len(answers)-1]
	if page.StatusCode != http.StatusOK || !strings.Contains(page.body, "<title>The application</title>") {
		a.t.Fatalf("the login ended at %s with %s: %s", page.Request.URL, page.Status, page.body)
	}
	return answers
}

// signOut is a logout at the gateway and at the OP, which may ask; it ends on the application's page.
func (a *agent) signOut(p person) []*answer {
	a.t.Helper()
	loggedOut := a.fetch(http.MethodPost, "/bff/logout")
	loggedOut.want(a.t, http.StatusOK)
	redirectTo, _ := loggedOut.json(a.t)["redirect_to"].(string)
	answers := a.walk(redirectTo, p)
	page := answers[len(answers)-1]
	if page.Request.URL.String() != a.origin+"/" || page.StatusCode != http.StatusOK {
		a.t.Fatalf("the logout ended at %s with %s: %s", page.Request.URL, page.Status, page.body)
	}
	if a.session()["authenticated"] != false {
		a.t.Errorf("after the logout the session says %v", a.session())
	}
	return answers
}
