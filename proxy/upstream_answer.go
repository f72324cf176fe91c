package proxy

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httputil"
	"net/textproto"
	"strconv"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// What is wrong with an answer. No error quotes it: it may hold tokens.
var (
	errLongSection = errors.New("a header section of the upstream's answer is too long")
	errLineEnd     = errors.New("the upstream's answer has a line that does not end with CRLF")
	errStatusLine  = errors.New("the upstream's answer does not begin with a status line of HTTP/1.1 or HTTP/1.0")
	errField       = errors.New("the upstream's answer has a malformed header field")
	errFraming     = errors.New("the upstream's answer does not say clearly how long it is")
	errInterim     = errors.New("the upstream sent too many interim answers")
	errSwitch      = errors.New("the upstream switched protocols without being asked to")
)

// maxInterim is how many interim answers (1xx) are read, and dropped, before an answer.
const maxInterim = 5

// upstreamExchange is an answer with what its body needs, in one piece of memory.
type upstreamExchange struct {
	res  http.Response
	body answerBody
}

// readAnswer reads the head of the answer (RFC 9112 §4 to §6) into x.res, as [http.ReadResponse] would, but refuses
// whatever two readers could understand in two ways: line ends other than CRLF, folded fields, blanks before a colon,
// codings other than chunked, chunked together with a length, two lengths.
func (x *upstreamExchange) readAnswer(req *http.Request) error {
	for range maxInterim + 1 {
		head, lines, err := readSection(x.body.conn.r, maxAnswerHead)
		if err != nil {
			return err
		}
		statusLine, fields, _ := strings.Cut(head, "\r\n")
		if err := parseStatusLine(statusLine, &x.res); err != nil {
			return err
		}
		if x.res.Header, err = parseFields(fields, lines-1); err != nil {
			return err
		}
		if x.res.StatusCode >= 200 {
			x.res.Request = req
			return x.frame(req)
		}
		if x.res.StatusCode == http.StatusSwitchingProtocols {
			return errSwitch
		}
		if x.res.Header["Content-Length"] != nil || x.res.Header["Transfer-Encoding"] != nil {
			return errFraming // an interim answer has no body (RFC 9110 §8.6)
		}
	}
	return errInterim
}

// readSection reads lines to the first empty one. It returns what stands before it, and how many lines that are.
func readSection(r *bufio.Reader, limit int) (section string, lines int, err error) {
	b := make([]byte, 0, 1<<10)
	for ; ; lines++ {
		start := len(b)
		for err = bufio.ErrBufferFull; err == bufio.ErrBufferFull; {
			var part []byte
			part, err = r.ReadSlice('\n')
			if b = append(b, part...); len(b) > limit {
				return "", 0, errLongSection
			}
		}
		switch {
		case err == io.EOF:
			return "", 0, io.ErrUnexpectedEOF
		case err != nil:
			return "", 0, err
		case !bytes.HasSuffix(b[start:], []byte("\r\n")):
			return "", 0, errLineEnd
		case len(b)-start == len("\r\n"):
			return string(b[:start]), lines, nil
		}
	}
}

// parseStatusLine reads "HTTP/1.1 200 OK". The blank behind the status is missing in the answers of many servers.
func parseStatusLine(line string, res *http.Response) error {
	proto, status, _ := strings.Cut(line, " ")
	if proto != "HTTP/1.1" && proto != "HTTP/1.0" {
		return errStatusLine
	}
	code, reason, _ := strings.Cut(status, " ")
	n, ok := digits(code)
	if !ok || len(code) != 3 || n < 100 || !httpguts.ValidHeaderFieldValue(reason) {
		return errStatusLine
	}
	res.Proto, res.ProtoMajor, res.ProtoMinor = proto, 1, int(proto[len(proto)-1]-'0')
	res.Status, res.StatusCode = status, int(n)
	return nil
}

