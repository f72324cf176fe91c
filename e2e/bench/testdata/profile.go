// This file is added to cmd/cloakroom for -profile, and is no part of the program otherwise.
package main

import (
	"os"
	"os/signal"
	"runtime/pprof"
	"syscall"
)

var profileFile string // set by the linker

// A first SIGUSR1 begins a CPU profile, the second ends it. The file is there when it is complete.
func init() {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGUSR1)
	go func() {
		<-signals
		part, err := os.Create(profileFile + ".part")
		if err != nil {
			panic(err)
		}
		if err := pprof.StartCPUProfile(part); err != nil {
			panic(err)
		}
		<-signals
		pprof.StopCPUProfile()
		if err := part.Close(); err != nil {
			panic(err)
		}
		if err := os.Rename(part.Name(), profileFile); err != nil {
			panic(err)
		}
	}()
}
