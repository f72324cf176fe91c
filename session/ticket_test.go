package session_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/cloakroom/cloakroom/session"
)

// TestTicket is CK-07, CK-08 and SES-04.
func TestTicket(t *testing.T) {
	ticket := session.NewTicket()
	text := ticket.Reveal()
	if len(text) != 43 {
		t.Errorf("%d characters", len(text))
	}
	again, err := session.ParseTicket(text)
	must(t, err)
	if again.ID() != ticket.ID() || again.Reveal() != text {
		t.Error("another ticket")
	}
	if strings.Contains(string(ticket.ID()), text) || session.NewTicket().Reveal() == text {
		t.Error("the id is the ticket, or tickets repeat")
	}
	if ticket.Proof("a") == ticket.Proof("b") || ticket.Proof("a") == session.NewTicket().Proof("a") {
		t.Error("proofs are equal")
	}
}

func FuzzParseTicket(f *testing.F) {
	f.Add(session.NewTicket().Reveal())
	f.Add("")
	f.Add(strings.Repeat("A", 42) + "B") // bits that no encoder sets
	f.Add(strings.Repeat("A", 43) + "=")
	f.Add(strings.Repeat("A", 43) + "\n")
	f.Fuzz(func(t *testing.T, text string) {
		ticket, err := session.ParseTicket(text)
		if err != nil {
			if !errors.Is(err, session.ErrTicket) {
				t.Errorf("error %v", err)
			}
			return
		}
		if ticket.Reveal() != text || len(text) != 43 {
			t.Errorf("%q is read as %q", text, ticket.Reveal())
		}
	})
}
