package e2e_test

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
)

// The OPs of the matrix.
const (
	panva   = "oidc-provider 9.13.3"
	luikyv  = "luikyv/go-oidc 0.22.0"
	zitadel = "zitadel/oidc 3.51.3"
)

// The rows of the matrix.
const (
	codeFlow      = "code flow, PKCE, API call"
	issParameter  = "`iss` in the response (RFC 9207)"
	secretBasic   = "`client_secret_basic`"
	secretPost    = "`client_secret_post`"
	secretJWT     = "`client_secret_jwt`"
	privateKeyJWT = "`private_key_jwt`"
	jwksURI       = "keys from `/bff/jwks.json`"
	tlsClient     = "`tls_client_auth`, endpoint aliases"
	selfSignedTLS = "`self_signed_tls_client_auth`, endpoint aliases"
	pushed        = "PAR (RFC 9126)"
	requestObject = "request object (RFC 9101) in PAR"
	queryJWT      = "JARM `query.jwt`"
	formPost      = "`form_post`"
	formPostJWT   = "JARM `form_post.jwt`"
	encrypted     = "encrypted ID token (JWE)"
	userinfo      = "userinfo"
	rotation      = "refresh with rotation"
	familyRevoked = "family revocation ends the session"
	rpLogout      = "logout at the OP and back"
	backchannel   = "back-channel logout"
	chainedLogin  = "as a client of another OP: login and logout through both"
)

var (
	matrixRows = []string{
		codeFlow, issParameter, secretBasic, secretPost, secretJWT, privateKeyJWT, jwksURI, tlsClient, selfSignedTLS, pushed,
		requestObject, queryJWT, formPost, formPostJWT, encrypted, userinfo, rotation, familyRevoked, rpLogout, backchannel,
		chainedLogin,
	}
	matrixOPs = []string{panva, luikyv, zitadel}
)

// matrix is what has run, and how it ended.
var matrix struct {
	sync.Mutex
	results map[[2]string]string // by row and OP
}

// proves says which rows a test is about. A row passes when every test about it has passed.
func proves(t *testing.T, op string, rows ...string) {
	t.Helper()
	t.Cleanup(func() {
		matrix.Lock()
		defer matrix.Unlock()
		if matrix.results == nil {
			matrix.results = map[[2]string]string{}
		}
		for _, row := range rows {
			if !slices.Contains(matrixRows, row) || !slices.Contains(matrixOPs, op) {
				t.Errorf("%q, %q is not in the matrix", row, op)
			}
			cell := [2]string{row, op}
			if t.Failed() {
				matrix.results[cell] = "FAIL"
			} else if matrix.results[cell] == "" {
				matrix.results[cell] = "pass"
			}
		}
	})
}

// printMatrix writes what has run as a table in Markdown; a dash is a combination that no test is about.
func printMatrix(w io.Writer) {
	matrix.Lock()
	defer matrix.Unlock()
	if len(matrix.results) == 0 {
		return
	}
	fmt.Fprintf(w, "| | %s |\n|---|%s\n", strings.Join(matrixOPs, " | "), strings.Repeat("---|", len(matrixOPs)))
	for _, row := range matrixRows {
		fmt.Fprintf(w, "| %s", row)
		for _, op := range matrixOPs {
			result := matrix.results[[2]string{row, op}]
			if result == "" {
				result = "–"
			}
			fmt.Fprintf(w, " | %s", result)
		}
		fmt.Fprintln(w, " |")
	}
}
