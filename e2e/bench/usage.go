package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// usage is what a program and its children have used of the machine. Pages that processes share count in each of them.
type usage struct {
	cpu      time.Duration // user and system
	resident int64         // bytes, VmRSS
	peak     int64         // bytes, VmHWM
}

func (p *process) usage() (usage, error) {
	var sum usage
	pids, err := family(p.Process.Pid)
	if err != nil {
		return sum, err
	}
	for _, pid := range pids {
		one, err := usageOf(pid)
		if err != nil {
			return sum, fmt.Errorf("%s: %w", filepath.Base(p.Path), err)
		}
		sum = usage{sum.cpu + one.cpu, sum.resident + one.resident, sum.peak + one.peak}
	}
	return sum, nil
}

// family is a process and all that come from it.
func family(pid int) ([]int, error) {
	pids := []int{pid}
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	if err != nil {
		return nil, err
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if errors.Is(err, os.ErrNotExist) { // a thread that has ended
			continue
		}
		if err != nil {
			return nil, err
		}
		for _, field := range strings.Fields(string(text)) {
			child, err := strconv.Atoi(field)
			if err != nil {
				return nil, err
			}
			more, err := family(child)
			if err != nil {
				return nil, err
			}
			pids = append(pids, more...)
		}
	}
	return pids, nil
}

// usageOf asks for one process. Its clock is the sum of utime and stime of /proc/PID/stat, where it is in hundredths of a
// second: too coarse for what a thousand requests take.
func usageOf(pid int) (usage, error) {
	var used unix.Timespec
	if err := unix.ClockGettime(processClock(pid), &used); err != nil {
		return usage{}, fmt.Errorf("the clock of process %d: %w", pid, err)
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return usage{}, err
	}
	resident, err1 := kilobytes(string(status), "VmRSS:")
	peak, err2 := kilobytes(string(status), "VmHWM:")
	return usage{time.Duration(used.Nano()), resident, peak}, errors.Join(err1, err2)
}

// processClock is clock_getcpuclockid(3).
func processClock(pid int) int32 {
	const scheduled = 2 // CPUCLOCK_SCHED of the kernel: time on a CPU
	return int32(^pid)<<3 | scheduled
}

// kilobytes reads a line of /proc/PID/status, in bytes.
func kilobytes(status, name string) (int64, error) {
	fields := strings.Fields(status)
	i := slices.Index(fields, name)
	if i < 0 {
		return 0, fmt.Errorf("/proc/PID/status has no %s", name)
	}
	n, err := strconv.ParseInt(fields[i+1], 10, 64)
	return n << 10, err
}
