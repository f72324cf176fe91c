// Package bff is the browser's side of Cloakroom: the endpoints under /bff that start and finish a login, tell a page
// who is signed in, keep a session alive and end it.
//
// A newcomer reads it in the order of a visit: login.go sends the browser to the provider and flow.go remembers why, in
// a sealed cookie; callback.go finishes the flow and makes the session; landing.go is the page after it; session.go and
// user.go answer the application's questions; logout.go ends what login.go began; sessions.go does so for the user's
// other sessions. initiate.go is the login that another site starts, stepup.go the one that an upstream wants.
// backchannel.go and frontchannel.go hear from the provider that somebody has signed out there, and events.go tells the
// pages. returnurl.go decides which addresses a login may return to, cookie.go names every cookie, page.go draws the few
// pages.
//
// Handlers return errors, mostly [problem.Error] values; the gateway writes them. What a request may come from
// (contract.md "CSRF") is decided before a handler runs, by the gateway's one choke point; handlers say in their comment
// which rule they rely on.
//
// Talking to the provider is package rp's, keeping the session is package session's. Nothing here reads a token.
package bff
