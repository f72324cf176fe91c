package attack_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

const pipelined = 16 // requests that are sent before their answers are read

// pipeline sends a GET for every target over few connections and calls each with its answer, which is nil when the
// connection was closed in its place. A server that closes it after one request is asked the rest on another.
func pipeline(address string, targets, fields []string, each func(target string, got *answer)) error {
	for len(targets) > 0 {
		batch := targets[:min(pipelined, len(targets))]
		n, err := send(address, batch, fields, each)
		if err != nil {
			return err
		}
		if n == 0 { // answered, and then reset because of the requests behind it?
			if n, err = send(address, batch[:1], fields, each); err != nil {
				return err
			}
		}
		if n == 0 {
			each(batch[0], nil)
			n = 1
		}
		targets = targets[n:]
	}
	return nil
}

// send is one connection. It returns how many requests were answered.
func send(address string, batch, fields []string, each func(string, *answer)) (int, error) {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(startTime)); err != nil {
		return 0, err
	}
	var text strings.Builder
	for _, target := range batch {
		text.WriteString(message("GET "+target+" HTTP/1.1", fields...))
	}
	_, _ = io.WriteString(conn, text.String()) // a server that has closed is seen below
	r := bufio.NewReader(conn)
	for i, target := range batch {
		res, err := http.ReadResponse(r, nil)
		if err != nil {
			return i, nil
		}
		body, err := io.ReadAll(res.Body)
		if err != nil {
			return i, nil
		}
		each(target, &answer{Response: res, body: string(body)})
		if res.Close {
			return i + 1, nil
		}
	}
	return len(batch), nil
}
