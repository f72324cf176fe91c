package gateway

import (
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/cloakroom/cloakroom/proxy"
	"github.com/cloakroom/cloakroom/session/secret"
)

// testOutside is a process with a few environment variables, whose files are those of testdata.
var testOutside = Outside{
	Env: func(name string) (string, bool) {
		value, set := map[string]string{
			"CLIENT_SECRET": "from-the-environment",
			"LONG_SECRET":   "from-the-environment-with-32-octets",
			"HOST":          "app.internal",
			"ALLOW_MEMORY":  "true",
			"EMPTY":         "",
		}[name]
		return value, set
	},
	ReadFile:   func(name string) ([]byte, error) { return readFile(filepath.Join("testdata", name)) },
	OpenFolder: func(name string) (fs.FS, error) { return openFolder(filepath.Join("testdata", name)) },
}

// TestBadFiles has one broken file per rule. Each names the exact messages it must give.
func TestBadFiles(t *testing.T) {
	for _, file := range glob(t, "testdata/bad-*.yaml") {
		name := filepath.Base(file)
		t.Run(strings.TrimSuffix(name, ".yaml"), func(t *testing.T) {
			data := read(t, file)
			var want []string
			for line := range strings.Lines(string(data)) {
				if message, ok := strings.CutPrefix(line, "# want: "); ok {
					want = append(want, strings.TrimSuffix(message, "\n"))
				}
			}
			_, err := Parse(name, data, testOutside)
			if err == nil {
				t.Fatal("the file is accepted")
			}
			if diff := cmp.Diff(want, strings.Split(err.Error(), "\n")); diff != "" {
				t.Errorf("messages (-want +got):\n%s", diff)
			}
			for _, value := range []string{"hunter2", "from-the-environment", "from-a-file"} {
				if strings.Contains(err.Error(), value) {
					t.Errorf("a message shows the secret %s", value)
				}
			}
		})
	}
}

func TestGoodFiles(t *testing.T) {
	for _, file := range glob(t, "testdata/good-*.yaml") {
		if _, err := Parse(filepath.Base(file), read(t, file), testOutside); err != nil {
			t.Error(err)
		}
	}
}

// TestByteOrderMark: what some editors put in front of a file is no part of its first key.
func TestByteOrderMark(t *testing.T) {
	if _, err := Parse("bom.yaml", append([]byte("\ufeff"), read(t, "testdata/good-minimal.yaml")...), testOutside); err != nil {
		t.Error(err)
	}
}

// TestDefaults compares the minimal file with the values that contract.md writes out.
func TestDefaults(t *testing.T) {
	minimal := parseGood(t, "good-minimal.yaml")
	contract := parseGood(t, "good-contract.yaml")

	// What the two files say differently on purpose.
	contract.PublicURL = minimal.PublicURL
	contract.Providers[0].Issuer = minimal.Providers[0].Issuer
	contract.Routes[0].Upstream = minimal.Routes[0].Upstream
	contract.Session.AllowMemory = false
	if diff := cmp.Diff(contract, minimal, compareConfig); diff != "" {
		t.Errorf("defaults (-contract.md +got):\n%s", diff)
	}
}

// TestConfigNeverPrintsSecrets is BFF-03: a configuration that is logged by mistake shows no credential, not even one
// that was written into the store's URL.
func TestConfigNeverPrintsSecrets(t *testing.T) {
	text := fmt.Sprintf("%+v", *parseGood(t, "good-full.yaml"))
	for _, value := range []string{"from-the-environment", "from-a-file", "a$$b"} {
		if strings.Contains(text, value) {
			t.Errorf("%s is printed", value)
		}
	}
}

// TestStaticStaysInside: no symbolic link leads out of the folder of a static route.
func TestStaticStaysInside(t *testing.T) {
	outer := t.TempDir()
	dist := filepath.Join(outer, "dist")
	for _, err := range []error{
		os.Mkdir(dist, 0o755),
		os.WriteFile(filepath.Join(outer, "secret"), []byte("x"), 0o600),
		os.Symlink("../secret", filepath.Join(dist, "link")),
		os.WriteFile(filepath.Join(dist, "index.html"), []byte("x"), 0o600),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	folder, err := openFolder(dist)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fs.ReadFile(folder, "index.html"); err != nil {
		t.Error(err)
	}
	if _, err := fs.ReadFile(folder, "link"); err == nil {
		t.Error("a link out of the folder was followed")
	}
}

func TestLoad(t *testing.T) {
	t.Setenv("CLIENT_SECRET", "x")
	t.Chdir("testdata")
	if _, err := Load("good-minimal.yaml"); err != nil {
		t.Error(err)
	}
	_, err := Load("no-such-file.yaml")
	if want := "no-such-file.yaml: cannot be read: no such file or directory"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	huge := filepath.Join(t.TempDir(), "huge.yaml")
	if err := os.WriteFile(huge, make([]byte, maxFile+1), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(huge); err == nil || !strings.Contains(err.Error(), "longer than") {
		t.Errorf("a file beyond the limit: %v", err)
	}
}

// TestValidate checks a configuration that no file stands behind: the messages have no place, the rules are the same.
func TestValidate(t *testing.T) {
	config := parseGood(t, "good-full.yaml")
	if err := config.Validate(); err != nil {
		t.Fatal(err)
	}
	config.PublicURL = nil
	config.Routes[0].CSRF = "none"
	want := "public_url: is missing; write the origin that browsers see, such as https://app.example.com\n" +
		"routes[0].csrf: none goes with token: none only, for other sites could act in the user's name; write header"
	if err := config.Validate(); err == nil || err.Error() != want {
		t.Errorf("got %v\nwant %s", err, want)
	}
}

// FuzzParse: no file makes loading panic, and whatever is accepted is valid.
func FuzzParse(f *testing.F) {
	for _, pattern := range []string{"testdata/good-*.yaml", "testdata/bad-*.yaml"} {
		for _, file := range glob(f, pattern) {
			f.Add(read(f, file))
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		config, err := Parse("fuzz.yaml", data, testOutside)
		if err != nil {
			if strings.Count(err.Error(), "\n") != len(err.(Errors))-1 {
				t.Errorf("an error is longer than a line: %q", err)
			}
			return
		}
		if err := config.Validate(); err != nil {
			t.Error(err)
		}
	})
}

// compareConfig tells an empty list from an absent one no more than the gateway does.
var compareConfig = cmp.Options{
	cmpopts.EquateEmpty(),
	cmpopts.IgnoreFields(proxy.Route{}, "Static"),
	cmp.Comparer(secret.String.Equal),
	cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }),
}

func parseGood(t *testing.T, name string) *Config {
	t.Helper()
	config, err := Parse(name, read(t, filepath.Join("testdata", name)), testOutside)
	if err != nil {
		t.Fatal(err)
	}
	return config
}

func glob(t testing.TB, pattern string) []string {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("no file matches %s: %v", pattern, err)
	}
	return files
}

func read(t testing.TB, file string) []byte {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
