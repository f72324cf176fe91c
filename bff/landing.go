package bff

import (
	"crypto/rand"
	"net/http"
	"strings"

	"github.com/cloakroom/cloakroom/session/problem"
)

// flash is what the page behind a redirect shows. It travels in a sealed cookie, so that neither a link nor another
// site can make our pages say something.
type flash struct {
	Title  string            `json:"t,omitempty"`
	Next   string            `json:"n,omitempty"` // checked return URL
	Code   problem.Code      `json:"c,omitempty"`
	Detail string            `json:"d,omitempty"`
	Retry  map[string]string `json:"r,omitempty"` // parameters of the login to try again

	SignedOut bool `json:"o,omitempty"` // by this browser's own pages
}

// showFlash answers 303 to one of the two pages. With several tabs in flight the cookie gets a name of its own, and the
// address says which: two logins that end at the same moment must not go to the same page.
func (h *Handler) showFlash(w http.ResponseWriter, page string, f flash, severalTabs bool) error {
	tab, query := "", ""
	if severalTabs {
		tab = strings.ToLower(rand.Text()[:8])
		query = "?tab=" + tab
	}
	name := h.flashName(tab)
	sealed, err := h.sealer.seal(name, f, h.Now().Add(flashLife))
	if err != nil {
		return err
	}
	h.cookies.setShort(w, name, sealed, flashLife)
	w.Header().Set("Cache-Control", "no-store")
	redirect(w, h.URLs.Path(page)+query, http.StatusSeeOther)
	return nil
}

func (h *Handler) flashName(tab string) string {
	name := h.cookies.flash
	if tab != "" {
		name += "-" + tab
	}
	return name + h.cookies.suffix
}

func (h *Handler) takeFlash(w http.ResponseWriter, r *http.Request) (f flash) {
	name := h.flashName(r.URL.Query().Get("tab"))
	cookie, err := r.Cookie(name)
	if err != nil || h.sealer.open(name, cookie.Value, &f, h.Now()) != nil {
		return flash{}
	}
	h.cookies.clear(w, name)
	return f
}

// Landing is the page after a login, and after a logout that does not come back from the provider. It exists to make the
// next navigation ours: the browser came here from the provider's site, and on such a navigation it does not send a
// strict cookie. The page's refresh to the return URL is same-site, so there the session is seen (CK-09).
func (h *Handler) Landing(w http.ResponseWriter, r *http.Request) error {
	f := h.takeFlash(w, r)
	if f.Next == "" { // the page was reloaded, or its minute is over
		f = flash{Title: "One moment", Next: "/"}
	}
	if f.SignedOut {
		h.clearSiteData(w)
	}
	return WritePage(w, Page{Status: http.StatusOK, Title: f.Title, Next: f.Next})
}

// ErrorPage says why a login did not work and offers another try.
func (h *Handler) ErrorPage(w http.ResponseWriter, r *http.Request) error {
	f := h.takeFlash(w, r)
	if f.Code == "" {
		return WritePage(w, Page{
			Status: http.StatusOK, Title: "Nothing to report", Text: "There is no error to show here any more.",
			Actions: []Action{{Label: "Go to the application", Path: "/"}},
		})
	}
	text := f.Detail
	if text == "" {
		text = adviceFor(f.Code)
	}
	if f.Code.Status() == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "5")
	}
	return WritePage(w, Page{
		Status: f.Code.Status(), Title: f.Code.Title(), Text: text, Code: string(f.Code),
		Actions: []Action{{Label: "Try again", Path: h.URLs.Path("login"), Fields: f.Retry}},
	})
}

func adviceFor(code problem.Code) string {
	if code.Status() == http.StatusServiceUnavailable {
		return "This usually passes. Try again in a moment."
	}
	return "The sign-in service's answer could not be used. Try again; if it keeps failing, tell the people who run this application."
}
