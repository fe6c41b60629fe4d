package circuit

import (
	"fmt"
	"math/rand/v2"
	"time"
)

const (
	// DialsAtOnce bounds the dials under way to a server whose newest dial
	// succeeded. To any other there is one.
	DialsAtOnce = 4
	// dialBackoff and dialBackoffMax bound the pause after failed dials.
	dialBackoff, dialBackoffMax = 100 * time.Millisecond, 5 * time.Second
)

// Circuit decides when a pool may dial. Whoever has it guards it by a lock. The
// zero Circuit is of a server that nobody has dialed.
type Circuit struct {
	proven   bool          // the newest dial succeeded
	failures int           // dials failed in a row
	retryAt  time.Duration // no dial before this
	err      error         // of the newest failure, nil after a success
	busy     bool          // it said that the server has too many connections
	failedAt time.Time
	tokens   float64 // dials that the rate allows now
	filled   time.Duration
	primed   bool // tokens and filled are set
}

// Refusing says whether the server has lately refused more connections.
func (ci *Circuit) Refusing(now time.Duration) bool {
	return ci.err != nil && ci.busy && now < ci.retryAt
}

// Succeeded closes the circuit.
func (ci *Circuit) Succeeded() {
	ci.Forgive()
	ci.proven = true
}

// Forgive forgets the failures, so that one dial at a time may try again.
func (ci *Circuit) Forgive() {
	ci.proven, ci.failures, ci.retryAt, ci.err, ci.busy, ci.failedAt = false, 0, 0, nil, false, time.Time{}
}

// Proven says whether the newest dial succeeded.
func (ci *Circuit) Proven() bool { return ci.proven }

// Failed opens it for a while. busy says that the server is alive but has too many
// connections.
func (ci *Circuit) Failed(err error, busy bool, now time.Duration) {
	ci.proven, ci.err, ci.busy, ci.failedAt = false, err, busy, time.Now()
	ci.retryAt = now + Backoff(ci.failures, dialBackoff, dialBackoffMax)
	ci.failures++
}

// Describe says in words what holds dials back, and since when.
func (ci *Circuit) Describe(now time.Duration) (string, time.Time) {
	if ci.err == nil {
		return "", time.Time{}
	}
	if wait := ci.retryAt - now; wait > 0 {
		return fmt.Sprintf("retry in %s after: %v", wait.Round(time.Millisecond), ci.err), ci.failedAt
	}
	return fmt.Sprintf("retry when needed after: %v", ci.err), ci.failedAt
}

// Admit says whether a dial may begin now, where so many are under way and so many
// may begin each second. If not, wait is the time after which to ask again, or 0 if
// the end of a dial is what to wait for.
func (ci *Circuit) Admit(now time.Duration, dialing, perSecond int) (ok bool, wait time.Duration) {
	limit := 1
	if ci.proven {
		limit = DialsAtOnce
	}
	if dialing >= limit {
		return false, 0
	}
	if now < ci.retryAt {
		return false, ci.retryAt - now
	}
	rate := float64(perSecond)
	if !ci.primed {
		ci.tokens, ci.filled, ci.primed = rate, now, true
	}
	ci.tokens = min(rate, ci.tokens+rate*(now-ci.filled).Seconds())
	ci.filled = now
	if ci.tokens < 1 {
		return false, time.Duration((1-ci.tokens)/rate*float64(time.Second)) + time.Millisecond
	}
	ci.tokens--
	return true, 0
}

// Backoff doubles from least to most with each failure, spread by a fifth so that
// proxies that lost a server together don't return together.
func Backoff(failures int, least, most time.Duration) time.Duration {
	d := most
	if failures < 16 {
		d = min(least<<failures, most)
	}
	return Spread(d, 0.2)
}

// Spread returns d changed at random by up to the given part of it.
func Spread(d time.Duration, part float64) time.Duration {
	return time.Duration(float64(d) * (1 + part*(2*rand.Float64()-1)))
}
