package shardmap_test

import (
	"slices"
	"sync"
	"testing"

	"shardway/shardmap"
)

func TestLive(t *testing.T) {
	m := mustParse(t, shopMap)
	live := shardmap.NewLive(m)
	var a, b []uint64
	cancelA := live.Subscribe(func(m *shardmap.Map) { a = append(a, m.Version()) })
	var cancelB func()
	cancelB = live.Subscribe(func(m *shardmap.Map) {
		b = append(b, m.Version())
		cancelB()
	})
	for v := uint64(2); v <= 4; v++ {
		live.Swap(m.WithVersion(v))
		if got := live.Current().Version(); got != v {
			t.Errorf("current is %d, want %d", got, v)
		}
	}
	cancelA()
	cancelA()
	live.Swap(m.WithVersion(5))
	if !slices.Equal(a, []uint64{2, 3, 4}) || !slices.Equal(b, []uint64{2}) {
		t.Errorf("subscribers saw %v and %v", a, b)
	}
}

func TestLiveOrder(t *testing.T) {
	m := mustParse(t, shopMap)
	live := shardmap.NewLive(m)
	var a, b []uint64
	live.Subscribe(func(m *shardmap.Map) { a = append(a, m.Version()) })
	live.Subscribe(func(m *shardmap.Map) { b = append(b, m.Version()) })
	var wg sync.WaitGroup
	for v := range 50 {
		wg.Go(func() { live.Swap(m.WithVersion(uint64(v + 1))) })
	}
	wg.Wait()
	if !slices.Equal(a, b) || len(a) != 50 || live.Current().Version() != a[49] {
		t.Errorf("subscribers saw different orders:\n%v\n%v", a, b)
	}
}

func TestLiveChanged(t *testing.T) {
	first := mustParse(t, shopMap)
	live := shardmap.NewLive(first)
	rung := live.Changed(first)
	select {
	case <-rung:
		t.Error("it has changed, and nobody changed it")
	default:
	}
	second := first.WithVersion(2)
	live.Swap(second)
	<-rung
	<-live.Changed(first)
	select {
	case <-live.Changed(second):
		t.Error("the new map has changed, and nobody changed it")
	default:
	}
}
