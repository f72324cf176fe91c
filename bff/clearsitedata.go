package bff

import (
	"net/http"
	"slices"
	"strings"
)

// Types of Clear-Site-Data that would break a logout on its way to the provider: it needs its cookie, and the page that
// signs out has yet to navigate.
var clearedLast = []string{"cookies", "executionContexts", "*"}

// clearSiteData tells the browser to throw away what the application keeps there, as configured (RPL-11): at the end of
// a logout that the browser's own user has asked for. Another site must not be able to cause that.
func (h *Handler) clearSiteData(w http.ResponseWriter) { writeClearSiteData(w, h.ClearSiteData) }

// clearSomeSiteData is clearSiteData for the answers before the last, which may not come: not every provider sends the
// browser back.
func (h *Handler) clearSomeSiteData(w http.ResponseWriter) {
	writeClearSiteData(w, slices.DeleteFunc(slices.Clone(h.ClearSiteData), func(kind string) bool {
		return slices.Contains(clearedLast, kind)
	}))
}

func writeClearSiteData(w http.ResponseWriter, kinds []string) {
	if len(kinds) > 0 {
		w.Header().Set("Clear-Site-Data", `"`+strings.Join(kinds, `", "`)+`"`)
	}
}
