// Package optest is an OpenID Provider for tests of relying parties and for demonstrations: one http.Handler that does
// the code flow as the specifications ask, and does it wrong on request.
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
// Nobody signs in by hand in such a test: the first user is signed in already. A test of a whole client gives it
// [OP.Issuer], follows its redirect with [Server.Visit], or [Server.Authorize] if the answer may be a form, and opens
// what that returns at the client. The first test is that a login succeeds; each further one adds a fault and asserts
// that it fails, what the browser was shown, and with [OP.Requests] that nothing was sent which should not have been.
//
// # What it does
//
//   - discovery (OpenID Connect Discovery 1.0 and RFC 8414) and a JWKS with rotation ([OP.RotateKeys])
//   - the authorization endpoint: code flow, PKCE with S256 only and always, state, nonce, prompt, max_age, acr_values,
//     login_hint, exact redirect_uri match, RFC 9207 iss in every answer, single sign-on by a cookie
//   - pushed authorization requests (RFC 9126), signed request objects (RFC 9101), resource indicators (RFC 8707) and
//     authorization_details (RFC 9396)
//   - answers by query, form_post, and as a JWT by either (JARM)
//   - the token endpoint: authorization_code and refresh_token; a code works once; a refresh token is rotated and the
//     use of a rotated one revokes all that came from the same authorization (RFC 9700, 4.14.2); client_credentials, and
//     the exchange of an access token for another (RFC 8693), of which [OP.AccessToken] tells for whom they are
//   - client authentication by secret, signed assertion or certificate, below
//   - JWT access tokens (RFC 9068), ID tokens, userinfo plain and signed, all encrypted where a client is registered
//     for it, and revocation (RFC 7009)
//   - RP-initiated logout, back-channel logout and front-channel logout, below
//
// A refresh token is issued only when the scope offline_access was granted. Scopes that the client may not have are
// left out of the grant, and the token response says so. Claims about the user come from userinfo, not in ID tokens.
// An authentication context class is chosen by acr_values; asking for another one than the session has means signing
// in again.
//
// # Client authentication
//
// [Client.AuthMethod] is the one method by which a client is known at the token, revocation and pushed authorization
// request endpoints. A client that tries another is refused with invalid_client, one that uses two at a time with
// invalid_request. Assertions (client_secret_jwt, private_key_jwt) are held to RFC 7523bis: typ is
// client-authentication+jwt, aud is the issuer as a string, exp is at most 60 seconds away (and 10 for the clocks), iat
// is there, and no jti comes twice. [Client.LegacyAudience] is for clients of older OPs.
//
// Certificates (RFC 8705) need [StartTLS], or an own listener and [Config.CertificateOrigin]. StartTLS serves two
// ports: the endpoints in the metadata never ask for a certificate, those in mtls_endpoint_aliases do. Access tokens of
// a client that came with a certificate are bound to it, and userinfo wants to see it. [Server.ClientCertificate] makes
// one, [EncodeCertificate] writes it for a program that reads files, [Server.CA] is what the program must trust.
//
// # Who signs in
//
// With Config.Pages nil nobody is asked: [Config.AutoUser], or whom [OP.SignIn] named last, is signed in and has
// consented to everything. With Pages the OP renders through them; [PlainPages] is a set without styles and scripts.
//
// # Logout
//
// When a session ends, at the end-session endpoint or by [OP.EndSessions], each client that got tokens in it and has a
// [Client.BackchannelLogoutURI] receives a logout token. The OP waits for the answers, which are the result of
// EndSessions and are kept in [OP.LogoutDeliveries]. [OP.LogoutToken] and [OP.SendLogoutToken] do the two halves for
// a test that wants to send a token twice, late, or by itself. Clients with a [Client.FrontchannelLogoutURI] are loaded
// in frames of the signed-out page. A user who signs in over another one ends that one's session unannounced.
//
// # What it does wrong
//
// A [Fault] is one deviation, documented with the requirement that it exists to test. Faults are values: constants in
// spirit (WrongIssuer, NoNonce), constructors (Slow, Status, CallbackError), and the Edit functions for what nobody
// thought of. Several may be active; they are applied in the order in which they were given, just before the answer
// is signed or sent, on every answer until [OP.ClearFaults]. [OnRefresh] limits one to answers to refresh requests,
// [Once] to the next request.
//
// The letters and numbers beside a fault (IDT-06, BCL-14) are the requirements of Cloakroom, for which this package was
// written: IDT the ID token, FLOW the authorization-code flow, RFR refresh, DIS discovery and keys, UIN userinfo, CA
// client authentication, PAR pushed requests, JRM responses in a JWT (JARM), EXT extensions, XOA token responses of
// unusual form, RPL and BCL RP-initiated and back-channel logout. "Allowed" marks what only looks wrong: a client has
// to accept it. A fault that has the name of another one behind Response, UserInfo or Logout ([ResponseBadSignature])
// does to JARM responses, signed userinfo or logout tokens what the other does to ID tokens.
//
// # Not for production
//
// There are no passwords, clients' secrets are kept in clear, every request is recorded with all its secrets, and
// nothing is ever forgotten before the process ends.
package optest
