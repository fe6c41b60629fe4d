package xact

import (
	"sync"
	"time"
)

// Counts are what happened to the transactions of one proxy that ran on several shards.
type Counts struct {
	InDoubt int // prepared branches on all shards, of whichever proxy, when they were last looked for

	Committed, RolledBack, Unknown, Divided uint64 // COMMITs by their Outcome
	ResolvedCommits, ResolvedRollbacks      uint64 // branches that the recovery has ended
	Repeated                                uint64 // statements that were run again after a deadlock

	Commits [widest + 1]Latency // by how many shards were written; the last one is for more as well
}

// Latency is how long COMMITs took.
type Latency struct {
	Count  uint64
	Sum    time.Duration
	Within [len(bounds)]uint64 // how many took no longer than each of Bounds
}

// widest is how many shards a transaction has written that is counted apart.
const widest = 4

var bounds = [...]time.Duration{
	time.Millisecond, 2 * time.Millisecond, 5 * time.Millisecond, 10 * time.Millisecond, 20 * time.Millisecond,
	50 * time.Millisecond, 100 * time.Millisecond, 200 * time.Millisecond, 500 * time.Millisecond, time.Second, 5 * time.Second,
}

// Bounds are those of Latency.Within.
func Bounds() []time.Duration { return bounds[:] }

// Counts says what happened so far.
func (t *Transactions) Counts() Counts {
	t.mu.Lock()
	n := 0
	for _, branches := range t.doubt {
		n += branches
	}
	t.mu.Unlock()
	t.counts.mu.Lock()
	defer t.counts.mu.Unlock()
	c := t.counts.Counts
	c.InDoubt = n
	return c
}

// Repeated counts a statement that is run again after a deadlock.
func (t *Transactions) Repeated() {
	t.counts.mu.Lock()
	defer t.counts.mu.Unlock()
	t.counts.Repeated++
}

type counts struct {
	mu sync.Mutex
	Counts
}

// committed counts a COMMIT.
func (c *counts) committed(writers int, o Outcome, took time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch o {
	case RolledBack:
		c.RolledBack++
	case Unknown:
		c.Unknown++
	case Divided:
		c.Divided++
	case Committed:
		c.Committed++
		l := &c.Commits[min(writers, widest)]
		l.Count++
		l.Sum += took
		for i, b := range bounds {
			if took <= b {
				l.Within[i]++
			}
		}
	}
}

// ended counts a branch that the recovery has ended.
func (c *counts) ended(committed bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if committed {
		c.ResolvedCommits++
	} else {
		c.ResolvedRollbacks++
	}
}
