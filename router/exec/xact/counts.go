package xact

import (
	"sync"
	"time"
)

// buckets are the upper bounds of a Latency's counts; what is longer counts in its Count alone.
var buckets = [...]time.Duration{
	time.Millisecond, 2 * time.Millisecond, 5 * time.Millisecond, 10 * time.Millisecond, 20 * time.Millisecond,
	50 * time.Millisecond, 100 * time.Millisecond, 200 * time.Millisecond, 500 * time.Millisecond, time.Second, 5 * time.Second,
}

// widest is how many participants that have written are counted apart; transactions with more count with those.
const widest = 4

type counts struct {
	mu       sync.Mutex
	outcomes [Divided + 1]uint64
	commits  [widest + 1]latency
	resolved [2]uint64 // by whether it was committed
}

type latency struct {
	count uint64
	sum   time.Duration
	below [len(buckets)]uint64
}

// ended counts a branch that the recovery has ended.
func (c *counts) ended(committed bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if committed {
		c.resolved[1]++
	} else {
		c.resolved[0]++
	}
}

func (c *counts) committed(writers int, o Outcome, took time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.outcomes[o]++
	if o != Committed {
		return
	}
	l := &c.commits[min(writers, widest)]
	l.count++
	l.sum += took
	for i, b := range buckets {
		if took <= b {
			l.below[i]++
		}
	}
}
