package xact

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"time"

	"shardway/protocol"
	"shardway/shardmap"
)

// Recovery ends branches that were left in doubt, of this proxy and of others, and forgets old decisions. Several
// proxies may do so at once.
type Recovery struct {
	Transactions *Transactions
	Map          func() *shardmap.Map
	Every        time.Duration // between two looks at all shards
	// Grace says how long a branch of another proxy is left to it. A shorter time costs transactions, never atomicity.
	Grace func() time.Duration
	// Keep is how long decisions are kept after which no branch asks for them any more.
	Keep time.Duration
	// Spread says whether new transactions may run on several shards. Where they may not, servers that don't let
	// branches be seen are left alone.
	Spread func() bool
	Log    *slog.Logger

	pruned time.Time
	said   map[string]time.Time // by shard: since when its branches can't be looked at, as last logged
}

// Defaults of a Recovery.
const (
	DefaultEvery = time.Second
	DefaultKeep  = time.Hour
)

// pruneEvery is the time between two looks for old decisions, pruneAtOnce how many of a shard go with one look.
const (
	pruneEvery  = time.Minute
	pruneAtOnce = 1000
)

// roundWait bounds one look at one shard.
const roundWait = 10 * time.Second

// Run works until ctx is done.
func (r *Recovery) Run(ctx context.Context) {
	r.said = map[string]time.Time{}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		r.round(ctx)
		timer.Reset(r.Every)
	}
}

// found are the branches in doubt of one shard.
type found struct {
	shard    string
	branches []branch
	err      error
}

// branch is a prepared branch as its server lists it.
type branch struct {
	id    ID
	bqual string
}

// sql is the branch's XA id. Branches are only ever made by ID.Branch, so that there is nothing to quote.
func (b *branch) sql() string { return fmt.Sprintf("'%s','%s',%d", b.id, b.bqual, format) }

// round looks at all shards at once. A map of one shard has no transactions over several; it may have had.
func (r *Recovery) round(ctx context.Context) {
	m := r.Map()
	shards := m.Shards()
	all := make([]found, len(shards))
	several := len(shards) > 1 && r.Spread()
	var wg sync.WaitGroup
	for i, s := range shards {
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, roundWait)
			defer cancel()
			all[i] = r.shard(ctx, m, s.ID, several)
		})
	}
	wg.Wait()
	if ctx.Err() != nil {
		return
	}
	known := map[string]bool{}
	kept := map[ID]bool{}
	whole := true
	for i := range all {
		f := &all[i]
		r.say(f)
		whole = whole && f.err == nil
		for _, b := range f.branches {
			known[f.shard+" "+b.sql()] = true
			kept[b.id] = true
		}
	}
	r.Transactions.forgetBranches(known)
	if whole && time.Since(r.pruned) > pruneEvery {
		r.pruned = time.Now()
		for _, s := range shards {
			r.prune(ctx, s.ID, kept)
		}
	}
}

// sayAgain is the time between two lines of the log about one shard.
const sayAgain = time.Minute

// say logs what keeps a shard's branches from being looked at.
func (r *Recovery) say(f *found) {
	if f.err == nil {
		delete(r.said, f.shard)
		return
	}
	if time.Since(r.said[f.shard]) > sayAgain {
		r.said[f.shard] = time.Now()
		r.Log.Warn("transactions in doubt can't be looked for", "shard", f.shard, "error", f.err)
	}
}

// shard looks for branches in doubt on one shard and ends those whose time has come. It returns those that are left.
func (r *Recovery) shard(ctx context.Context, m *shardmap.Map, shard string, several bool) found {
	f := found{shard: shard}
	t := r.Transactions
	if several {
		if f.err = t.Ready(ctx, shard, m.Shard(shard).Primary.Addr); f.err != nil {
			return f
		}
	}
	f.branches, f.err = t.inDoubt(ctx, shard)
	if _, refused := errors.AsType[*protocol.Error](f.err); refused && !several {
		f.err = nil
	}
	left := f.branches[:0]
	for _, b := range f.branches {
		ended, err := r.end(ctx, m, shard, &b)
		if err != nil {
			f.err = errors.Join(f.err, err)
		}
		if !ended {
			left = append(left, b)
		}
	}
	f.branches = left
	t.count(shard, len(left))
	return f
}