// parseFields reads the lines of a header or trailer section (RFC 9112 §5).
func parseFields(section string, lines int) (http.Header, error) {
	h, one := make(http.Header, lines), make([]string, lines) // one holds the values of fields that occur once
	for section != "" {
		var line string
		line, section, _ = strings.Cut(section, "\r\n")
		name, value, ok := strings.Cut(line, ":")
		value = strings.Trim(value, " \t")
		if !ok || !httpguts.ValidHeaderFieldName(name) || !httpguts.ValidHeaderFieldValue(value) {
			return nil, errField
		}
		name = textproto.CanonicalMIMEHeaderKey(name)
		if values, again := h[name]; again {
			h[name] = append(values, value)
			continue
		}
		one[0] = value
		h[name], one = one[:1:1], one[1:]
	}
	return h, nil
}

// chunkedCoding is shared between answers, which is safe: nothing in net/http edits a value in place.
var chunkedCoding = []string{"chunked"}

// frame finds out how long the body is (RFC 9112 §6.3), and whether the connection can be used again behind it.
func (x *upstreamExchange) frame(req *http.Request) error {
	res, h := &x.res, x.res.Header
	length, err := contentLength(h)
	if err != nil {
		return err
	}
	chunked, err := isChunked(res)
	if err != nil || chunked && length >= 0 {
		return errFraming
	}
	if res.StatusCode == http.StatusNoContent && (chunked || length > 0) {
		return errFraming // the bytes would be the beginning of the next answer (§6.3 rule 1; RFC 9110 §8.6)
	}
	res.Close = wantsClose(h) || res.ProtoMinor == 0
	x.body.keep = x.body.keep && !res.Close && !req.Close && !wantsClose(req.Header)
	if chunked {
		res.TransferEncoding = chunkedCoding
		delete(h, "Transfer-Encoding")
		delete(h, "Trailer")
	}
	if h["Pragma"] != nil && h["Pragma"][0] == "no-cache" && h["Cache-Control"] == nil {
		h["Cache-Control"] = []string{"no-cache"} // as net/http has it
	}
	switch {
	case req.Method == http.MethodHead:
		res.ContentLength, length = length, 0
	case res.StatusCode == http.StatusNoContent || res.StatusCode == http.StatusNotModified:
		length = 0
	case chunked:
		res.ContentLength = -1
		x.body.chunks = httputil.NewChunkedReader(x.body.conn.r)
	default:
		res.ContentLength = length
	}
	if length == 0 {
		x.body.end(io.EOF)
		res.Body = http.NoBody
		return nil
	}
	if length < 0 && !chunked { // the end of the connection is the end of the body
		res.Close, x.body.keep = true, false
	}
	x.body.left = length
	res.Body = &x.body
	return nil
}

// contentLength is -1 without the field. Several fields with the same number are one, as RFC 9110 §8.6 allows.
func contentLength(h http.Header) (int64, error) {
	values := h["Content-Length"]
	if len(values) == 0 {
		return -1, nil
	}
	for _, value := range values[1:] {
		if value != values[0] {
			return 0, errFraming
		}
	}
	n, ok := digits(values[0])
	if !ok {
		return 0, errFraming
	}
	h["Content-Length"] = values[:1]
	return n, nil
}

// isChunked is an error for every other coding: nobody has asked for one.
func isChunked(res *http.Response) (bool, error) {
	values := res.Header["Transfer-Encoding"]
	switch {
	case len(values) == 0:
		return false, nil
	case len(values) > 1 || res.ProtoMinor == 0 || !strings.EqualFold(values[0], "chunked"):
		return false, errFraming
	}
	trailer := res.Header["Trailer"]
	if hasToken(trailer, "Content-Length") || hasToken(trailer, "Transfer-Encoding") || hasToken(trailer, "Trailer") {
		return false, errFraming
	}
	return true, nil
}

func wantsClose(h http.Header) bool {
	return httpguts.HeaderValuesContainsToken(h["Connection"], "close")
}

// digits reads a number without sign, blanks or anything else that strconv might take.
func digits(s string) (int64, bool) {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
	}
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil
}
