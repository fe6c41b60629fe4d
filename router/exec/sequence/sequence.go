package sequence

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"shardway/protocol"
	"shardway/shardmap"
)

// Max is the greatest number that is handed out: the greatest that all drivers can represent, those among them whose
// numbers are floating point.
const Max = 1<<53 - 1

// Blocks grow while they last less than blockAge, from firstBlock to lastBlock numbers.
const (
	firstBlock = 100
	lastBlock  = 10_000
	blockAge   = time.Second
)

// Server runs statements at the primaries of shards, each committed by itself.
type Server interface {
	// Exec returns the number of affected rows and the insert id.
	Exec(ctx context.Context, shard, sql string) (affected, id uint64, err error)
	// Number returns the one number that a query gives, and false when it gives none.
	Number(ctx context.Context, shard, sql string) (n uint64, ok bool, err error)
}

// Sequences are the sequences of all tables. The zero value is ready, and safe for concurrent use.
type Sequences struct {
	mu   sync.Mutex
	byID map[string]*sequence
}

// sequence is one table's. Who has taken its turn owns the other fields.
type sequence struct {
	turn chan struct{} // of one
	next uint64        // of the block
	left uint64        // in the block
	size uint64        // of the block
	at   time.Time     // when it was taken
}

// of is the sequence of a table, with its turn taken: give it back by done.
func (all *Sequences) of(ctx context.Context, id string) (s *sequence, done func(), err error) {
	all.mu.Lock()
	s = all.byID[id]
	if s == nil {
		if all.byID == nil {
			all.byID = map[string]*sequence{}
		}
		s = &sequence{turn: make(chan struct{}, 1)}
		all.byID[id] = s
	}
	all.mu.Unlock()
	select {
	case s.turn <- struct{}{}:
		return s, func() { <-s.turn }, nil
	case <-ctx.Done():
		return nil, nil, context.Cause(ctx)
	}
}

// ID is a table's name in shardway.sequences.
func ID(t *shardmap.Table) string { return strings.ToLower(t.Database.Name + "." + t.Name) }

// Draw returns the first of n numbers that follow one another. The error is the client's.
func (all *Sequences) Draw(ctx context.Context, at Server, m *shardmap.Map, t *shardmap.Table, n int) (uint64, error) {
	s, done, err := all.of(ctx, ID(t))
	if err != nil {
		return 0, err
	}
	defer done()
	if s.left < uint64(n) {
		s.size = size(s, n)
		first, err := take(ctx, at, m, t, s.size)
		if err == nil && first < s.next {
			// The table has gone back, as after a failover to a server that missed what the old one had committed.
			first, err = pass(ctx, at, m, t, s.next+s.left-1, s.size)
		}
		if err != nil {
			s.size = 0
			return 0, err
		}
		s.next, s.left, s.at = first, s.size, time.Now()
	}
	first := s.next
	s.next += uint64(n)
	s.left -= uint64(n)
	return first, nil
}

// size is how many numbers the next block has.
func size(s *sequence, n int) uint64 {
	next := uint64(firstBlock)
	if s.size > 0 {
		next = s.size
		if time.Since(s.at) < blockAge {
			next *= 2
		}
	}
	return max(min(next, lastBlock), uint64(n))
}

// Past moves the sequence past a number that a row brings itself, so that it isn't handed out later. One above Max never is.
func (all *Sequences) Past(ctx context.Context, at Server, m *shardmap.Map, t *shardmap.Table, n uint64) error {
	if n > Max {
		return nil
	}
	s, done, err := all.of(ctx, ID(t))
	if err != nil {
		return err
	}
	defer done()
	switch {
	case s.size > 0 && n < s.next:
		return nil
	case n-s.next < s.left:
		s.left -= n + 1 - s.next
		s.next = n + 1
		return nil
	}
	// The next rows are likely to bring the numbers behind this one: they are taken as a block.
	s.size = size(s, 0)
	first, err := pass(ctx, at, m, t, n, s.size)
	if err != nil {
		s.size, s.left = 0, 0
		return err
	}
	s.next, s.left, s.at = first, s.size, time.Now()
	if last := s.next + s.left; last > Max+1 {
		s.left -= min(s.left, last-(Max+1))
	}
	return nil
}

