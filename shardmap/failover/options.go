package failover

import (
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/user"
	"strings"
	"time"

	"shardway/shardmap"
)

// Store is where the map is kept and where the proxies announce themselves.
type Store interface {
	shardmap.Store
	shardmap.Fleet
}

// Options say how to change a primary. The zero value of a field is its
// default.
type Options struct {
	// Open opens the server at an address of the map with the rights that a
	// change of primary needs; [Account.Open] does. Required.
	Open func(addr string) (*sql.DB, error)
	// ProxyUser is the name of the account as whom the proxies log in: the
	// fence kills its connections. Empty: those of the account of Open.
	ProxyUser string
	// ReplicationUser and ReplicationPassword are what a former primary, which
	// has followed nobody so far, logs in with at the new one. A server that
	// follows already keeps its own.
	ReplicationUser, ReplicationPassword string
	// By is who acts, as the map shows it: for [Failover] the proxy's
	// [shardmap.Proxy] ID. It tells this run from any other, so it must be
	// unique. Default: user@host and the number of the process.
	By string
	// Progress is told of each step when it is over, by the goroutine that
	// called; nil is allowed.
	Progress func(Step)

	// Drain is how long proxies may finish what runs on the primary; what runs
	// then still is cut by the fence. Default 5s.
	Drain time.Duration
	// MaxLag is how far behind the target may be when a switchover begins, and
	// how long it may take to have all after that. Default 5s.
	MaxLag time.Duration
	// Statement bounds each statement on a server. Default 5s.
	Statement time.Duration
	// Apply is how long a failover waits for a replica to apply what it has
	// received. Default 30s.
	Apply time.Duration
	// Fence is how long a failover tries to make the old primary read-only.
	// Default 1s.
	Fence time.Duration
	// KillBlockers lets a switchover kill all clients of the old primary that
	// keep it from becoming read-only, not the proxies alone.
	KillBlockers bool
	// DryRun makes a switchover check everything, say what it would do, and
	// change nothing.
	DryRun bool

	// failpoint is called before each step; its error ends the run there. Tests
	// set it; errCrash ends it as kill -9 does.
	failpoint func(step string) error
}

// errCrash is a failpoint's error after which nothing is undone.
var errCrash = errors.New("crashed")

func (o Options) withDefaults() Options {
	for _, d := range []struct {
		field *time.Duration
		value time.Duration
	}{
		{&o.Drain, 5 * time.Second},
		{&o.MaxLag, 5 * time.Second},
		{&o.Statement, 5 * time.Second},
		{&o.Apply, 30 * time.Second},
		{&o.Fence, time.Second},
	} {
		if *d.field <= 0 {
			*d.field = d.value
		}
	}
	if o.By == "" {
		o.By = whoami()
	}
	return o
}

func whoami() string {
	name, host := "unknown", "unknown"
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	if h, err := os.Hostname(); err == nil {
		host = h
	}
	return fmt.Sprintf("%s@%s (pid %d)", name, host, os.Getpid())
}

// Step is one step that was taken.
type Step struct {
	Name string        `json:"name"`
	Text string        `json:"text"` // what came of it
	Took time.Duration `json:"took_ns"`
}

// Report says what was done, also when an error is returned with it.
type Report struct {
	Shard string `json:"shard"`
	From  string `json:"from"` // the former primary
	To    string `json:"to"`   // the new one
	// Plan is what a dry run would have done.
	Plan []string `json:"plan,omitempty"`
	// Done says that To is the primary in the stored map.
	Done bool `json:"done"`
	// Undone says that the run failed and all is as before.
	Undone bool `json:"undone,omitempty"`
	// Version is the version of the stored map at the end.
	Version uint64 `json:"version"`
	// Pause is how long statements for the primary had to wait: from the map
	// with the paused shard being stored until the last proxy served the one
	// with the new primary, or until that was stored where no proxy is known.
	Pause time.Duration `json:"pause_ns"`
	// Fenced are the proxies, by ID, that didn't leave the primary in time:
	// their connections there were killed.
	Fenced []string `json:"fenced,omitempty"`
	// Warnings are what somebody should look after.
	Warnings []string `json:"warnings,omitempty"`
	Steps    []Step   `json:"steps"`
}

func (r *Report) warn(format string, args ...any) {
	r.Warnings = append(r.Warnings, fmt.Sprintf(format, args...))
}

// Problem is something that keeps a primary from being changed.
type Problem struct {
	Server string `json:"server,omitempty"` // its address; empty when it is about no server
	Text   string `json:"text"`             // what is wrong
	Fix    string `json:"fix"`              // what to do about it
}

func (p Problem) String() string {
	s := p.Text
	if p.Server != "" {
		s = p.Server + ": " + s
	}
	if p.Fix != "" {
		s += "; " + p.Fix
	}
	return s
}

// Refused is the error when something would be unsafe: nothing was changed.
type Refused struct{ Problems []Problem }

func (r *Refused) Error() string {
	texts := make([]string, len(r.Problems))
	for i, p := range r.Problems {
		texts[i] = p.String()
	}
	return strings.Join(texts, "\n")
}

func refuse(server, fix, format string, args ...any) error {
	return &Refused{[]Problem{{Server: server, Text: fmt.Sprintf(format, args...), Fix: fix}}}
}
