package proxy

import (
	"bufio"
	"net/http"
	"testing"
)

// TestExpect is PX-17: an expectation that the upstream could read otherwise than net/http, which has answered it, does
// not go up.
func TestExpect(t *testing.T) {
	t.Parallel()
	g := newGateway(t, alice, &Route{Path: "/", Upstream: newEcho(t), Token: TokenUser})
	for fields, want := range map[string]int{
		"Expect: 100-continue\r\n":                         1,
		"Expect: 100-Continue\r\n":                         1,
		"Expect: y 100-continue\r\n":                       0,
		"Expect: 100-continue, x\r\n":                      0,
		"Expect: 100-continue\r\nExpect: 100-continue\r\n": 0,
	} {
		read := bufio.NewReader(g.send(t, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n"+fields+"Connection: close\r\n\r\nok"))
		res, err := http.ReadResponse(read, nil)
		if err == nil && res.StatusCode == http.StatusContinue {
			res, err = http.ReadResponse(read, nil)
		}
		if err != nil {
			t.Fatalf("%q: %v", fields, err)
		}
		if got := readEcho(t, res); len(got.Header["Expect"]) != want || got.Body != "ok" {
			t.Errorf("%q: the upstream got %q and %q", fields, got.Header["Expect"], got.Body)
		}
	}
}
