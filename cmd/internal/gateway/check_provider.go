package gateway

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/cloakroom/cloakroom/bff"
	"github.com/cloakroom/cloakroom/bff/rp"
)

// provider tries one provider. It returns our client there, nil if none can be made.
func (c *checklist) provider(ctx context.Context, p *Provider, urls bff.URLs, first, offline bool) *rp.Client {
	what := "provider " + p.Name
	if !c.files(what, p) {
		return nil
	}
	config, err := p.clientConfig(urls, first, slog.New(slog.DiscardHandler))
	if err != nil {
		c.note(what, "", err)
		return nil
	}
	client, err := rp.New(config)
	if err != nil || offline {
		c.note(what, "not asked, because of -offline", err)
		return client
	}
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	good, advice := "discovery document of "+p.Issuer, "correct the issuer, or ask the operator of the OP"
	rows, err := client.Examine(ctx)
	if !slices.ContainsFunc(rows, func(row rp.Capability) bool { return !row.Met }) && err == nil {
		good = "discovery document and keys of " + p.Issuer
		advice = "set id_token_signing_alg to the registered one, or ask the operator of the OP"
		err = client.Load(ctx)
	}
	if err != nil {
		err = fmt.Errorf("%w%s", err, hint(err, advice))
	}
	c.note(what, good, err)
	c.capabilities(what, rows)
	return client
}

// files reads what the provider's configuration names on disk. It reports whether all of it can be used.
func (c *checklist) files(what string, p *Provider) bool {
	log := slog.New(slog.DiscardHandler)
	_, noRoots := p.roots()
	if p.CAFile != "" {
		c.note(what, "CA certificates of "+p.CAFile, noRoots)
	}
	keys, noKeys := p.clientKeys(log)
	if keys != nil || noKeys != nil {
		c.note(what, "client keys of "+p.ClientKeyFile, noKeys)
	}
	certificate, noCertificate := p.clientCertificate(log)
	if certificate != nil || noCertificate != nil {
		good := ""
		if noCertificate == nil {
			good, noCertificate = certificate.describe(time.Now())
		}
		c.note(what, good, noCertificate)
	}
	return noRoots == nil && noKeys == nil && noCertificate == nil
}

// capabilities writes what the configuration asks of the OP beside what the OP offers, a line each, in columns. What
// the OP wrote is fit for a terminal already.
func (c *checklist) capabilities(what string, rows []rp.Capability) {
	table := tabwriter.NewWriter(c.w, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		verdict := "ok  "
		if !row.Met {
			verdict, c.ok = "FAIL", false
		}
		fmt.Fprintf(table, "%s %s: %s\tasked: %s\toffered: %s", verdict, what,
			row.Name, cmp.Or(row.Asked, "nothing"), cmp.Or(row.Offered, "not said"))
		if row.Advice != "" {
			fmt.Fprintf(table, "\t%s", row.Advice)
		}
		fmt.Fprintln(table)
	}
	table.Flush()
}
