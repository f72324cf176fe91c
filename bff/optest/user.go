package optest

import (
	"errors"
	"fmt"
	"maps"
	"slices"
)

// User is a person with an account at the OP. Claims are what userinfo may say: those of OpenID Connect Core, 5.1
// by their scope (5.4), all others always.
type User struct {
	Subject string
	Claims  map[string]any
}

// Name is what pages call the user: the claim name, else the subject.
func (u User) Name() string {
	if name, ok := u.Claims["name"].(string); ok {
		return name
	}
	return u.Subject
}

// AddUser registers a user, or replaces the one with the same subject.
func (op *OP) AddUser(u User) error {
	if u.Subject == "" {
		return errors.New("optest: a user needs a Subject")
	}
	if _, ok := u.Claims["sub"]; ok {
		return fmt.Errorf("optest: user %q: the claim sub is the Subject", u.Subject)
	}
	op.mu.Lock()
	defer op.mu.Unlock()
	same := func(other User) bool { return other.Subject == u.Subject }
	if i := slices.IndexFunc(op.users, same); i >= 0 {
		op.users[i] = u
	} else {
		op.users = append(op.users, u)
	}
	return nil
}

func (op *OP) user(subject string) (User, bool) {
	for _, u := range op.allUsers() {
		if u.Subject == subject {
			return u, true
		}
	}
	return User{}, false
}

func (op *OP) allUsers() []User {
	op.mu.Lock()
	defer op.mu.Unlock()
	return slices.Clone(op.users)
}

// scopeOfClaim is OpenID Connect Core, 5.4.
var scopeOfClaim = map[string]string{
	"name": "profile", "family_name": "profile", "given_name": "profile", "middle_name": "profile",
	"nickname": "profile", "preferred_username": "profile", "profile": "profile", "picture": "profile",
	"website": "profile", "gender": "profile", "birthdate": "profile", "zoneinfo": "profile", "locale": "profile",
	"updated_at": "profile",
	"email":      "email", "email_verified": "email",
	"address":      "address",
	"phone_number": "phone", "phone_number_verified": "phone",
}

// claimsFor returns what a client with these scopes may read about the user.
func (u User) claimsFor(scopes []string) map[string]any {
	claims := maps.Clone(u.Claims)
	if claims == nil {
		claims = map[string]any{}
	}
	maps.DeleteFunc(claims, func(name string, _ any) bool {
		scope := scopeOfClaim[name]
		return scope != "" && !slices.Contains(scopes, scope)
	})
	claims["sub"] = u.Subject
	return claims
}
