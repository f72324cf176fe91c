package attack_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"
)

const patience = 10 * time.Second // with a gateway that does not answer

// answer is a response with its body.
type answer struct {
	*http.Response
	body string
	err  error // why the body ended too early
}

// send writes bytes on a connection of their own and returns what comes back until the gateway closes it.
func (a *application) send(t *testing.T, text string) []*answer {
	t.Helper()
	return parse(t, a.exchange(t, text))
}

// exchange is send, as bytes.
func (a *application) exchange(t *testing.T, text string) []byte {
	t.Helper()
	conn, err := net.Dial("tcp", a.address)
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	sent := make(chan error)
	go func() { // the gateway may not read on before somebody takes its answers
		_, err := io.WriteString(conn, text)
		sent <- err
	}()
	back, err := io.ReadAll(conn)
	conn.Close()
	if err := <-sent; err != nil && !isReset(err) && !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
	if err != nil && !isReset(err) {
		t.Errorf("the gateway has not closed the connection after %q: %v; so far %q", text, err, back)
	}
	return back
}

// isReset is the end of a connection on which the gateway had not read everything.
func isReset(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// parse cuts a stream into answers. What is no answer fails the test.
func parse(t *testing.T, stream []byte) []*answer {
	t.Helper()
	r := bufio.NewReader(bytes.NewReader(stream))
	var list []*answer
	for {
		if _, err := r.Peek(1); err == io.EOF {
			return list
		}
		res, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Errorf("after %d answers: %v in %q", len(list), err, stream)
			return list
		}
		body, err := io.ReadAll(res.Body)
		list = append(list, &answer{res, string(body), err})
	}
}

// describe is the status with what tells who has answered: the code of a problem of the gateway's, the request of an
// answer of the upstream's.
func (a *answer) describe() string {
	var problem struct{ Code string }
	switch {
	case a.err != nil:
		return fmt.Sprintf("%d broken off", a.StatusCode)
	case a.Header.Get("X-Upstream") != "":
		return fmt.Sprintf("%d %s", a.StatusCode, a.body)
	case json.Unmarshal([]byte(a.body), &problem) == nil && problem.Code != "":
		return fmt.Sprintf("%d %s", a.StatusCode, problem.Code)
	}
	return fmt.Sprint(a.StatusCode)
}

func describe(answers []*answer) string {
	texts := make([]string, len(answers))
	for i, a := range answers {
		texts[i] = a.describe()
	}
	return strings.Join(texts, ", ")
}

func decode(text string, into any) error { return json.Unmarshal([]byte(text), into) }
