package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"shardway/shardmap"
)

func proxiesCommand() command {
	return command{
		name: "proxies", brief: "lists the proxies that serve the map, and what they serve",
		details: "MAP is the version by which a proxy plans statements; one that is behind the stored\nversion is marked. BUSY are paused shards on whose primary it still has something\nrunning. FENCED says why servers refuse it. AGE is how long ago it was heard of; after\n" + shardmap.PresenceTTL.String() + " it is taken off the list.",
		example: "shardctl --map etcd://127.0.0.1:2379/shardway proxies", run: proxies,
	}
}

// fleetJSON is what `proxies --output json` prints.
type fleetJSON struct {
	Stored  uint64      `json:"stored_version"` // 0 when the stored map can't be read
	Proxies []proxyJSON `json:"proxies"`
}

type proxyJSON struct {
	shardmap.Proxy
	Behind bool    `json:"behind"`
	Age    float64 `json:"age_seconds"`
}

func proxies(ctx context.Context, t *tool, _ *pflag.FlagSet, _ []string) error {
	store, err := t.open()
	if err != nil {
		return err
	}
	list, err := store.Proxies(ctx)
	if err != nil {
		return err
	}
	out := fleetJSON{Proxies: []proxyJSON{}}
	// Who serves is worth knowing also where the stored map is wrong or gone. It
	// is read last, so that a change in between shows a proxy as behind, which is
	// true of what was listed.
	m, err := store.Load(ctx)
	_, invalid := errors.AsType[*shardmap.Invalid](err)
	switch {
	case err == nil:
		out.Stored = m.Version()
	case invalid || errors.Is(err, fs.ErrNotExist):
		fmt.Fprintln(t.stderr, "shardctl: who is behind can't be told:", err)
	default:
		return err
	}
	now := time.Now()
	for _, p := range list {
		out.Proxies = append(out.Proxies, proxyJSON{
			Proxy: p, Behind: p.Serving < out.Stored,
			Age: max(0, now.Sub(p.Seen)).Round(time.Millisecond).Seconds(),
		})
	}
	if t.output == "json" {
		return t.json(out)
	}
	rows := make([][]string, len(out.Proxies))
	for i, p := range out.Proxies {
		serving := strconv.FormatUint(p.Serving, 10)
		if p.Behind {
			serving += " (behind " + strconv.FormatUint(out.Stored, 10) + ")"
		}
		rows[i] = []string{
			p.ID, dash(p.Host), strconv.Itoa(p.PID), dash(strings.Join(p.Listen, ",")), dash(p.Version), serving,
			dash(strings.Join(slices.Concat(slices.Sorted(slices.Values(p.Busy)), p.Moving), ",")), dash(p.Refused), fmt.Sprintf("%.1fs", p.Age),
		}
	}
	return t.table([]string{"ID", "HOST", "PID", "LISTEN", "VERSION", "MAP", "BUSY", "FENCED", "AGE"}, rows)
}

// dash stands for nothing in a table.
func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
