package router

import (
	"fmt"
	"testing"
	"time"
)

func TestFailedLoginsSlowDownTheirOwn(t *testing.T) {
	var f failures
	now := time.Now()
	app := attempt{"192.0.2.1", "app"}
	for i, want := range []time.Duration{0, 0, 0, 100, 200, 400, 800, 1600, 3200, 5000, 5000} {
		got, ok := f.begin(app, now)
		if got != want*time.Millisecond || !ok {
			t.Errorf("login %d waits %v, %v, want %v", i, got, ok, want*time.Millisecond)
		}
		f.end(app, got > 0, false, now)
	}
	for _, other := range []attempt{{"192.0.2.2", "app"}, {"192.0.2.1", "other"}} {
		if got, ok := f.begin(other, now); got != 0 || !ok {
			t.Errorf("%v waits %v", other, got)
		}
	}
	for range waitingLogins {
		if _, ok := f.begin(app, now); !ok {
			t.Fatal("refused too early")
		}
	}
	if _, ok := f.begin(app, now); ok {
		t.Error("one more than may wait does")
	}
	f.end(app, true, true, now)
	if got, _ := f.begin(app, now); got != 0 {
		t.Errorf("after one that went well: %v", got)
	}
	for range 5 {
		f.end(app, false, false, now)
	}
	if got, _ := f.begin(app, now.Add(forgetFailures+1)); got != 0 {
		t.Errorf("after a long time: %v", got)
	}
	for i := range 3 * knownFailures {
		f.end(attempt{"192.0.2.3", fmt.Sprint(i)}, false, false, now)
	}
	if len(f.byWho) != knownFailures || f.order.Len() != knownFailures {
		t.Errorf("%d and %d are known", len(f.byWho), f.order.Len())
	}
}