// take takes a block of n numbers, making the sequence if there is none.
func take(ctx context.Context, at Server, m *shardmap.Map, t *shardmap.Table, n uint64) (first uint64, err error) {
	sql := fmt.Sprintf("UPDATE shardway.sequences SET next = LAST_INSERT_ID(next) + %d WHERE name = %s AND next <= %d", n, quote(ID(t)), Max+1-int64(min(n, Max)))
	return update(ctx, at, m, t, sql)
}

// pass takes the n numbers behind one that is in use, or those behind the sequence's own next one where that is greater.
func pass(ctx context.Context, at Server, m *shardmap.Map, t *shardmap.Table, used, n uint64) (first uint64, err error) {
	sql := fmt.Sprintf("UPDATE shardway.sequences SET next = LAST_INSERT_ID(GREATEST(next, %d)) + %d WHERE name = %s", min(used, Max)+1, n, quote(ID(t)))
	return update(ctx, at, m, t, sql)
}

// update runs an UPDATE of the sequence's row and returns the id that it tells.
func update(ctx context.Context, at Server, m *shardmap.Map, t *shardmap.Table, sql string) (uint64, error) {
	home := t.Database.Default.ID
	for try := 0; ; try++ {
		affected, first, err := at.Exec(ctx, home, sql)
		switch {
		case err == nil && affected > 0:
			return first, nil
		case try == 2:
			return 0, protocol.Errorf(1467, "HY000", "shardway: the sequence of %s has no numbers left below %d: row %s of shardway.sequences on shard %s", ID(t), uint64(Max), quote(ID(t)), home)
		case err == nil || missing(err):
			if err := create(ctx, at, m, t); err != nil {
				return 0, err
			}
		default:
			return 0, failed(t, home, err)
		}
	}
}

// create makes the sequence where there is none, behind the greatest number that any row has.
func create(ctx context.Context, at Server, m *shardmap.Map, t *shardmap.Table) error {
	home := t.Database.Default.ID
	_, ok, err := at.Number(ctx, home, "SELECT next FROM shardway.sequences WHERE name = "+quote(ID(t)))
	switch {
	case err == nil && ok:
		return nil
	case err != nil && !missing(err):
		return failed(t, home, err)
	case err != nil:
		for _, sql := range []string{
			"CREATE DATABASE IF NOT EXISTS shardway",
			"CREATE TABLE IF NOT EXISTS shardway.sequences (name VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL PRIMARY KEY, next BIGINT UNSIGNED NOT NULL) ENGINE=InnoDB",
		} {
			if _, _, err := at.Exec(ctx, home, sql); err != nil {
				return failed(t, home, err)
			}
		}
	}
	var used uint64
	for _, shard := range m.Shards() {
		if t.Reference && !t.Database.Holds(shard) || !t.Reference && len(t.Database.Owned(shard.ID)) == 0 {
			continue
		}
		n, ok, err := at.Number(ctx, shard.ID, fmt.Sprintf("SELECT MAX(%s) FROM %s.%s WHERE %[1]s BETWEEN 1 AND %[4]d", name(t.Sequence), name(t.Database.Name), name(t.Name), uint64(Max)))
		if err != nil {
			return failed(t, shard.ID, err)
		}
		if ok {
			used = max(used, n)
		}
	}
	_, _, err = at.Exec(ctx, home, fmt.Sprintf("INSERT IGNORE INTO shardway.sequences (name, next) VALUES (%s, %d)", quote(ID(t)), used+1))
	if err != nil {
		return failed(t, home, err)
	}
	return nil
}

// missing reports whether a server has no such schema or table.
func missing(err error) bool {
	e, ok := errors.AsType[*protocol.Error](err)
	return ok && (e.Code == 1146 || e.Code == 1049)
}

func failed(t *shardmap.Table, shard string, err error) error {
	code, state, text := uint16(1105), "HY000", err.Error()
	if e, ok := errors.AsType[*protocol.Error](err); ok {
		code, state, text = e.Code, e.State, e.Message
	}
	hint := ""
	switch code {
	case 1044, 1142, 1227:
		hint = ": Shardway's account there needs ALL on shardway.*"
	}
	return protocol.Errorf(code, state, "shardway: no number for a row of %s: shard %s: %s%s", ID(t), shard, strings.TrimPrefix(text, "shardway: "), hint)
}

func quote(s string) string { return "'" + strings.NewReplacer(`\`, `\\`, `'`, `''`).Replace(s) + "'" }

func name(s string) string { return "`" + strings.ReplaceAll(s, "`", "``") + "`" }
