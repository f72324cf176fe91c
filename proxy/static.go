package proxy

import (
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"path"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/cloakroom/cloakroom/session"
	"github.com/cloakroom/cloakroom/session/problem"
)

// static serves a folder of files: the built front end of an application.
type static struct {
	fsys fs.FS
	tags sync.Map // file name to tag; as large as the folder has files
}

// tag is the entity tag of a file, as long as the file is the same.
type tag struct {
	modTime time.Time
	size    int64
	etag    string
}

// representation is what a path stands for: one file, or a compressed sibling of it.
type representation struct {
	name     string // of the resource, decides on type and caching
	file     string // of the bytes
	encoding string // Content-Encoding, or ""
	vary     []string
}

// serve answers GET and HEAD. A path without a file is the index page for a navigation, since the paths of a
// single-page application exist in the browser only, and not_found for everything else: a script that is missing
// is not answered with a page (PX-26).
func (s *static) serve(w http.ResponseWriter, r *http.Request, rt *Route, who *session.Session) error {
	name := r.URL.Path
	if rt.StripPrefix {
		name = strings.TrimPrefix(name, strings.TrimSuffix(rt.Path, "/"))
	}
	name = strings.TrimPrefix(name, "/")

	if s.isFile(name + "/index.html") {
		return redirectToFolder(w, r)
	}
	rep := representation{name: name}
	if name == "" || strings.HasSuffix(name, "/") {
		rep.name += "index.html"
	}
	if !s.isFile(rep.name) {
		if !IsNavigation(r) || path.Ext(name) != "" || !s.isFile("index.html") {
			return problem.Wrap(problem.NotFound, fmt.Errorf("no file %q", rep.name))
		}
		rep.name = "index.html"
		rep.vary = append(rep.vary, "Accept", "Sec-Fetch-Mode")
	}
	s.encode(&rep, r)
	return s.send(w, r, rep, rt.isPersonal(who))
}

// isFile reports whether there is such a file and everybody may have it. Names that begin with a dot are for tools
// (.env, .git), except for .well-known (RFC 8615).
func (s *static) isFile(name string) bool {
	if strings.Contains("/"+strings.TrimPrefix(name, ".well-known/"), "/.") {
		return false
	}
	info, err := fs.Stat(s.fsys, name)
	return err == nil && info.Mode().IsRegular()
}

// redirectToFolder adds the slash without which the relative links of an index page lead nowhere.
func redirectToFolder(w http.ResponseWriter, r *http.Request) error {
	location := r.URL.EscapedPath() + "/"
	if r.URL.RawQuery != "" {
		location += "?" + r.URL.RawQuery
	}
	w.Header().Set("Cache-Control", "no-cache")
	http.Redirect(w, r, location, http.StatusTemporaryRedirect)
	return nil
}

// encode chooses among the file and its compressed siblings. Ranges are served from the file itself.
func (s *static) encode(rep *representation, r *http.Request) {
	rep.file = rep.name
	varies := false
	for _, e := range []struct{ suffix, encoding string }{{".br", "br"}, {".gz", "gzip"}} {
		if !s.isFile(rep.name + e.suffix) {
			continue
		}
		varies = true
		if rep.encoding == "" && r.Header.Get("Range") == "" && accepts(r.Header.Values("Accept-Encoding"), e.encoding) {
			rep.file, rep.encoding = rep.name+e.suffix, e.encoding
		}
	}
	if varies {
		rep.vary = append(rep.vary, "Accept-Encoding")
	}
}

// send writes the representation; no cache keeps it when it is personal.
func (s *static) send(w http.ResponseWriter, r *http.Request, rep representation, personal bool) error {
	f, err := s.fsys.Open(rep.file)
	if err != nil {
		return problem.Wrap(problem.Internal, err)
	}
	defer f.Close()
	content, ok := f.(io.ReadSeeker)
	if !ok {
		return problem.Wrap(problem.Internal, errors.New("the static folder has files that cannot seek"))
	}
	t, err := s.tag(rep.file, f, content)
	if err != nil {
		return problem.Wrap(problem.Internal, err)
	}

	h := w.Header()
	h.Set("Etag", t.etag)
	h.Set("Content-Type", contentType(rep.name))
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", cacheControl(rep.name))
	for _, name := range rep.vary {
		h.Add("Vary", name)
	}
	if personal {
		h.Set("Cache-Control", "no-store")
		h.Add("Vary", "Cookie")
	}
	if rep.encoding != "" {
		h.Set("Content-Encoding", rep.encoding)
		h.Set("Content-Length", strconv.FormatInt(t.size, 10)) // net/http leaves it out beside Content-Encoding
	}
	if isDocument(rep.name) {
		for name, value := range documentFields {
			h.Set(name, cmp.Or(h.Get(name), value))
		}
	}
	http.ServeContent(w, r, rep.name, time.Time{}, content)
	return nil
}

// tag returns the entity tag of an open file: a hash of what is in it. Time and size would do on a disk, but files
// in a container image often have all the same time, and embedded ones have none.
func (s *static) tag(name string, f fs.File, content io.ReadSeeker) (tag, error) {
	info, err := f.Stat()
	if err != nil {
		return tag{}, err
	}
	if known, ok := s.tags.Load(name); ok {
		if t := known.(tag); t.modTime.Equal(info.ModTime()) && t.size == info.Size() {
			return t, nil
		}
	}
	hash := sha256.New()
	if _, err := io.Copy(hash, content); err != nil {
		return tag{}, err
	}
	if _, err := content.Seek(0, io.SeekStart); err != nil {
		return tag{}, err
	}
	sum := base64.RawURLEncoding.EncodeToString(hash.Sum(nil)[:16])
	t := tag{info.ModTime(), info.Size(), `"` + sum + `"`}
	s.tags.Store(name, t)
	return t, nil
}

// IsNavigation reports whether a person is waiting for a page: Fetch Metadata decides, then Accept.
func IsNavigation(r *http.Request) bool {
	if mode := r.Header.Get("Sec-Fetch-Mode"); mode != "" {
		return mode == "navigate"
	}
	return strings.Contains(r.Header.Get("Accept"), "text/html")
}

// accepts reports whether the coding is listed with a weight above 0 (RFC 9110 §12.5.3).
func accepts(lines []string, coding string) bool {
	for element := range strings.SplitSeq(strings.Join(lines, ","), ",") {
		name, parameter, _ := strings.Cut(element, ";")
		if !strings.EqualFold(strings.TrimSpace(name), coding) {
			continue
		}
		_, weight, weighted := strings.Cut(parameter, "=")
		q, err := strconv.ParseFloat(strings.TrimSpace(weight), 64)
		return !weighted || err == nil && q > 0
	}
	return false
}