// inDoubt lists the prepared branches of Shardway's on a shard's primary.
func (t *Transactions) inDoubt(ctx context.Context, shard string) ([]branch, error) {
	c, err := t.acquire(ctx, shard)
	if err != nil {
		return nil, err
	}
	defer c.Release()
	stop := context.AfterFunc(ctx, c.Interrupt)
	defer stop()
	res, err := c.Query("XA RECOVER")
	if err != nil {
		return nil, t.broken(ctx, c, err)
	}
	var list []branch
	for i := range res.Rows {
		number, _ := res.Get(i, "formatID")
		length, _ := res.Get(i, "gtrid_length")
		data, _ := res.Get(i, "data")
		n, err := strconv.Atoi(length)
		if number != strconv.Itoa(format) || err != nil || n > len(data) {
			continue
		}
		b := branch{ID(data[:n]), data[n:]}
		if _, err := strconv.ParseUint(b.bqual, 10, 64); err == nil && b.id.proxy() != "" && !strings.ContainsAny(data, `'\`) {
			list = append(list, b)
		}
	}
	return list, nil
}

// end ends a branch as its transaction was decided, unless it is in good hands.
func (r *Recovery) end(ctx context.Context, m *shardmap.Map, shard string, b *branch) (ended bool, err error) {
	t := r.Transactions
	first := t.firstSeen(shard + " " + b.sql())
	if t.isLive(b.id) {
		return false, nil
	}
	if own := b.id.proxy() == t.names.proxy; !own && time.Since(first) < r.Grace() {
		return false, nil
	}
	decider := b.id.shard(m)
	if decider == nil {
		return false, fmt.Errorf("branch %s: the map doesn't have the shard that decided it; it stays until that shard is back, or XA COMMIT or XA ROLLBACK by hand", b.sql())
	}
	committed, err := t.settle(ctx, b.id, decider.ID)
	if err != nil {
		return false, fmt.Errorf("branch %s: its transaction can't be decided: %w", b.sql(), err)
	}
	ended, here, err := t.finish(ctx, shard, b, committed)
	if here {
		t.counts.ended(committed)
		r.Log.Warn("a transaction in doubt was ended", "shard", shard, "branch", b.sql(), "committed", committed)
	}
	return ended, err
}

// finish ends a prepared branch; here says that it wasn't somebody else.
func (t *Transactions) finish(ctx context.Context, shard string, b *branch, commit bool) (ended, here bool, err error) {
	c, err := t.acquire(ctx, shard)
	if err != nil {
		return false, false, err
	}
	defer c.Release()
	stop := context.AfterFunc(ctx, c.Interrupt)
	defer stop()
	verb := "XA ROLLBACK "
	if commit {
		verb = "XA COMMIT "
	}
	_, err = c.Exec(verb + b.sql())
	switch {
	case err == nil:
		return true, true, nil
	case !isCode(err, codeUnknownXID):
		return false, false, t.broken(ctx, c, fmt.Errorf("%s%s: %w", verb, b.sql(), err))
	}
	// Another proxy has ended it, or the session that prepared it lives and nobody else may: its client has gone, or
	// waits for what is decided already, and the branch outlives it. MySQL from 8.0.29 on has no such rule.
	res, err := c.Query("XA RECOVER")
	if err != nil {
		return false, false, t.broken(ctx, c, err)
	}
	for i := range res.Rows {
		if data, _ := res.Get(i, "data"); data != string(b.id)+b.bqual {
			continue
		}
		if _, err := c.Exec("KILL " + b.bqual); err != nil && !isCode(err, codeNoSuchThread) {
			return false, false, t.broken(ctx, c, fmt.Errorf("KILL %s, which prepared branch %s: %w", b.bqual, b.sql(), err))
		}
		return false, false, nil
	}
	return true, false, nil
}

// codeNoSuchThread is the error of KILL for a connection that is gone.
const codeNoSuchThread = 1094

// prune deletes decisions that no branch will ask for.
func (r *Recovery) prune(ctx context.Context, shard string, kept map[ID]bool) {
	ctx, cancel := context.WithTimeout(ctx, roundWait)
	defer cancel()
	t := r.Transactions
	c, err := t.acquire(ctx, shard)
	if err != nil {
		return
	}
	defer c.Release()
	stop := context.AfterFunc(ctx, c.Interrupt)
	defer stop()
	res, err := c.Query(fmt.Sprintf("SELECT id FROM shardway.decisions WHERE at < CURRENT_TIMESTAMP - INTERVAL %d SECOND LIMIT %d",
		int(r.Keep.Seconds()), pruneAtOnce))
	if err != nil {
		_ = t.broken(ctx, c, err)
		return
	}
	var ids []string
	for _, row := range res.Rows {
		if row[0] != nil && !kept[ID(*row[0])] && !strings.ContainsAny(*row[0], `'\`) {
			ids = append(ids, "'"+*row[0]+"'")
		}
	}
	if len(ids) == 0 {
		return
	}
	if _, err := c.Exec("DELETE FROM shardway.decisions WHERE id IN (" + strings.Join(ids, ",") + ")"); err != nil {
		_ = t.broken(ctx, c, err)
	}
}

// firstSeen is when a branch in doubt was first seen.
func (t *Transactions) firstSeen(key string) time.Time {
	t.mu.Lock()
	defer t.mu.Unlock()
	at, ok := t.seen[key]
	if !ok {
		at = time.Now()
		t.seen[key] = at
	}
	return at
}

// forgetBranches drops all branches that aren't known any more.
func (t *Transactions) forgetBranches(known map[string]bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for key := range t.seen {
		if !known[key] {
			delete(t.seen, key)
		}
	}
}

// count takes over how many branches are in doubt on a shard.
func (t *Transactions) count(shard string, n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.doubt[shard] = n
}
