package policy

import (
	"encoding/binary"
	"hash/fnv"
	"math"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"
)

// maxTurns bounds the length of a weighted schedule.
const maxTurns = 4096

// Turns returns a schedule of indices into weights in which each index
// occurs in proportion to its weight, spread as evenly as can be: the smooth
// weighted round robin of nginx, laid out in advance so that a counter alone
// walks it. An index of weight 0 doesn't occur, unless all weights are 0, which is
// as if all were 1. Weights whose sum, divided by their greatest common divisor,
// is over maxTurns are scaled down to it, none to zero.
func Turns(weights []int) []int32 {
	w := slices.Clone(weights)
	divisor, total := 0, 0
	for _, v := range w {
		divisor = gcd(divisor, v)
	}
	if divisor == 0 {
		for i := range w {
			w[i] = 1
		}
		divisor = 1
	}
	for i := range w {
		w[i] /= divisor
		total += w[i]
	}
	if total > maxTurns {
		scale := float64(maxTurns) / float64(total)
		total = 0
		for i := range w {
			if w[i] > 0 {
				w[i] = max(int(float64(w[i])*scale), 1)
			}
			total += w[i]
		}
	}
	turns := make([]int32, 0, total)
	current := make([]int, len(w))
	for range total {
		best := 0
		for i := range w {
			current[i] += w[i]
			if current[i] > current[best] {
				best = i
			}
		}
		current[best] -= total
		turns = append(turns, int32(best))
	}
	return turns
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// ServerHash is the part of a server in rendezvous hashing. It depends on the
// address alone, so every proxy places a client alike.
func ServerHash(addr string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(addr))
	return mix(h.Sum64())
}

// ClientHash is the part of a client in rendezvous hashing. An IPv4 address and
// its IPv6-mapped form are the same client.
func ClientHash(a netip.Addr) uint64 {
	b := a.Unmap().As16()
	return mix(mix(binary.BigEndian.Uint64(b[:8])) ^ binary.BigEndian.Uint64(b[8:]))
}

// Score is the score of one server for one client; the server with the
// highest score serves the client (Thaler and Ravishankar's highest random
// weight). Removing a server leaves the order of the others alone, so only its
// own clients move.
func Score(server, client uint64) uint64 { return mix(server ^ client) }

// mix is the finalizer of SplitMix64: every input bit changes half of the output.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

const (
	// latencyShare is what one sample contributes to a server's average.
	latencyShare = 0.2
	// latencyHalfLife is the time in which an average without samples halves, so
	// that a server which was slow once is tried again.
	latencyHalfLife = 2 * time.Second
	// fresh is the age up to which an average counts for Lately.
	fresh = 2 * time.Second
	// LatencyFloor keeps a server without samples from looking infinitely fast.
	LatencyFloor = 50 * time.Microsecond
)

// latencyBlend returns the average after one more sample.
func latencyBlend(average, sample float64) float64 {
	if average == 0 {
		return sample
	}
	return average + latencyShare*(sample-average)
}

// latencyScore is what power of two choices compares, the lower the better: the
// average, decayed by its age, times the requests that would share the server.
func latencyScore(average float64, age time.Duration, busy int) float64 {
	return (latencyDecay(average, age) + float64(LatencyFloor)) * float64(busy+1)
}

// latencyDecay is the average without samples for the given time.
func latencyDecay(average float64, age time.Duration) float64 {
	if age <= 0 {
		return average
	}
	return average * math.Exp2(-float64(age)/float64(latencyHalfLife))
}

// Latency is a server's average time of a read in nanoseconds. Writers take
// turns; readers need none and may see the two fields of different samples.
type Latency struct {
	average atomic.Uint64 // math.Float64bits
	at      atomic.Int64  // the time of the newest sample
}

// Observe takes one more sample in.
func (l *Latency) Observe(sample, now time.Duration) {
	average := latencyDecay(math.Float64frombits(l.average.Load()), now-time.Duration(l.at.Load()))
	average = latencyBlend(average, float64(sample))
	l.average.Store(math.Float64bits(average))
	l.at.Store(int64(now))
}

// Score is the lower the better, with so many requests sharing the server already.
func (l *Latency) Score(now time.Duration, busy int) float64 {
	return latencyScore(math.Float64frombits(l.average.Load()), now-time.Duration(l.at.Load()), busy)
}

// Lately is the average time of a read, and whether there was one lately.
func (l *Latency) Lately(now time.Duration) (average time.Duration, isFresh bool) {
	return time.Duration(math.Float64frombits(l.average.Load())), now-time.Duration(l.at.Load()) < fresh && l.at.Load() > 0
}
