// Package optest is an OpenID Provider for tests and demonstrations: one http.Handler that does the code flow as the
// specifications ask, and does it wrong on request.
//
// A test starts one on a loopback port, sends a browser (or [Server.Visit]) to it, and looks at what it saw:
//
//	op := optest.Start(t, optest.Config{
//		Clients: []optest.Client{{ID: "app", Secret: "s", RedirectURIs: []string{"http://localhost/callback"}}},
//		Users:   []optest.User{{Subject: "alice", Claims: map[string]any{"name": "Alice"}}},
//	})
//	op.Fault(optest.WrongIssuer)               // from now on every ID token names another issuer
//	callback := op.Visit(authorizationURL)     // where the browser is sent: redirect_uri?code=...
//	op.Count(optest.TokenEndpoint)             // how often the client redeemed a code or a refresh token
//
// # What it does
//
//   - discovery (OpenID Connect Discovery 1.0 and RFC 8414) and a JWKS with rotation ([OP.RotateKeys])
//   - the authorization endpoint: code flow, PKCE with S256 only and always, state, nonce, prompt, max_age, acr_values,
//     login_hint, exact redirect_uri match, RFC 9207 iss in every answer, single sign-on by a cookie
//   - the token endpoint: authorization_code and refresh_token, client_secret_basic and client_secret_post, each
//     client by exactly the method it is registered for; a code works once; a refresh token is rotated and the use of
//     a rotated one revokes all that came from the same authorization (RFC 9700, 4.14.2)
//   - JWT access tokens (RFC 9068), ID tokens, userinfo, revocation (RFC 7009) and RP-initiated logout
//
// A refresh token is issued only when the scope offline_access was granted. Scopes that the client may not have are
// left out of the grant, and the token response says so. Claims about the user come from userinfo, not in ID tokens.
// An authentication context class is chosen by acr_values; asking for another one than the session has means signing
// in again.
//
// # Who signs in
//
// With Config.Pages nil nobody is asked: [Config.AutoUser], or whom [OP.SignIn] named last, is signed in and has
// consented to everything. With Pages the OP renders through them; [PlainPages] is a set without styles and scripts.
//
// # What it does wrong
//
// A [Fault] is one deviation, documented with the requirement that it exists to test. Faults are values: constants in
// spirit (WrongIssuer, NoNonce), constructors (Slow, Status, CallbackError), and the Edit functions for what nobody
// thought of. Several may be active; they are applied in the order in which they were given, just before the answer
// is signed or sent, on every answer until [OP.ClearFaults]. [OnRefresh] limits one to answers to refresh requests.
//
// # Not for production
//
// There are no passwords, clients' secrets are kept in clear, every request is recorded with all its secrets, and
// nothing is ever forgotten before the process ends.
package optest
