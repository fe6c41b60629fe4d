package pace

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// TestPacerGentle: a server counts as used when others run statements there, or
// when that isn't known.
func TestPacerGentle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, all := New(50), map[string]int64{"a": 1 << 40, "b": 7}
		// look lets a second pass in which a server runs so many statements, ours
		// among them.
		look := func(addr string, statements, ours int64) {
			time.Sleep(time.Second)
			all[addr] += statements
			p.Own(addr).Add(ours)
			p.Seen(addr, all[addr])
		}
		is := func(want bool, when string) {
			t.Helper()
			if got := p.Gentle(); got != want {
				t.Errorf("%s: gentle is %v, want %v", when, got, want)
			}
		}
		is(true, "before any look")
		look("a", 0, 0)
		is(true, "after the first look")
		look("a", 20, 0)
		is(false, "after a second of a few statements")
		look("b", 0, 0)
		is(true, "after the first look at another server")
		for range 3 {
			look("a", 5000, 5000)
			look("b", 2000, 1950)
		}
		is(false, "with the engine's own statements")
		look("b", 2000, 1000)
		is(true, "with others'")
		p.Seen("b", all["b"]+5)
		is(true, "after a look right behind the last")
		look("b", 10, 0)
		is(true, "a second later")
		look("a", 0, 0)
		is(false, "two seconds later")
		// A server that is started again counts from 0.
		all["b"] = 0
		look("b", 10, 0)
		is(false, "after a restart")
	})
}

// TestPacerStep: while clients use the servers one step is done at a time, and
// rests are as long as is asked for; else nobody waits.
func TestPacerStep(t *testing.T) {
	for _, c := range []struct {
		name  string
		share int
		used  bool
		step  time.Duration
		want  time.Duration // for three steps of each of two at work
	}{
		{"idle", 50, false, 20 * time.Millisecond, 60 * time.Millisecond},
		{"half", 50, true, 20 * time.Millisecond, 6*20*time.Millisecond + 5*20*time.Millisecond},
		{"a fifth", 20, true, 20 * time.Millisecond, 6*20*time.Millisecond + 5*80*time.Millisecond},
		{"all", 100, true, 20 * time.Millisecond, 60 * time.Millisecond},
		{"long steps", 1, true, time.Second, 6*time.Second + 5*longestRest},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := New(c.share)
				p.Seen("a", 0)
				if !c.used {
					time.Sleep(usedFor)
				} else { // for as long as the test goes on
					p.get("a").used = time.Now().Add(time.Minute)
				}
				began := time.Now()
				var wg sync.WaitGroup
				for range 2 {
					wg.Go(func() {
						for range 3 {
							if _, err := p.Step(t.Context(), func() error { time.Sleep(c.step); return nil }); err != nil {
								t.Error(err)
							}
						}
					})
				}
				wg.Wait()
				if took := time.Since(began); took != c.want {
					t.Errorf("it took %s, want %s", took, c.want)
				}
			})
		})
	}
}

// TestPacerStepEnds: who waits for its turn, or rests, ends with its context, and
// the error of the work, and its time, are the step's.
func TestPacerStepEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := New(1)
		wrong, ended := errors.New("wrong"), errors.New("ended")
		if took, err := p.Step(t.Context(), func() error { time.Sleep(time.Second); return wrong }); !errors.Is(err, wrong) || took != time.Second {
			t.Errorf("the error is %v after %s, want the work's after a second", err, took)
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		var wg sync.WaitGroup
		for range 2 { // one rests, one waits for it
			wg.Go(func() {
				if _, err := p.Step(ctx, func() error { t.Error("it works"); return nil }); !errors.Is(err, ended) {
					t.Errorf("the error is %v, want the context's", err)
				}
			})
		}
		synctest.Wait()
		cancel(ended)
		wg.Wait()
		if _, err := p.Step(t.Context(), func() error { return nil }); err != nil {
			t.Errorf("the next one isn't let in: %v", err)
		}
	})
}

func TestPacerRows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := New(50)
		p.Seen("a", 0)
		for _, c := range []struct {
			used       bool
			size, most int
			took       time.Duration
			want       int
		}{
			{false, 500, 10000, 20 * time.Millisecond, 1000},
			{false, 8000, 10000, 100 * time.Millisecond, 10000},
			{false, 8000, 10000, 300 * time.Millisecond, 8000},
			{false, 8000, 10000, time.Second, 4000},
			{true, 8000, 10000, 200 * time.Millisecond, 800},
			{true, 800, 10000, 10 * time.Millisecond, 800},
			{true, 800, 10000, time.Millisecond, 1600},
			{true, 800, 10000, time.Second, fewest},
			{true, 50, 50, time.Second, 50},
		} {
			p.get("a").used = time.Now()
			if !c.used {
				time.Sleep(usedFor)
			}
			if got := p.Rows(c.size, c.most, c.took, 500*time.Millisecond); got != c.want {
				t.Errorf("used %v: %d rows of at most %d took %s: the next are %d, want %d", c.used, c.size, c.most, c.took, got, c.want)
			}
		}
	})
}
