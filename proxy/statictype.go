package proxy

import (
	"path"
	"strings"
)

// documentFields are set on pages unless the gateway has set them before (BFF-29, PX-32). The policy is what most
// applications can live with; a page adds its own in a meta element, and both count.
var documentFields = map[string]string{
	"Content-Security-Policy":    "base-uri 'self'; frame-ancestors 'none'; object-src 'none'",
	"Cross-Origin-Opener-Policy": "same-origin",
	"Referrer-Policy":            "strict-origin-when-cross-origin",
}

// contentTypes are ours, and not those of package mime, so that a file has the same type on every machine.
var contentTypes = map[string]string{
	".html": "text/html; charset=utf-8", ".htm": "text/html; charset=utf-8",
	".css": "text/css; charset=utf-8",
	".js":  "text/javascript; charset=utf-8", ".mjs": "text/javascript; charset=utf-8",
	".json": "application/json", ".map": "application/json", ".webmanifest": "application/manifest+json",
	".wasm": "application/wasm",
	".txt":  "text/plain; charset=utf-8", ".md": "text/markdown; charset=utf-8", ".csv": "text/csv; charset=utf-8",
	".xml": "application/xml", ".pdf": "application/pdf", ".zip": "application/zip", ".gz": "application/gzip",
	".svg": "image/svg+xml", ".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".gif": "image/gif",
	".webp": "image/webp", ".avif": "image/avif", ".ico": "image/vnd.microsoft.icon", ".bmp": "image/bmp",
	".woff2": "font/woff2", ".woff": "font/woff", ".ttf": "font/ttf", ".otf": "font/otf",
	".mp3": "audio/mpeg", ".ogg": "audio/ogg", ".wav": "audio/wav", ".m4a": "audio/mp4",
	".mp4": "video/mp4", ".webm": "video/webm", ".vtt": "text/vtt; charset=utf-8",
}

// contentType is that of the file name; what is not in the list is bytes, and a browser saves it.
func contentType(name string) string {
	if t, ok := contentTypes[strings.ToLower(path.Ext(name))]; ok {
		return t
	}
	return "application/octet-stream"
}

func isDocument(name string) bool { return strings.HasPrefix(contentType(name), "text/html") }

// cacheControl lets a browser keep a file whose name changes with its content, and ask about every other one.
func cacheControl(name string) string {
	if hasContentHash(name) {
		return "public, max-age=31536000, immutable"
	}
	return "no-cache"
}

// hasContentHash recognises the names that bundlers make: main.5f3a2b1c.js, index-Bx3kQ9_a.css,
// chunk-7QWERTY2.mjs.map. It would rather miss one than take a word for a hash, since a browser never asks again
// for what is immutable: the last part of the name must have a letter and a digit, and be hexadecimal, 8 to 64
// long, or exactly 8 long with an upper-case letter. Pages are never taken for one.
func hasContentHash(name string) bool {
	stem := strings.TrimSuffix(path.Base(name), ".map")
	ext := path.Ext(stem)
	if ext == "" || isDocument(name) {
		return false
	}
	stem = strings.TrimSuffix(stem, ext)
	hash := stem[strings.LastIndexAny(stem, ".-")+1:]
	if len(hash) < 8 || len(hash) > 64 {
		return false
	}
	var digit, letter, upper, other bool
	for i := range len(hash) {
		switch c := hash[i]; {
		case '0' <= c && c <= '9':
			digit = true
		case 'a' <= c && c <= 'f':
			letter = true
		case 'A' <= c && c <= 'Z':
			letter, upper, other = true, true, true
		default:
			letter, other = true, true
		}
	}
	return digit && letter && (!other || upper && len(hash) == 8)
}
