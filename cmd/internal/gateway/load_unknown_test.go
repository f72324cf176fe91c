package gateway

import "testing"

func TestUnknownKey(t *testing.T) {
	known := []string{"idle_timeout", "lifetime", "same_site"}
	client := []string{"client_id", "client_secret", "client_secret_file", "client_key_file", "client_cert_file"}
	for key, want := range map[string]string{
		"client_key":     "client_key_file",
		"client_cert":    "client_cert_file",
		"client_secrets": "client_secret",
	} {
		if got := unknownKey(key, client); got != "is not known; did you mean "+want+"?" {
			t.Errorf("%q: got %q, want %s", key, got, want)
		}
	}
	for key, want := range map[string]string{
		"idle_timout": "is not known; did you mean idle_timeout?",
		"sameSite":    "is not known; did you mean same_site?",
		"Lifetime":    "is not known; did you mean lifetime?",
		"lifetimes":   "is not known; did you mean lifetime?",
		"xyz":         "is not known; remove it or write one of idle_timeout, lifetime, same_site",
		"":            "is not known; remove it or write one of idle_timeout, lifetime, same_site",
	} {
		if got := unknownKey(key, known); got != want {
			t.Errorf("%q: got %q, want %q", key, got, want)
		}
	}
}

func TestEditDistance(t *testing.T) {
	for _, test := range []struct {
		a, b string
		want int
	}{
		{"", "", 0},
		{"a", "", 1},
		{"", "abc", 3},
		{"kitten", "sitting", 3},
		{"flaw", "lawn", 2},
		{"store", "store", 0},
	} {
		if got := editDistance(test.a, test.b); got != test.want {
			t.Errorf("editDistance(%q, %q) = %d, want %d", test.a, test.b, got, test.want)
		}
	}
}
