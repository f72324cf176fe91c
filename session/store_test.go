package session

import "testing"

// IDT-26: a user is the pair of issuer and subject; the same subject at another OP is somebody else, however the two
// are spelled.
func TestSubjectsOfDifferentIssuers(t *testing.T) {
	alice := SubjectIndex("https://op.example", "alice")
	for _, other := range []Index{
		SubjectIndex("https://other.example", "alice"), SubjectIndex("https://op.example/", "alice"),
		SubjectIndex("https://op.examplea", "lice"), SubjectIndex("https://op.example", "Alice"),
		SIDIndex("https://op.example", "alice"),
	} {
		if other == alice {
			t.Error("two users share an index")
		}
	}
}
