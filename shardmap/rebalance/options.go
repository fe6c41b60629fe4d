package rebalance

import (
	"fmt"
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
	// logs. docs/operations.md lists its rights. Required.
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
	// Parallel is how many moves are copied at a time; all that have been copied
	// are followed all the time. Default 2.
	Parallel int
	// Chunk is how many rows are read at a time, and ChunkTime how long that may
	// take: chunks get smaller where it takes longer. Defaults 2000 and 500ms.
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
	// Silent is how long, within PauseLimit, a proxy may take to say that it has
	// taken the pause over before it is fenced, unless its announcements show
	// that it lives. Default half of PauseLimit.
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

// Running is the error when another engine has the rebalance.
type Running struct {
	Rebalance string
	Server    string // where it holds the lock
	By        string // who it is
}

func (r *Running) Error() string {
	return fmt.Sprintf("%s: rebalance %s is run by %s already; one at a time can", r.Server, r.Rebalance, r.By)
}
