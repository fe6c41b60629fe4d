package pulse

import (
	"testing"
	"time"
)

func TestPulse(t *testing.T) {
	const second = time.Second
	at := func(n uint64) Beat { return Beat{N: n, Stamp: int64(n) * 1e6} } // a beat a second
	var p Pulse
	if _, known := p.Lag(at(3), second, true); known || p.Beats() {
		t.Error("a lag without beats")
	}
	p.Saw(at(90), second, false)
	if p.Beats() {
		t.Error("a replica alone makes no heartbeat")
	}
	for i := range 10 { // beats 100 to 109 at 10s to 19s
		p.Saw(at(uint64(100+i)), time.Duration(10+i)*second, true)
		p.Saw(at(uint64(100+i)), time.Duration(10+i)*second+second/2, true)
	}
	check := func(name string, n uint64, now time.Duration, up bool, want time.Duration) {
		t.Helper()
		if lag, known := p.Lag(at(n), now, up); !known || lag != want {
			t.Errorf("%s: %s, known %v, want %s", name, lag, known, want)
		}
	}
	check("has everything", 109, 20*second, true, 0)
	check("is ahead of what was seen", 110, 20*second, true, 0)
	check("lacks the newest", 108, 19200*time.Millisecond, true, 200*time.Millisecond)
	check("lacks several", 104, 19500*time.Millisecond, true, 4500*time.Millisecond)
	check("from before this proxy looked", 40, 20*second, true, 70*second)
	check("the primary is gone: the time of then", 108, 100*second, false, 500*time.Millisecond)
	check("nobody has looked at the primary for long", 108, 100*second, true, 500*time.Millisecond)
	check("the primary is gone, everything is there", 109, 100*second, false, 0)
	if _, known := p.Lag(Beat{}, 20*second, true); known {
		t.Error("a server without the row has a lag")
	}
	p.Saw(at(112), 21*second, false) // another proxy still reaches the primary
	check("a beat that a replica showed counts", 109, 22*second, false, 0)
	p.Saw(at(107), 30*second, true) // a failover lost the rest
	check("what a failover lost is no lag", 107, 30*second, true, 0)
	for i := range 3 * kept {
		p.Saw(at(uint64(108+i)), time.Duration(31+i)*second, true)
	}
	if len(p.seen) > kept {
		t.Errorf("%d beats are kept", len(p.seen))
	}
	last := uint64(107 + 3*kept)
	check("older than what is kept", last-1000, time.Duration(31+3*kept-1)*second, true, 1000*second)
}
