package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strings"
	"time"
)

var versionNumber = regexp.MustCompile(`\d+\.\d+(\.\d+)*`)

// versionOf asks a program, or says "?".
func versionOf(program string, arguments ...string) string {
	text, err := exec.Command(program, arguments...).CombinedOutput()
	if _, exited := errors.AsType[*exec.ExitError](err); err != nil && !exited { // wrk -v fails
		return "?"
	}
	if number := versionNumber.Find(text); number != nil {
		return string(number)
	}
	return "?"
}

var moduleVersion = regexp.MustCompile(`mod_auth_openidc-(\d+(\.\d+)*)`)

// versionOfModule finds what the module would write into the log.
func versionOfModule(file string) (string, error) {
	code, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	if found := moduleVersion.FindSubmatch(code); found != nil {
		return string(found[1]), nil
	}
	return "?", nil
}

// surroundings is when and where a run was made, with what.
func (b *bench) surroundings() string {
	text := fmt.Sprintf("%s, %d × %s, Linux %s, %s, wrk %s", time.Now().Format(time.DateOnly), runtime.NumCPU(), processor(),
		kernel(), runtime.Version(), versionOf("wrk", "-v"))
	if b.redis != nil {
		text += ", Redis " + versionOf(b.redis.Path, "-v")
	}
	return text
}

func processor() string {
	text, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return "CPU"
	}
	_, rest, _ := strings.Cut(string(text), "model name")
	line, _, _ := strings.Cut(rest, "\n")
	return strings.Trim(line, "\t :")
}

func kernel() string {
	text, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return "?"
	}
	return strings.TrimSpace(string(text))
}
