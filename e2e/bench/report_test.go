package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// twoRounds is a report of two parties, of which the second round met a busier machine.
func twoRounds() *report {
	r := &report{
		settings: settings{rounds: 3, each: time.Second, payloads: payloads[:1], command: "go run ./bench"},
		subjects: []*subject{
			{party: party{name: "bare", title: "bare"}, version: "go1"},
			{party: party{name: "cached", title: "Cloakroom"}},
		},
		figures: map[cell][]figures{},
		memory:  map[string][]usage{},
	}
	for _, factor := range []time.Duration{1, 10, 2} {
		for name, cpu := range map[string]time.Duration{"bare": 50, "cached": 40} {
			c := cell{name, "small", saturated.name}
			r.figures[c] = append(r.figures[c], figures{cpu: factor * cpu * time.Microsecond, perSecond: 1000})
			c.manner = calm.name
			r.figures[c] = append(r.figures[c], figures{half: time.Millisecond, most: factor * time.Millisecond})
			r.memory[name] = append(r.memory[name], usage{resident: 20 << 20, peak: int64(20+factor) << 20})
		}
	}
	return r
}

func TestTable(t *testing.T) {
	t.Parallel()
	want := `| bare (go1) | 100 (1.00) |  |  |  | 1000 | 1.00 | 2.00 | 20 (30) |
| Cloakroom | 80 (0.80) |  |  |  | 1000 | 1.00 | 2.00 | 20 (30) |

Medians of 3 × 1s; a machine; ` + "`go run ./bench`\n"
	_, got, _ := strings.Cut(twoRounds().table("a machine"), "| --- |\n")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the table (-want +got):\n%s", diff)
	}
}

// TestRatioOfRound: what a round has met, both parties have met.
func TestRatioOfRound(t *testing.T) {
	t.Parallel()
	r := twoRounds()
	c := cell{"cached", "small", saturated.name}
	r.figures[c][0].cpu *= 100
	if got := r.ratio(c); got != "0.80" {
		t.Errorf("ratio %s, want that of the two other rounds", got)
	}
	if got := r.ratio(cell{"cached", "large", saturated.name}); got != "" {
		t.Errorf("ratio %q without a bare proxy", got)
	}
}

func TestReplaceTable(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ text, want string }{
		"first":     {"a\n" + tableBegin + "\n" + tableEnd + "\nb\n", "a\n" + tableBegin + "\nnew\n" + tableEnd + "\nb\n"},
		"again":     {tableBegin + "\nold\n\nold\n" + tableEnd, tableBegin + "\nnew\n" + tableEnd},
		"no marker": {"a\n", ""},
		"no end":    {tableBegin + "\n", ""},
	} {
		file := filepath.Join(t.TempDir(), "README.md")
		if err := os.WriteFile(file, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		err := replaceTable(file, "new\n")
		got, _ := os.ReadFile(file)
		if c.want == "" && (err == nil || string(got) != c.text) {
			t.Errorf("%s: %v, and the file is %q", name, err, got)
		}
		if c.want != "" && (err != nil || string(got) != c.want) {
			t.Errorf("%s: %v, and the file is %q, want %q", name, err, got, c.want)
		}
	}
}

func TestParse(t *testing.T) {
	t.Parallel()
	s, err := parse([]string{"-cloakroom", "old=/bin/sh", "-only", "bare,old", "-payload", "upload"})
	if err != nil {
		t.Fatal(err)
	}
	got := column(s.parties, func(p party) string { return p.name })
	if diff := cmp.Diff([]string{"bare", "old"}, got); diff != "" || len(s.payloads) != 1 || s.rounds != 5 {
		t.Errorf("%+v", s)
	}
	for _, bad := range []string{"-only=none", "-payload=huge", "-rounds=0", "-time=1ms", "-cloakroom=/bin/sh", "-cloakroom=a=/none", "x"} {
		if _, err := parse([]string{bad}); err == nil {
			t.Errorf("%s is taken", bad)
		}
	}
}

// TestDetails: every figure of a run is printed, also where a manner has none.
func TestDetails(t *testing.T) {
	t.Parallel()
	r := twoRounds()
	for _, s := range r.subjects {
		r.figures[cell{s.party.name, "small", paced.name}] = []figures{{}}
	}
	var text strings.Builder
	r.details(&text)
	if n := strings.Count(text.String(), "\n"); n != 1+3*len(r.subjects) {
		t.Errorf("%d lines:\n%s", n, text.String())
	}
}
