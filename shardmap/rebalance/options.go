package rebalance

import (
	"fmt"
	"os"
	"time"

	"shardway/shardmap"
	"shardway/shardmap/server"
)

// Store is where the map is kept and where the proxies announce themselves.
type Store interface {
	shardmap.Store
	shardmap.Fleet
}

// Options say how to move slots. The zero value of a field is its default.
type Options struct {
	// Account is the login at the servers, for statements and for reading binary
	// logs. docs/rebalance.md lists its rights. Required.
	Account server.Account
	// ProxyUser is the name of the account as whom the proxies log in: the fence
	// kills its connections. Empty: those of Account.
	ProxyUser string
	// By is who acts, as locks and the servers' state show it. Default:
	// user@host and the number of the process.
	By string
	// Progress is told how far things are, at each change of a state and every
	// Tick besides, by one goroutine at a time; nil is allowed. It must not block.
	Progress func(Progress)
	// Tick is how often Progress is told, and the state on the servers kept up
	// to date, when nothing else happens. Default 500ms.
	Tick time.Duration

	// Stay makes Run go on when each move is where its want says: the copies stay
	// level, and what is asked for meanwhile is done. Run then ends when the
	// rebalance has no moves any more. Without Stay it ends when no move can go
	// further until somebody asks for something.
	Stay bool

	// Limit bounds the rows that are copied or removed each second, of all moves
	// together. 0 is no limit. The other bounds hold in any case.
	Limit int
	// Share is how much of the time, in percent, rows are copied, compared and
	// removed while clients use the servers: in short steps, with a rest after each.
	// 100 is all of it. Default 25. Where nobody else uses them there are no rests.
	Share int
	// Parallel is how many moves are copied at a time; all that have been copied
	// are followed all the time. Default 2.
	Parallel int
	// Chunk is how many rows of a table are gone over at a time, and ChunkTime how
	// long that may take: chunks get smaller where it takes longer, and while
	// clients use the servers. Defaults 10000 and 100ms.
	Chunk     int
	ChunkTime time.Duration
	// MaxLag is how far the replicas of the shard that is written to may be
	// behind; copying waits while they are. Default 5s.
	MaxLag time.Duration
	// MaxRunning is how many statements may run on a source or a target
	// (Threads_running) while rows are copied; copying waits while there are
	// more. Default 64.
	MaxRunning int
	// NoReplicas makes the engine read from primaries alone.
	NoReplicas bool

	// PauseLimit is how long statements for the slots may wait in a switch, from
	// the map with the pause being stored until the one with the new owner is.
	// Default 1s.
	PauseLimit time.Duration
	// Silent is how long a proxy that is announced may serve an older map than the
	// stored one before it counts as cut off, as one does at once whose
	// announcement has run out. Such a proxy is fenced at the servers, and all
	// connections of ProxyUser there are killed, its own being among them. Default
	// 10s.
	Silent time.Duration
	// Retry is how long a switch that was taken back waits before the next try,
	// and twice that after each further one, up to a minute. Default 2s.
	Retry time.Duration
	// Statement bounds each statement on a server. Default 10s.
	Statement time.Duration
	// AllowStrays lets finish go on though strays were found: the operator has
	// seen to them.
	AllowStrays bool

	// failpoint is called before each step; its error ends the engine there, as
	// kill -9 does. Tests set it.
	failpoint func(step string) error
}

func (o Options) withDefaults() Options {
	for _, d := range []struct {
		field *time.Duration
		value time.Duration
	}{
		{&o.Tick, 500 * time.Millisecond},
		{&o.ChunkTime, 100 * time.Millisecond},
		{&o.MaxLag, 5 * time.Second},
		{&o.PauseLimit, time.Second},
		{&o.Silent, 10 * time.Second},
		{&o.Retry, 2 * time.Second},
		{&o.Statement, 10 * time.Second},
	} {
		if *d.field <= 0 {
			*d.field = d.value
		}
	}
	for _, d := range []struct {
		field *int
		value int
	}{{&o.Share, 25}, {&o.Parallel, 2}, {&o.Chunk, 10000}, {&o.MaxRunning, 64}} {
		if *d.field <= 0 {
			*d.field = d.value
		}
	}
	if o.By == "" {
		o.By = fmt.Sprintf("%s (pid %d)", shardmap.Author(), os.Getpid())
	}
	return o
}

// Running is the error when another engine has the rebalance.
type Running struct {
	Rebalance string
	Server    string // where it holds the lock
	By        string // who it is
}

func (r *Running) Error() string {
	return fmt.Sprintf("%s: rebalance %s is run by %s already; one at a time can", r.Server, r.Rebalance, r.By)
}
