package main

import (
	"fmt"
	"io"
	"text/tabwriter"
)

// print writes the figures as a table that a person can read.
func (r report) print(out io.Writer) error {
	fmt.Fprintf(out, "%s, %d cores, %s\n", r.Machine.Processor, r.Machine.Cores, r.Machine.Go)
	fmt.Fprintf(out, "bundle %s, %s %s; %d texts of %.1f tokens in the mean, %d at most\n\n",
		r.Bundle.Name, r.Backend, r.Kernel, r.Texts, r.Tokens.Mean, r.Tokens.Longest)
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	row := func(what, figure, target string) { fmt.Fprintf(table, "%s\t%s\t%s\n", what, figure, target) }
	row("measurement", "median (5 - 95 %)", "target")
	o := r.Overhead
	row(fmt.Sprintf("one text of %d tokens from Go, %s clock", o.Tokens, o.Clock), o.Go.show("%.1f", "µs"), "")
	row("the same call in C", o.C.show("%.1f", "µs"), "")
	row("what Go adds, share of C's time", o.Share.show("%+.4f", ""), fmt.Sprintf("<= %.2f", targetOverhead))
	t := r.Throughput
	row("one goroutine on one thread", t.Alone.show("%.0f", "texts/s"), "")
	row(fmt.Sprintf("%d goroutines through the router on %d cores", t.Goroutines, t.Cores), t.Together.show("%.0f", "texts/s"), "")
	row("times one thread", t.Ratio.show("%.3f", ""), fmt.Sprintf(">= %.1f", targetThroughput))
	row("processor time of a text, times one thread's", t.ProcessorRatio.show("%.3f", ""), "")
	c := r.Closed
	at := fmt.Sprintf("%d goroutines that ask again at once: ", c.Goroutines)
	row(at+"p50 / p99 observed", c.Observed.show(), "")
	row(at+"p50 / p99 of a queue with these computing times", c.Queue.show(), "")
	row(at+"p99 observed / queue", fmt.Sprintf("%.2f", c.RatioP99), fmt.Sprintf("<= %.0f", targetLoad))
	for _, l := range r.Load {
		at := fmt.Sprintf("at %.2f of it, %.0f texts/s: ", l.Utilisation, l.Rate)
		row(at+"p50 / p99 observed", l.Observed.show(), "")
		row(at+"p50 / p99 of a queue with these computing times", l.Queue.show(), "")
		row(at+"p50 / p99 of M/G/2", l.Theory.show(), "")
		row(at+"arrivals too late, p50 / p99", l.Lateness.show(), "")
		row(at+"p99 observed / queue", fmt.Sprintf("%.2f", l.RatioQueueP99), fmt.Sprintf("<= %.0f", targetLoad))
		row(at+"p99 observed / M/G/2", fmt.Sprintf("%.2f", l.RatioP99), fmt.Sprintf("<= %.0f", targetLoad))
	}
	most := max(t.Neighbours, c.Neighbours)
	for _, l := range r.Load {
		most = max(most, l.Neighbours)
	}
	row("what others used of the cores meanwhile, at most", fmt.Sprintf("%.3f", most), "")
	return table.Flush()
}

func (t times50and99) show() string { return fmt.Sprintf("%.2f / %.2f ms", t.P50, t.P99) }
