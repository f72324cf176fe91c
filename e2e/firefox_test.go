package e2e_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// firefox is a Firefox with an empty profile, driven by Marionette, its own protocol for that. It accepts every
// certificate.
type firefox struct {
	t    *testing.T
	conn net.Conn
	r    *bufio.Reader
	next int // number of the next command
}

// startFirefox starts a Firefox in which these hosts are this machine.
func startFirefox(t *testing.T, hosts ...string) *firefox {
	t.Helper()
	port := freePort(t)
	profile := t.TempDir()
	writeFile(t, filepath.Join(profile, "user.js"), fmt.Sprintf(`
user_pref("marionette.port", %d);
user_pref("network.dns.localDomains", %q);
user_pref("network.proxy.type", 0);
user_pref("app.update.disabledForTesting", true);
user_pref("datareporting.policy.dataSubmissionEnabled", false);
user_pref("network.connectivity-service.enabled", false);
user_pref("network.captive-portal-service.enabled", false);
user_pref("services.settings.server", "data:,#remote-settings-dummy/v1");
user_pref("browser.safebrowsing.provider.mozilla.updateURL", "");
`, port, strings.Join(hosts, ",")))
	said := &transcript{}
	cmd := exec.Command(program(t, "firefox-esr", "firefox"),
		"--headless", "--marionette", "--no-remote", "--profile", profile)
	cmd.Env = append(os.Environ(), "HOME="+t.TempDir())
	cmd.Stdout, cmd.Stderr = said, said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	f := &firefox{t: t}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("Firefox wrote:\n%s", said)
		}
		if f.conn != nil {
			f.do("Marionette:Quit", map[string]any{"flags": []string{"eForceQuit"}})
			_ = f.conn.Close()
		} else {
			_ = cmd.Process.Kill()
		}
		_ = cmd.Wait() // how a browser ends is not what is tested
	})
	eventually(t, startTime, "Firefox", func() bool {
		conn, err := net.Dial("tcp", loopback(port))
		if err == nil {
			f.conn, f.r = conn, bufio.NewReader(conn)
		}
		return err == nil
	})
	f.read() // its greeting
	f.do("WebDriver:NewSession", map[string]any{"acceptInsecureCerts": true})
	return f
}

// read is one message, which follows its length in bytes and a colon.
func (f *firefox) read() []byte {
	f.t.Helper()
	_ = f.conn.SetReadDeadline(time.Now().Add(2 * pageTime))
	length, err := f.r.ReadString(':')
	if err != nil {
		f.t.Fatal("Firefox: ", err)
	}
	n, err := strconv.Atoi(strings.TrimSuffix(length, ":"))
	if err != nil {
		f.t.Fatal("Firefox: ", err)
	}
	message := make([]byte, n)
	if _, err := io.ReadFull(f.r, message); err != nil {
		f.t.Fatal("Firefox: ", err)
	}
	return message
}

// try sends a command and returns its result, or the error that Firefox answers with.
func (f *firefox) try(command string, parameters map[string]any) (result json.RawMessage, err error) {
	f.t.Helper()
	message, err := json.Marshal([]any{0, f.next, command, parameters})
	if err != nil {
		return nil, err
	}
	f.next++
	if _, err := fmt.Fprintf(f.conn, "%d:%s", len(message), message); err != nil {
		return nil, err
	}
	var parts []json.RawMessage // 1, number, error, result
	if err := json.Unmarshal(f.read(), &parts); err != nil || len(parts) != 4 {
		return nil, fmt.Errorf("not an answer: %w", err)
	}
	if string(parts[2]) != "null" {
		return nil, fmt.Errorf("%s: %s", command, parts[2])
	}
	return parts[3], nil
}

func (f *firefox) do(command string, parameters map[string]any) json.RawMessage {
	f.t.Helper()
	result, err := f.try(command, parameters)
	if err != nil {
		f.t.Fatal("Firefox: ", err)
	}
	return result
}

// visit opens an address.
func (f *firefox) visit(address string) {
	f.t.Helper()
	f.do("WebDriver:Navigate", map[string]any{"url": address})
}

// run runs a function body in the page, waits if it returns a promise, and returns the value as text. Between two
// documents there is nothing to ask, which is "".
func (f *firefox) run(body string) string {
	f.t.Helper()
	result, err := f.try("WebDriver:ExecuteScript", map[string]any{"script": body, "args": []any{}})
	if err != nil {
		return ""
	}
	var value struct{ Value any }
	if err := json.Unmarshal(result, &value); err != nil {
		f.t.Fatal("Firefox: ", err)
	}
	return fmt.Sprint(value.Value)
}
