// Command bench measures what Cloakroom costs, beside the bare httputil.ReverseProxy, and beside other gateways and
// proxies that are installed, all in one run on one machine. It has to be run in the folder e2e.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, arguments []string, out io.Writer) error {
	s, err := parse(arguments)
	if err != nil {
		return err
	}
	b, err := open(ctx, s.profile)
	if b != nil {
		defer b.close()
	}
	if err != nil {
		return err
	}
	r := &report{settings: s, figures: map[cell][]figures{}, memory: map[string][]usage{}}
	if r.subjects, err = b.openAll(s.parties, out); err != nil {
		return err
	}
	endProfile, err := b.recordProfile(r.subjects)
	if err != nil {
		return err
	}
	for round := range s.rounds {
		for i := range r.subjects {
			one := r.subjects[(round+i)%len(r.subjects)]
			if err := b.turn(one, r); err != nil {
				return fmt.Errorf("%s: %w", one.party.name, err)
			}
		}
		fmt.Fprintf(out, "round %d of %d\n", round+1, s.rounds)
	}
	if err := endProfile(); err != nil {
		return err
	}
	r.details(out)
	table := r.table(b.surroundings())
	fmt.Fprintf(out, "\n%s", table)
	if s.write == "" {
		return nil
	}
	return replaceTable(s.write, table)
}

// openAll starts the parties that are there, and looks whether they do what they should.
func (b *bench) openAll(parties []party, out io.Writer) (subjects []*subject, err error) {
	for _, p := range parties {
		s, err := p.open(b, p.name)
		if errors.Is(err, exec.ErrNotFound) {
			fmt.Fprintf(out, "%s is absent: %v\n", p.name, err)
			continue
		}
		if err == nil {
			err = b.check(s)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", p.name, err)
		}
		s.party = p
		subjects = append(subjects, s)
		fmt.Fprintf(out, "%s %s\n", p.name, s.version)
	}
	return subjects, nil
}

// turn measures everything about one party once.
func (b *bench) turn(s *subject, r *report) error {
	for _, p := range r.payloads {
		if _, err := b.wrk(s, p, saturated.connections, warmUp); err != nil {
			return err
		}
		for _, m := range p.manners() {
			f, err := b.measure(s, p, m, r.each)
			if err != nil {
				return fmt.Errorf("%s, %s: %w", p.name, m.name, err)
			}
			c := cell{s.party.name, p.name, m.name}
			r.figures[c] = append(r.figures[c], f)
		}
	}
	used, err := s.usage()
	r.memory[s.party.name] = append(r.memory[s.party.name], used)
	return err
}
