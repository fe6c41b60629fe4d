package sequence_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"shardway/protocol"
	"shardway/router/exec/sequence"
	"shardway/shardmap"
)

const document = `
version: 1
shards:
  s0: {primary: "127.0.0.1:1"}
  s1: {primary: "127.0.0.1:2"}
databases:
  shop:
    slots: 2
    owners: {s0: ["0"], s1: ["1"]}
    default_shard: s1
    tables:
      users: {key: id, placement: mod, sequence: id}
`

// server has the table of sequences as a server would, for the statements that are sent.
type server struct {
	mu     sync.Mutex
	schema bool
	next   map[string]uint64
	used   map[string]uint64 // the greatest id by shard
	asked  int
	err    error
}

func (s *server) Exec(_ context.Context, shard, sql string) (affected, id uint64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked++
	if s.err != nil {
		return 0, 0, s.err
	}
	if shard != "s1" {
		return 0, 0, fmt.Errorf("%s isn't where sequences are", shard)
	}
	var n, from, most uint64
	switch {
	case strings.HasPrefix(sql, "CREATE"):
		s.schema = true
		return 0, 0, nil
	case !s.schema:
		return 0, 0, protocol.Errorf(1146, "42S02", "Table 'shardway.sequences' doesn't exist")
	}
	if _, err := fmt.Sscanf(sql, "INSERT IGNORE INTO shardway.sequences (name, next) VALUES ('shop.users', %d)", &n); err == nil {
		if _, ok := s.next["shop.users"]; !ok {
			s.next["shop.users"] = n
		}
		return 1, 0, nil
	}
	next, ok := s.next["shop.users"]
	if !ok {
		return 0, 0, nil
	}
	if _, err := fmt.Sscanf(sql, "UPDATE shardway.sequences SET next = LAST_INSERT_ID(next) + %d WHERE name = 'shop.users' AND next <= %d", &n, &most); err == nil {
		if next > most {
			return 0, 0, nil
		}
		s.next["shop.users"] = next + n
		return 1, next, nil
	}
	if _, err := fmt.Sscanf(sql, "UPDATE shardway.sequences SET next = LAST_INSERT_ID(GREATEST(next, %d)) + %d WHERE name = 'shop.users'", &from, &n); err == nil {
		next = max(next, from)
		s.next["shop.users"] = next + n
		return 1, next, nil
	}
	return 0, 0, fmt.Errorf("unexpected %s", sql)
}

func (s *server) Number(_ context.Context, shard, sql string) (uint64, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if strings.HasPrefix(sql, "SELECT MAX(`id`) FROM `shop`.`users`") {
		n, ok := s.used[shard]
		return n, ok, nil
	}
	if !s.schema {
		return 0, false, protocol.Errorf(1049, "42000", "Unknown database 'shardway'")
	}
	n, ok := s.next["shop.users"]
	return n, ok, nil
}

func table(t *testing.T) (*shardmap.Map, *shardmap.Table) {
	t.Helper()
	m, err := shardmap.Parse([]byte(document))
	if err != nil {
		t.Fatal(err)
	}
	return m, m.Table("shop", "users")
}

func TestDraw(t *testing.T) {
	m, users := table(t)
	srv := &server{next: map[string]uint64{}, used: map[string]uint64{"s0": 40, "s1": 7}}
	var all sequence.Sequences
	draw := func(n int) uint64 {
		t.Helper()
		first, err := all.Draw(t.Context(), srv, m, users, n)
		if err != nil {
			t.Fatal(err)
		}
		return first
	}
	if got := draw(1); got != 41 {
		t.Errorf("the first number is %d, and the rows have 40", got)
	}
	if got := draw(5); got != 42 {
		t.Errorf("then %d", got)
	}
	// Another proxy's block is behind this one's.
	var other sequence.Sequences
	theirs, err := other.Draw(t.Context(), srv, m, users, 1)
	if err != nil || theirs != 141 {
		t.Errorf("another proxy draws %d, %v", theirs, err)
	}
	if got := draw(500); got <= theirs || srv.next["shop.users"] < got+500 {
		t.Errorf("500 numbers from %d on, where the sequence is at %d", got, srv.next["shop.users"])
	}
}

func TestPast(t *testing.T) {
	m, users := table(t)
	srv := &server{schema: true, next: map[string]uint64{"shop.users": 10}}
	var all sequence.Sequences
	past := func(n uint64) {
		t.Helper()
		if err := all.Past(t.Context(), srv, m, users, n); err != nil {
			t.Fatal(err)
		}
	}
	next := func() uint64 {
		t.Helper()
		n, err := all.Draw(t.Context(), srv, m, users, 1)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	past(500)
	if got := next(); got != 501 {
		t.Errorf("after 500 comes %d", got)
	}
	asked := srv.asked
	for n := uint64(502); n < 590; n++ {
		past(n)
	}
	if srv.asked != asked {
		t.Errorf("%d questions for numbers of the own block", srv.asked-asked)
	}
	past(3)
	if got := next(); got != 590 {
		t.Errorf("after 589 and 3 comes %d", got)
	}
	past(1 << 60)
	if got := next(); got != 591 {
		t.Errorf("after 2⁶⁰, which no sequence reaches, comes %d", got)
	}
	past(sequence.Max)
	if n, err := all.Draw(t.Context(), srv, m, users, 1); err == nil || !strings.Contains(err.Error(), "no numbers left") {
		t.Errorf("after the greatest number comes %d, %v", n, err)
	}
}

// TestGoesBack has the table lose its last change, as a failover can.
func TestGoesBack(t *testing.T) {
	m, users := table(t)
	srv := &server{schema: true, next: map[string]uint64{"shop.users": 10}}
	var all sequence.Sequences
	for range 100 {
		if _, err := all.Draw(t.Context(), srv, m, users, 1); err != nil {
			t.Fatal(err)
		}
	}
	srv.next["shop.users"] = 10
	if n, err := all.Draw(t.Context(), srv, m, users, 1); err != nil || n < 110 {
		t.Errorf("after 109, and a table that is at 10 again, comes %d, %v", n, err)
	}
}

func TestDrawTogether(t *testing.T) {
	m, users := table(t)
	srv := &server{next: map[string]uint64{}}
	var all sequence.Sequences
	var mu sync.Mutex
	var got []uint64
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			before := uint64(0)
			for range 200 {
				n, err := all.Draw(t.Context(), srv, m, users, 3)
				if err != nil || n <= before {
					t.Errorf("%d after %d, %v", n, before, err)
					return
				}
				before = n
				mu.Lock()
				got = append(got, n, n+1, n+2)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	slices.Sort(got)
	if twice := len(got) - len(slices.Compact(got)); twice > 0 {
		t.Errorf("%d numbers were handed out twice", twice)
	}
}

func TestFailures(t *testing.T) {
	m, users := table(t)
	srv := &server{schema: true, next: map[string]uint64{"shop.users": 10}, err: protocol.Errorf(1142, "42000", "UPDATE command denied")}
	var all sequence.Sequences
	if _, err := all.Draw(t.Context(), srv, m, users, 1); err == nil || !strings.Contains(err.Error(), "ALL on shardway.*") {
		t.Errorf("denied: %v", err)
	}
	srv.err = nil
	if n, err := all.Draw(t.Context(), srv, m, users, 1); err != nil || n != 10 {
		t.Errorf("afterwards %d, %v", n, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := all.Draw(ctx, srv, m, users, 1); err != nil && ctx.Err() == nil {
		t.Error(err)
	}
}
