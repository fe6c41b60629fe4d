package pace

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// Pacer makes the work on rows gentle while clients use the servers: it is done
// in short steps, one at a time, and after each nothing is done for a while. So
// a statement of theirs meets little of it, however long the work takes in all;
// long steps with long rests would be worse, as the slowest statements are those
// that meet a whole step.
type Pacer struct {
	share int           // percent of the time that is worked then
	place chan struct{} // for the one that works then

	mu   sync.Mutex
	free time.Time // when the next step may begin
	by   map[string]*usage
}

// usage is how much clients use a server.
type usage struct {
	own       atomic.Int64 // the engine's statements
	at        time.Time    // when the server was last looked at; zero: it wasn't
	all, ours int64        // its statements by then, and the engine's
	used      time.Time    // when it was last seen to be used
	guessed   bool         // that is because it was looked at once
}

const (
	// usedFrom is how many statements a second, beside the engine's, a server runs
	// at least that clients use. Proxies look after an idle server with a few.
	usedFrom = 100
	// usedFor is how long it counts as used after it was last seen to be. One that
	// was looked at once counts so until the next look.
	usedFor = 2 * time.Second
	// looksApart is how far two looks at a server are apart at least to tell how
	// much it is used.
	looksApart = 200 * time.Millisecond
	// gentleTime is how long a step may take while clients use the servers.
	gentleTime = 20 * time.Millisecond
	// longestRest bounds a rest, so that the work gets on where each step takes long.
	longestRest = 300 * time.Millisecond
	// fewest is how many rows a step is about at least.
	fewest = 200
)

// New returns a pacer for work that is done for share percent of the time while
// clients use the servers.
func New(share int) *Pacer {
	return &Pacer{share: share, place: make(chan struct{}, 1), by: map[string]*usage{}}
}

// Own counts the engine's own statements at a server: whoever sends one adds it.
func (p *Pacer) Own(addr string) *atomic.Int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return &p.get(addr).own
}

func (p *Pacer) get(addr string) *usage {
	u := p.by[addr]
	if u == nil {
		u = &usage{}
		p.by[addr] = u
	}
	return u
}

// Seen takes over how many statements a server has run.
func (p *Pacer) Seen(addr string, statements int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now, u := time.Now(), p.get(addr)
	apart := now.Sub(u.at)
	if apart < looksApart {
		return
	}
	ours := u.own.Load()
	others := float64(statements-u.all-(ours-u.ours)) / apart.Seconds()
	switch {
	case u.at.IsZero(): // how many they are in which time isn't known
		u.used, u.guessed = now, true
	case others >= usedFrom:
		u.used, u.guessed = now, false
	case u.guessed:
		u.used, u.guessed = time.Time{}, false
	}
	u.at, u.all, u.ours = now, statements, ours
}

// Gentle says whether clients use one of the servers, or whether they do isn't
// known yet.
func (p *Pacer) Gentle() bool {
	if p.share >= 100 {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	looked := false
	for _, u := range p.by {
		if u.at.IsZero() {
			continue
		}
		if looked = true; time.Since(u.used) < usedFor {
			return true
		}
	}
	return !looked
}

// Step does one step of the work, when it is its turn, and says how long that took without the wait for it.
func (p *Pacer) Step(ctx context.Context, work func() error) (took time.Duration, err error) {
	if !p.Gentle() {
		began := time.Now()
		err = work()
		return time.Since(began), err
	}
	select {
	case p.place <- struct{}{}:
		defer func() { <-p.place }()
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	}
	p.mu.Lock()
	rest := time.Until(p.free)
	p.mu.Unlock()
	if rest > 0 && !sleep(ctx, rest) {
		return 0, context.Cause(ctx)
	}
	began := time.Now()
	err = work()
	now := time.Now()
	took = now.Sub(began)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.free = now.Add(min(took*time.Duration(100-p.share)/time.Duration(p.share), longestRest))
	return took, err
}

// Rows is how many rows the next step is about, after one about size rows took
// so long: at most so many, and as many as are done within the limit.
func (p *Pacer) Rows(size, most int, took, limit time.Duration) int {
	if p.Gentle() {
		limit = min(limit, gentleTime)
	}
	switch {
	case took > limit:
		size = int(float64(size) * float64(limit) / float64(took))
	case took < limit/4:
		size *= 2
	}
	return max(min(size, most), min(fewest, most))
}
