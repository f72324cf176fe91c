// Command upstream is the API behind every party of the bench. It serves nobody without a bearer token, and counts whom
// it serves: what a party answers by itself is no answer.
package main

import (
	"bytes"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
)

func main() {
	if len(os.Args) != 2 {
		log.Fatal("usage: upstream LISTEN")
	}
	var (
		orders = `[` + strings.Repeat(`{"id":17,"item":"coat","state":"kept"},`, 7) + `{"id":18}]`
		small  = content("application/json", []byte(orders))
		large  = content("application/octet-stream", bytes.Repeat([]byte("x"), 1<<20))
		served atomic.Int64
	)
	log.Fatal(http.ListenAndServe(os.Args[1], http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/served" {
			fmt.Fprint(w, served.Load())
			return
		}
		if !strings.HasPrefix(r.Header.Get("Authorization"), "Bearer ") {
			http.Error(w, "no bearer token", http.StatusForbidden)
			return
		}
		served.Add(1)
		switch r.URL.Path {
		case "/api/small":
			small(w)
		case "/api/large":
			large(w)
		case "/api/upload":
			if n, err := io.Copy(io.Discard, r.Body); err != nil || n != r.ContentLength {
				http.Error(w, "the body broke off", http.StatusBadRequest)
				return
			}
			small(w)
		case "/api/token":
			fmt.Fprint(w, r.Header.Get("Authorization"))
		default:
			http.NotFound(w, r)
		}
	})))
}

func content(kind string, body []byte) func(http.ResponseWriter) {
	length := []string{strconv.Itoa(len(body))}
	return func(w http.ResponseWriter) {
		header := w.Header()
		header["Content-Type"] = []string{kind}
		header["Content-Length"] = length
		_, _ = w.Write(body) // a client that has gone is no matter
	}
}
