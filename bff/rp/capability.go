package rp

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// Capability is one thing that the configuration asks of the OP, beside what the OP says about it (DIS-10).
type Capability struct {
	Name    string // "client authentication"
	Asked   string // what the configuration asks for; "" when nothing
	Offered string // what the OP's metadata say; "" when they are silent
	Met     bool   // an OP with one that is not met is not used
	Advice  string // what to do when it is not met; when it is, what is worth knowing, or ""
}

func (row Capability) err() error {
	if row.Met {
		return nil
	}
	return fmt.Errorf("%s: %s", row.Name, row.Advice)
}

// Examine fetches the OP's metadata and compares them with the configuration, also where Load would refuse the OP. Load
// refuses it exactly when a row is not met, or when its keys are not usable. The error is ErrUnavailable when there is
// nothing to compare.
func (c *Client) Examine(ctx context.Context) ([]Capability, error) {
	doc, err := c.discover(ctx)
	if err != nil {
		return nil, err
	}
	_, rows := examine(doc, &c.cfg)
	return rows, nil
}

// examine reads a discovery document, and compares it with the configuration in a table. The metadata are to be used
// only when every row is met.
func examine(doc object, cfg *Config) (Metadata, []Capability) {
	e := &examination{doc: doc, cfg: cfg}
	e.identity()
	e.client()
	e.request()
	e.response()
	e.idToken()
	e.userinfo()
	e.scopes()
	e.logout()
	return e.metadata, e.rows
}

// examination is a discovery document on its way to becoming Metadata.
type examination struct {
	doc      object
	cfg      *Config
	metadata Metadata
	rows     []Capability
}

func (e *examination) add(row Capability) { e.rows = append(e.rows, row) }

// list adds a row about a list of the document: it must contain one of accepted, by default what is asked. A list that
// is absent says nothing.
func (e *examination) list(name, asked, member, advice string, accepted ...string) {
	if len(accepted) == 0 {
		accepted = []string{asked}
	}
	var list []string
	err := e.doc.read(member, &list)
	row := Capability{Name: name, Asked: asked, Offered: shownList(list)}
	switch {
	case err != nil:
		row.Advice = err.Error()
	case e.doc.has(member) && !slices.ContainsFunc(list, func(s string) bool { return slices.Contains(accepted, s) }):
		row.Advice = fmt.Sprintf("%s does not contain %s; %s", member, strings.Join(accepted, " or "), advice)
	default:
		row.Met = true
	}
	e.add(row)
}

// flag reads a boolean of the document. One of the wrong type gets a row of its own.
func (e *examination) flag(member string) bool {
	var v bool
	if err := e.doc.read(member, &v); err != nil {
		e.add(Capability{Name: "metadata", Advice: err.Error()})
	}
	return v
}

// refused reports whether the document says false, and not just nothing.
func (e *examination) refused(member string) bool { return e.doc.has(member) && !e.flag(member) }

// shownList is a list of the document for a person to read.
func shownList(list []string) string {
	const most = 12
	short := make([]string, 0, most+1)
	for _, s := range list[:min(len(list), most)] {
		short = append(short, shown(s))
	}
	if len(list) > most {
		short = append(short, "...")
	}
	return strings.Join(short, " ")
}

// shown is one word from outside, fit for a terminal and a log.
func shown(s string) string { return strings.ReplaceAll(printable(s), " ", "?") }

// printable is text from outside, fit for a terminal and a log: printable ASCII, and not much of it.
func printable(s string) string {
	const most = 200
	if len(s) > most {
		s = s[:most] + "..."
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, s)
}
