package main

import (
	"errors"
	"flag"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// settings are the flags.
type settings struct {
	parties  []party
	payloads []payload
	rounds   int
	each     time.Duration
	write    string // a file, or ""
	profile  string // a file, absolute, or ""
	command  string // the whole line
}

func parse(arguments []string) (s settings, err error) {
	all := slices.Clone(parties)
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.IntVar(&s.rounds, "rounds", 5, "how often everything is measured")
	flags.DurationVar(&s.each, "time", 1500*time.Millisecond, "how long one measurement takes")
	flags.StringVar(&s.write, "write", "", "the `file` that gets the table, between "+tableBegin+" and "+tableEnd)
	flags.StringVar(&s.profile, "profile", "",
		"the `file` that gets a CPU profile of the first party of this tree, which costs a little")
	only := flags.String("only", "", "`parties` by their names, with commas between them (default all):\n"+
		strings.Join(column(parties, func(p party) string { return p.name }), ", "))
	kinds := flags.String("payload", "", "`kinds` of requests: small, large, upload (default all)")
	flags.Func("cloakroom", "`NAME=PATH` of another build, measured like the party cached; may be repeated",
		func(value string) error {
			name, path, ok := strings.Cut(value, "=")
			if !ok {
				return errors.New("it is not NAME=PATH")
			}
			path, err := exec.LookPath(path)
			program := func(*bench) (string, error) { return path, nil }
			all = append(all, party{name, "Cloakroom " + name, cloakroom(program, "on", true)})
			return err
		})
	if err := flags.Parse(arguments); err != nil {
		return s, err
	}
	s.command = strings.Join(append([]string{"go run ./bench"}, arguments...), " ")
	if s.profile != "" {
		if s.profile, err = filepath.Abs(s.profile); err != nil {
			return s, err
		}
	}
	if flags.NArg() > 0 || s.rounds < 1 || s.each < 100*time.Millisecond {
		return s, errors.New("nothing but flags, at least one round, and at least 100ms for each measurement")
	}
	var unknown error
	s.parties, err = choose(all, *only, func(p party) string { return p.name })
	s.payloads, unknown = choose(payloads, *kinds, func(p payload) string { return p.name })
	return s, errors.Join(err, unknown)
}

// choose returns those that are named, or all if none is.
func choose[T any](all []T, names string, name func(T) string) (chosen []T, err error) {
	if names == "" {
		return all, nil
	}
	for want := range strings.SplitSeq(names, ",") {
		i := slices.IndexFunc(all, func(one T) bool { return name(one) == want })
		if i < 0 {
			return nil, fmt.Errorf("there is no %q", want)
		}
		chosen = append(chosen, all[i])
	}
	return chosen, nil
}
