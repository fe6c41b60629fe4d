package pace

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

func TestLimiter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewLimiter(100)
		began := time.Now()
		for range 5 {
			if err := l.Wait(t.Context(), 50); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(began); took != 2*time.Second {
			t.Errorf("5 times 50 rows took %s at 100 each second, want 2s", took)
		}
		time.Sleep(10 * time.Second)
		began = time.Now()
		if err := l.Wait(t.Context(), 1000); err != nil || time.Since(began) != 0 {
			t.Errorf("the first rows after a rest waited %s, %v", time.Since(began), err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := l.Wait(ctx, 1); err == nil {
			t.Error("it didn't wait for those before")
		}
	})
}

func TestMeter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var m Meter
		for range 600 {
			m.Add(100)
			time.Sleep(100 * time.Millisecond)
		}
		if got := m.Rate(); got < 950 || got > 1050 {
			t.Errorf("%g rows each second, want 1000", got)
		}
		for range 300 {
			m.Add(10)
			time.Sleep(100 * time.Millisecond)
		}
		if got := m.Rate(); got < 90 || got > 200 {
			t.Errorf("%g rows each second, want about 100", got)
		}
	})
}
