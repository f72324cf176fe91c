package main

import (
	"cmp"
	"fmt"
	"runtime"
	"runtime/debug"
)

// version and commit are set by release builds: go build -ldflags "-X main.version=v1.2.3 -X main.commit=abc123".
var version, commit string

// versionLine falls back to what the go command recorded in the binary.
func versionLine() string {
	revision, modified := "", ""
	v := version
	if info, ok := debug.ReadBuildInfo(); ok {
		v = cmp.Or(v, info.Main.Version)
		for _, s := range info.Settings {
			switch {
			case s.Key == "vcs.revision":
				revision = s.Value
			case s.Key == "vcs.modified" && s.Value == "true":
				modified = " with changes"
			}
		}
		revision += modified
	}
	return fmt.Sprintf("cloakroom %s, commit %s, %s", cmp.Or(v, "unknown"), cmp.Or(commit, revision, "unknown"), runtime.Version())
}
