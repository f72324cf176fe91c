// Package rp is us as a confidential client of one OpenID Provider: discovery, keys, client authentication, the
// authorization request and its response, the token endpoint, the ID token, userinfo, refresh, revocation, RP-initiated
// logout and the logout token.
//
// A [Client] is made from a [Config] and kept up to date by [Client.Run]:
//
//	client, err := rp.New(rp.Config{Issuer: "https://op.example.com", ClientID: "app", ...})
//	go client.Run(ctx)                                                // from now on Ready says whether logins work
//	address, expiresIn, err := client.AuthorizationURL(ctx, request)  // send the browser there
//	response, err := client.ReadResponse(ctx, r)                      // it came back, in the configured response mode
//	code, err := client.CheckResponse(response, state)                // and answers the request with this state
//	grant, err := client.Exchange(ctx, code, request)                 // verified tokens and claims
//	grant, err = client.Refresh(ctx, grant.RefreshToken, grant.Identity)
//
// Upstreams with access tokens of their own get them by [Client.RefreshFor], [Client.ExchangeToken] or, where there is no
// user, [Client.ClientCredentials].
//
// The client holds no user's data; what belongs to a login in flight ([AuthorizationRequest]) and to a session
// ([Grant]) is the caller's to keep. Nothing is sent twice: after [ErrUncertain] the outcome stays open.
//
// # What is held where
//
// By section of standards.md; each line has a test with its ID, in this package or in the one that is named:
//
//   - §2 FLOW, request: authorize.go (FLOW-01, 02 in form, 05, 16, 44, 45), capability.go (03), config.go (19).
//     Response: response.go (05, 10 to 13, 20, 26 to 28), errors.go (40). Token request: grant.go (15, 17),
//     token.go (30 to 32), http.go (29, 33). FLOW-04, 06 to 09, 14, 18, 22 to 25, 34 to 39 and 41 to 43 are about
//     browsers and sessions: package bff.
//   - §3 IDT: jose.go (02 to 08, 10, 11, 13, 19, 21 to 25, 30, for every JWT of the OP), idtoken.go (09, 12, 14,
//     16 to 18, 25, 29), mac.go (05), jwe.go (24), grant.go (01), keys.go (19, 20), [Identity] (31). IDT-15, 26
//     and 28: bff and session.
//   - §4.1 RFR-01 to 13: grant.go, and checkContinues in idtoken.go. RFR-28 and 29: errors.go and http.go. RFR-20
//     to 35 otherwise: package session.
//   - §5 DIS: discovery.go (01 to 07), capability.go and examination.go (10), rp.go (08, 09), keys.go (11 to 13),
//     jwk.go (14 to 17), http.go (18).
//   - §6 UIN: userinfo.go.
//   - §7 RPL-02 to 05: EndSessionURL. The others: package bff.
//   - §8 BCL-03 to 10 and 13 to 17: logouttoken.go. The endpoint, replays and sessions: packages bff and session.
//   - §10 FPM-01, 04: response.go. FPM-02, 03, 05 and TPI: package bff.
//   - §11 CA: clientauth.go (01 to 03, 11), assertion.go (04 to 08), clientkeys.go (08, 09, 14), mtls.go (12).
//   - §12: par.go (PAR-01 to 05), requestobject.go (JAR), jarm.go (JRM). PAR-06: cmd/internal/gateway.
//   - §14: authorize.go, grant.go and target.go (EXT-01), tokenexchange.go (03), logout.go (04), details.go (09),
//     errors.go (10). EXT-02, and 03 as far as it is about keeping tokens: session and cmd/internal/gateway. EXT-05:
//     nothing here looks into an access token. EXT-06 to 08: proxy, bff and cmd/internal/gateway.
//   - §18.1 GOI and §18.2 XOA: go-oidc verifies algorithm, signature, issuer and that we are in the audience;
//     x/oauth2 makes the PKCE challenge; neither of them makes a request.
//
// # What is not held, and why
//
// New refuses what it cannot do, and an OP that requires it is unusable and says so.
//
//   - FLOW-12: an iss that the OP does not announce is always refused. The option to take it has no key in the
//     configuration: an OP that sends iss can say so.
//   - FLOW-21: there is nothing to test; no function here knows a password.
//   - IDT-09: several audiences without azp are refused by IDT-08 unless trusted_audiences names them; azp is not
//     required then, since errata set 2 of Core asks those who do not use it to ignore it.
//   - IDT-27 is for whoever authorises by e-mail address; nothing here does.
//   - DIS-03: nothing to test; the issuer is a field of Config, and no function takes another.
//   - DIS-05, second half: there is no list of allowed hosts in the configuration.
//   - GOI-16: go-oidc takes an iss of accounts.google.com without its scheme, for Google's issuer only.
//   - RFR-05 has no leeway: a second replica of an OP whose clock is behind can fail a refresh.
//   - CA-06: that keys are distinct is checked by cmd/internal/gateway, at start.
//   - CA-08 "refused in FAPI mode": there is no such mode yet (§15). RS256 signs only where the key says alg
//     RS256.
//   - CA-10 is advice: deploy/README.md gives it.
//   - CA-13: a certificate-bound access token is of no use to an upstream, as the gateway shows upstreams no
//     certificate.
//   - CA-14: keys and certificates are read again when their files change; a client_secret is read at start. No
//     KMS.
//   - EXT-09 compares the types of the granted details with those asked for. An OP may enrich the rest (RFC 9396
//     §7.1).
//   - EXT-03 has no actor tokens: there is nobody else to act.
//   - §13 DPoP and §15 FAPI are later work.
//
// Userinfo is asked at login only, so claims that come from there are as old as the login.
package rp
