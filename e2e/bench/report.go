package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
)

const (
	tableBegin = "<!-- bench:begin -->"
	tableEnd   = "<!-- bench:end -->"
)

// cell says what was measured: the names of a party, a payload and a manner.
type cell struct{ party, payload, manner string }

// report is what a run has found, of each figure one per round.
type report struct {
	settings
	subjects []*subject
	figures  map[cell][]figures
	memory   map[string][]usage // by party
}

// details writes every median, and of the CPU time the lowest and the highest, too.
func (r *report) details(out io.Writer) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "party\tpayload\tmanner\tCPU µs\tlowest\thighest\tto bare\tRedis µs\treq/s\tp50 ms\tp99 ms\t")
	for _, p := range r.payloads {
		for _, m := range p.manners() {
			for _, s := range r.subjects {
				c := cell{s.party.name, p.name, m.name}
				rows := r.figures[c]
				cpu := column(rows, cpuOf)
				fmt.Fprintf(w, "%s\t%s\t%s\t%.1f\t%.1f\t%.1f\t%s\t%s\t%s\t%s\t%s\t\n", c.party, c.payload, c.manner,
					median(cpu), slices.Min(cpu), slices.Max(cpu), r.ratio(c), middle("%.1f", rows, redisOf),
					middle("%.0f", rows, rateOf), middle("%.2f", rows, halfOf), middle("%.2f", rows, mostOf))
			}
		}
	}
	_ = w.Flush() // to a terminal
}

// The figures as they are printed: microseconds per request, requests per second, milliseconds.
func cpuOf(f figures) float64   { return f.cpu.Seconds() * 1e6 }
func redisOf(f figures) float64 { return f.redis.Seconds() * 1e6 }
func rateOf(f figures) float64  { return f.perSecond }
func halfOf(f figures) float64  { return f.half.Seconds() * 1e3 }
func mostOf(f figures) float64  { return f.most.Seconds() * 1e3 }

// ratio is the CPU time per request to that of the bare proxy in the same round, "" without one.
func (r *report) ratio(c cell) string {
	bare := r.figures[cell{"bare", c.payload, c.manner}]
	if len(bare) == 0 {
		return ""
	}
	var ratios []float64
	for round, f := range r.figures[c] {
		ratios = append(ratios, float64(f.cpu)/float64(bare[round].cpu))
	}
	return fmt.Sprintf("%.2f", median(ratios))
}

func column[F, N any](rows []F, of func(F) N) []N {
	var all []N
	for _, row := range rows {
		all = append(all, of(row))
	}
	return all
}

func median[N cmp.Ordered](values []N) N {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}

// table is the Markdown for the README.
func (r *report) table(surroundings string) string {
	var b strings.Builder
	b.WriteString("| | 300 bytes of JSON | at 1 000 per second | 1 MiB down | 64 KiB up " +
		"| requests/s | p50 ms | p99 ms | MiB (peak) |\n" +
		"| --- | --- | --- | --- | --- | --- | --- | --- | --- |\n")
	for _, s := range r.subjects {
		small := func(m manner) []figures { return r.figures[cell{s.party.name, "small", m.name}] }
		resident := median(column(r.memory[s.party.name], func(u usage) int64 { return u.resident }))
		peak := slices.Max(column(r.memory[s.party.name], func(u usage) int64 { return u.peak }))
		row := []string{
			s.party.title + brackets(s.version),
			r.cost(s, "small", saturated),
			r.cost(s, "small", paced),
			r.cost(s, "large", saturated),
			r.cost(s, "upload", saturated),
			middle("%.0f", small(saturated), rateOf),
			middle("%.2f", small(calm), halfOf),
			middle("%.2f", small(calm), mostOf),
			fmt.Sprintf("%d (%d)", resident>>20, peak>>20),
		}
		fmt.Fprintf(&b, "| %s |\n", strings.Join(row, " | "))
	}
	fmt.Fprintf(&b, "\nMedians of %d × %v; %s; `%s`\n", r.rounds, r.each, surroundings, r.command)
	return b.String()
}

// cost is the CPU time per request, with the ratio to the bare proxy.
func (r *report) cost(s *subject, payload string, m manner) string {
	c := cell{s.party.name, payload, m.name}
	text := middle("%.0f", r.figures[c], cpuOf)
	if text == "" {
		return ""
	}
	return text + brackets(r.ratio(c))
}

func brackets(text string) string {
	if text == "" {
		return ""
	}
	return " (" + text + ")"
}

// middle writes a median, "" if nothing was measured.
func middle(format string, rows []figures, of func(figures) float64) string {
	if len(rows) == 0 {
		return ""
	}
	return fmt.Sprintf(format, median(column(rows, of)))
}

// replaceTable puts a table between the markers of a file.
func replaceTable(file, table string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	before, rest, ok1 := strings.Cut(string(text), tableBegin+"\n")
	_, after, ok2 := strings.Cut(rest, tableEnd)
	if !ok1 || !ok2 {
		return errors.New(file + " has no " + tableBegin + " and " + tableEnd)
	}
	return os.WriteFile(file, []byte(before+tableBegin+"\n"+table+tableEnd+after), 0o644)
}
