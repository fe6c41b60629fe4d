package main

import (
	"context"
	"database/sql/driver"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"
)

// memoryResult is what idle clients cost a proxy.
type memoryResult struct {
	name      string
	clients   int
	perClient float64 // KiB
}

// memory connects clients that ask one query each and then stay, and compares
// the proxy's resident memory before and after. Shardway alone: HAProxy would
// need a server connection for each.
func (b *bench) memory(ctx context.Context) ([]memoryResult, error) {
	p := b.proxies[len(b.proxies)-1]
	// A daemon that has served nothing yet, so that nothing is left over.
	p.stop()
	p, err := b.startShardway("shardway", b.binary)
	if err != nil {
		return nil, err
	}
	b.proxies[len(b.proxies)-1] = p
	if err := p.waitUp(ctx); err != nil {
		return nil, err
	}
	before, err := p.rss()
	if err != nil {
		return nil, err
	}
	connector, err := p.connector()
	if err != nil {
		return nil, err
	}
	var all []driver.Conn
	defer func() {
		for _, c := range all {
			_ = c.Close()
		}
	}()
	for range b.idle {
		c, err := connector.Connect(ctx)
		if err != nil {
			return nil, fmt.Errorf("client %d: %w", len(all), err)
		}
		all = append(all, c)
		rows, err := c.(driver.QueryerContext).QueryContext(ctx, "SELECT c FROM sbtest1 WHERE id = 7", nil)
		if err != nil {
			return nil, err
		}
		if err := rows.Close(); err != nil {
			return nil, err
		}
	}
	// Idle is after a while, not at once: what the logins left is collected by then.
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-time.After(5 * time.Second):
	}
	after, err := p.rss()
	if err != nil {
		return nil, err
	}
	return []memoryResult{{name: p.name, clients: len(all), perClient: float64(after-before) / float64(len(all)) / 1024}}, nil
}

// spread is the median and the range of some figures.
type spread struct{ median, low, high float64 }

func spreadOf(v []float64) spread {
	v = slices.Sorted(slices.Values(v))
	n := len(v)
	return spread{(v[(n-1)/2] + v[n/2]) / 2, v[0], v[n-1]}
}

// report prints a table for each workload: the medians of the proxies, whose names
// are given, and the ratios of the others to the first, HAProxy, round by round with
// their range.
func report(out io.Writer, o options, names []string, results map[string][]pair, memory []memoryResult) error {
	metrics := []struct {
		title, format string
		of            func(outcome) float64
	}{
		{"queries/s", "%.0f", func(r outcome) float64 { return r.rate }},
		{"p99 ms", "%.2f", func(r outcome) float64 { return r.p99 }},
		{"CPU µs/query", "%.1f", func(r outcome) float64 { return r.cpu }},
	}
	met := true
	for _, w := range workloads {
		if o.only != "" && o.only != w.name {
			continue
		}
		fmt.Fprintf(out, "\n%s\n", w.title)
		t := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
		fmt.Fprint(t, "clients\t\thaproxy\t")
		for _, name := range names[1:] {
			fmt.Fprintf(t, "%s\tratio\tmin..max\t", name)
		}
		fmt.Fprintln(t, "rounds\t")
		for _, n := range o.clients {
			rounds := results[key(w, n)]
			for _, m := range metrics {
				figures := make([][]float64, len(names))
				for _, p := range rounds {
					for i := range names {
						figures[i] = append(figures[i], m.of(p[i]))
					}
				}
				if slices.Min(figures[0]) == 0 {
					continue // runs that were too short
				}
				fmt.Fprintf(t, "%d\t%s\t"+m.format+"\t", n, m.title, spreadOf(figures[0]).median)
				var last spread
				for i := 1; i < len(names); i++ {
					ratio := make([]float64, len(rounds))
					for round := range rounds {
						ratio[round] = figures[i][round] / figures[0][round]
					}
					last = spreadOf(ratio)
					fmt.Fprintf(t, m.format+"\t%.2f\t%.2f..%.2f\t", spreadOf(figures[i]).median, last.median, last.low, last.high)
				}
				fmt.Fprintf(t, "%d\t\n", len(rounds))
				if w.name == "point" && n == 16 && m.title == "CPU µs/query" && last.median > o.mark {
					met = false
				}
			}
		}
		if err := t.Flush(); err != nil {
			return err
		}
	}
	if _, ok := results["point/16"]; ok {
		fmt.Fprintf(out, "\nat 16 clients a point select may cost %.1f times HAProxy's CPU: %s\n", o.mark, yes(met))
	}
	for _, m := range memory {
		fmt.Fprintf(out, "memory of an idle client of %s, %d of them: %.1f KiB; at most 20: %s\n", m.name, m.clients, m.perClient, yes(m.perClient <= 20))
	}
	return nil
}

func yes(ok bool) string {
	if ok {
		return "met"
	}
	return "NOT MET"
}
