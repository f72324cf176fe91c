package main

import (
	"context"
	"flag"
	"fmt"
	"io"

	"github.com/cloakroom/cloakroom/cmd/internal/gateway"
)

// sessions lists or ends the sessions of a running gateway.
func sessions(ctx context.Context, args []string, stdout io.Writer) error {
	if len(args) == 0 {
		return usageError("sessions needs list or end")
	}
	name, args := args[0], args[1:]
	if name != "list" && name != "end" {
		return usageError("sessions needs list or end, not " + name)
	}
	flags := flag.NewFlagSet("sessions "+name, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	var which gateway.Selection
	flags.StringVar(&which.ID, "id", "", "")
	flags.StringVar(&which.Subject, "sub", "", "")
	flags.StringVar(&which.SID, "sid", "", "")
	flags.StringVar(&which.Provider, "provider", "", "")
	admin, tokenFile := flags.String("admin", "127.0.0.1:9090", ""), flags.String("token-file", "", "")
	asJSON := false
	if name == "list" {
		flags.BoolVar(&asJSON, "json", false, "")
	}
	if err := parse(flags, args, nil); err != nil {
		return err
	}
	switch {
	case which.ID != "" && which != (gateway.Selection{ID: which.ID}):
		return usageError(flags.Name() + ": -id goes without -sub, -sid and -provider")
	case name == "end" && which.ID == "" && which.Subject == "" && which.SID == "":
		return usageError("sessions end needs -id, -sub or -sid")
	}
	client, err := gateway.NewAdminClient(stdout, *admin, *tokenFile)
	if err != nil {
		return fmt.Errorf("cloakroom: %w", err)
	}
	if name == "list" {
		err = client.List(ctx, which, asJSON)
	} else {
		err = client.End(ctx, which)
	}
	if err != nil {
		return fmt.Errorf("cloakroom: %w", err)
	}
	return nil
}
