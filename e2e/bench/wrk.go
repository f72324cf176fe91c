package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// wrkScript sets the body, and prints what is said below in place of wrk's own report.
const wrkScript = `
wrk.method = "%s"
if %d > 0 then
	wrk.body = string.rep("x", %[2]d)
end
function done(summary, latency)
	local e = summary.errors
	io.stderr:write(string.format(
		'{"Requests":%%d,"Microseconds":%%d,"Half":%%d,"Most":%%d,"Errors":%%d}',
		summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
		e.connect + e.read + e.write + e.status + e.timeout))
end
`

// closedLoop is what wrk has seen: each connection sends the next request when it has the answer to the last.
type closedLoop struct {
	Requests     int
	Microseconds int64
	Half, Most   int64 // of 100 requests, in microseconds
	Errors       int   // no answer, or a status of 400 and above
}

// wrk sends requests for some time over these connections, from one thread.
func (b *bench) wrk(s *subject, p payload, connections int, d time.Duration) (closedLoop, error) {
	script, err := b.write(p.name+".lua", fmt.Sprintf(wrkScript, p.method, p.body))
	if err != nil {
		return closedLoop{}, err
	}
	arguments := []string{"-t", "1", "-c", strconv.Itoa(connections), "-d", "1h", "-s", script}
	for _, field := range s.request(p) {
		arguments = append(arguments, "-H", field)
	}
	cmd := exec.CommandContext(b.ctx, "wrk", append(arguments, "http://"+s.address+p.path)...)
	var report bytes.Buffer
	cmd.Stderr = &report
	if err := cmd.Start(); err != nil {
		return closedLoop{}, err
	}
	// wrk counts time in whole seconds; at SIGINT it reports what it has.
	timer := time.AfterFunc(d, func() { _ = cmd.Process.Signal(os.Interrupt) })
	defer timer.Stop()
	if err := cmd.Wait(); err != nil {
		return closedLoop{}, fmt.Errorf("wrk: %w: %s", err, report.Bytes())
	}
	var got closedLoop
	if err := json.Unmarshal(report.Bytes(), &got); err != nil {
		return closedLoop{}, fmt.Errorf("wrk: %w: %s", err, strings.TrimSpace(report.String()))
	}
	if got.Errors > 0 {
		return got, fmt.Errorf("wrk: %d of %d requests failed", got.Errors, got.Requests)
	}
	return got, nil
}
