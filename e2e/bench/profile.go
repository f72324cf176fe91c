package main

import (
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

//go:embed testdata/profile.go
var profileSource string

// profiled returns the flags with which our program is built to write a profile, which it cannot do otherwise.
func (b *bench) profiled() (flags []string, linker string, err error) {
	if b.profile == "" {
		return nil, "", nil
	}
	source, err := b.write("profile.go", profileSource)
	if err != nil {
		return nil, "", err
	}
	added, err := filepath.Abs("../cmd/cloakroom/profile_of_the_bench.go")
	if err != nil {
		return nil, "", err
	}
	overlay, err := json.Marshal(map[string]map[string]string{"Replace": {added: source}})
	if err != nil {
		return nil, "", err
	}
	file, err := b.write("overlay.json", string(overlay))
	return []string{"-overlay", file}, " -X main.profileFile=" + b.profile, err
}

// recordProfile begins the profile of the first of our gateways, and returns how to end it.
func (b *bench) recordProfile(subjects []*subject) (end func() error, err error) {
	if b.profile == "" {
		return func() error { return nil }, nil
	}
	if err := os.Remove(b.profile); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	program := b.program("cloakroom")
	for _, s := range subjects {
		if s.Path == program {
			return func() error { return b.endProfile(s) }, s.Process.Signal(syscall.SIGUSR1)
		}
	}
	return nil, errors.New("-profile needs a party of ours: cached, uncached or memory")
}

func (b *bench) endProfile(s *subject) error {
	if err := s.Process.Signal(syscall.SIGUSR1); err != nil {
		return err
	}
	for range 100 {
		if _, err := os.Stat(b.profile); err == nil {
			return nil
		}
		<-time.After(50 * time.Millisecond)
	}
	return fmt.Errorf("%s has written no profile", s.party.name)
}
