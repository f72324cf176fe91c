package rp_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cloakroom/cloakroom/bff/optest"
	"github.com/cloakroom/cloakroom/bff/rp"
)

// TestRun: an OP that is down at the start is waited for with growing pauses (DIS-09); later the last good copy serves,
// and changed endpoints are taken over and logged (DIS-08).
func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		op, err := optest.New(optest.Config{Issuer: "https://op.example.com"})
		if err != nil {
			t.Fatal(err)
		}
		log := &buffer{}
		cfg := goodConfig()
		cfg.HTTPClient = &http.Client{Transport: inProcess{op}}
		cfg.Logger = slog.New(slog.NewTextHandler(log, nil))
		client, err := rp.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		if err := client.Ready(); !errors.Is(err, rp.ErrUnavailable) {
			t.Errorf("Ready before Run: %v", err)
		}

		op.Fault(optest.Status(optest.MetadataEndpoint, 503))
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- client.Run(ctx) }()

		time.Sleep(time.Hour)
		if n := op.Count(optest.MetadataEndpoint); n < 60 || n > 90 {
			t.Errorf("%d attempts in an hour, want about one a minute", n)
		}
		if err := client.Ready(); !errors.Is(err, rp.ErrUnavailable) || !strings.Contains(err.Error(), "503") {
			t.Errorf("Ready while down: %v", err)
		}

		op.ClearFaults()
		time.Sleep(time.Minute)
		if err := client.Ready(); err != nil {
			t.Errorf("Ready a minute after the OP came back: %v", err)
		}

		op.Fault(optest.Status(optest.MetadataEndpoint, 503))
		time.Sleep(time.Hour)
		if err := client.Ready(); err != nil {
			t.Errorf("Ready while the OP is down again: %v", err)
		}

		op.ClearFaults()
		op.Fault(optest.Metadata("token_endpoint", "https://op.example.com/token2"))
		time.Sleep(time.Minute)
		m, err := client.Metadata()
		if err != nil || m.TokenEndpoint != "https://op.example.com/token2" {
			t.Errorf("Metadata after a change: %+v, %v", m, err)
		}
		if !strings.Contains(log.String(), "the OP's metadata changed") || !strings.Contains(log.String(), "/token2") {
			t.Errorf("the change was not logged:\n%s", log)
		}

		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
}
