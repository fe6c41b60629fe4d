package rebalance

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"shardway/shardmap"
	"shardway/shardmap/gtid"
	"shardway/shardmap/rebalance/follow"
	"shardway/shardmap/rebalance/rows"
	"shardway/shardmap/server"
)

// side is the primary of one of the two shards of a move.
type side struct {
	shard *shardmap.Shard
	addr  string
	db    *sql.DB
	s     *rows.Session
}

func (v *mover) connect(ctx context.Context, sh *shardmap.Shard, addr string) (*side, error) {
	db, err := v.r.Account.Open(addr)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", addr, err)
	}
	ctx, cancel := context.WithTimeout(ctx, v.r.Statement)
	defer cancel()
	s, err := rows.Connect(ctx, db, addr)
	if err != nil {
		_ = db.Close() // nothing is left unwritten
		return nil, err
	}
	s.CountStatements(v.r.pace.Own(addr))
	e := &side{shard: sh, addr: addr, db: db, s: s}
	var id int64
	list, err := s.Query(ctx, "SELECT CONNECTION_ID()")
	if err == nil {
		defer list.Close()
		if list.Next() {
			err = list.Scan(&id)
		}
	}
	if err != nil {
		e.close()
		return nil, fmt.Errorf("%s: %w", addr, err)
	}
	v.connected(addr, id)
	return e, nil
}

func (e *side) close() {
	if e != nil {
		_ = e.s.Close() // what isn't committed is undone
		_ = e.db.Close()
	}
}

// table is one that a flow keeps alike.
type table struct {
	name  string
	shape *rows.Table
	where string // the rows of the move; "" is all of a reference table
	tableState
	total  uint64 // an estimate
	slotIn int    // the key's column among those of the primary key, if it and those before are integers; else -1
	behind map[rows.Key]change
}

// slotIn finds the column by which a row is placed among those of the primary
// key, if the slot can be told from a key's text, or is -1.
func slotIn(t *shardmap.Table, shape *rows.Table) int {
	if t.Placement != shardmap.Mod {
		return -1
	}
	for n, i := range shape.Key {
		switch c := shape.Columns[i]; {
		case !strings.HasSuffix(c.Data, "int"):
			return -1
		case strings.EqualFold(c.Name, t.Key):
			return n
		}
	}
	return -1
}

// outside says whether a row is known not to be in a move's slots, by its key.
func (t *table) outside(mv *shardmap.Move, key rows.Key) bool {
	if t.slotIn < 0 {
		return false
	}
	text := string(key)
	for range t.slotIn {
		_, text, _ = strings.Cut(text, ",")
	}
	text, _, _ = strings.Cut(text, ",")
	slots := mv.Database.Slots
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		return !mv.Has(int((n%int64(slots) + int64(slots)) % int64(slots)))
	}
	if n, err := strconv.ParseUint(text, 10, 64); err == nil {
		return !mv.Has(int(n % uint64(slots)))
	}
	return false
}

// change is a row that hasn't been found equal on both sides since it changed.
type change struct {
	at    time.Time
	tries int // found to differ, without having changed meanwhile
}

// mark is a position, and when it was the one that had been followed to.
type mark struct {
	position gtid.Set
	at       time.Time
}

// flow keeps the copies of a move's rows as they are at the slots' owner. What
// it writes was read at a moment not before the position in its state.
type flow struct {
	v        *mover
	mv       *shardmap.Move
	from, to *side
	read     *side // a replica of from; nil when there is none
	waited   int   // how often it didn't have in time what was followed to
	replicas []*server.Server
	state    *state
	tables   []*table
	stream   *follow.Stream
	changed  changes      // what it has given and isn't taken over
	strays   *look        // for these, on the way back
	saved    time.Time    // when the state was last written
	tried    time.Time    // when the replicas were last connected to, for their lag
	looked   time.Time    // when the servers were last looked at
	strain   string       // what was found
	chunk    int          // rows of the next chunk
	wrote    atomic.Int64 // nanoseconds that the last one took to be written
	mark     mark
	limit    time.Duration // of what is done whole
	tracks   bool          // rows that change are noted as behind
	verified bool          // all has been found equal, but what is behind
	copies   bool          // it has one of the places for those that copy
}

func (f *flow) close() {
	if f.stream != nil {
		_ = f.stream.Close() // it only reads
	}
	f.from.close()
	f.to.close()
	f.read.close()
	closeAll(f.replicas)
	f.release()
}

// flow opens what keeps the copies of a move like the owner's rows, from where
// the last engine has left it, or from the start.
func (v *mover) flow(ctx context.Context, mv *shardmap.Move, k kind) (_ *flow, err error) {
	v.phase(PhasePrepare, "look at the servers")
	f := &flow{v: v, mv: mv, chunk: min(first, v.r.Chunk), limit: v.r.Statement}
	defer func() {
		if err != nil {
			f.close()
		}
	}()
	from, copies := mv.Owner(), mv.Copies()
	if f.from, err = v.connect(ctx, from, from.Primary.Addr); err != nil {
		return nil, err
	}
	if f.to, err = v.connect(ctx, copies, copies.Primary.Addr); err != nil {
		return nil, err
	}
	f.openReplica(ctx)
	mark, err := makeState(ctx, f.to.db, f.to.addr)
	if err != nil {
		return nil, err
	}
	// The tables of the engine at the other side: what is written there by
	// other moves, and later by this one, is marked by them.
	marks := []*rows.Table{mark}
	if other, err := rows.Describe(ctx, f.from.db, "shardway", "rebalances"); err == nil {
		marks = []*rows.Table{other}
	}
	f.state = &state{s: f.to.s, addr: f.to.addr, token: v.r.token, db: v.db, move: v.id, kind: k}
	known, err := f.state.load(ctx)
	if err != nil {
		return nil, err
	}
	carry := carries(mv)
	if err := f.describe(ctx, carry); err != nil {
		return nil, err
	}
	if known {
		if known, err = f.inHistory(ctx); err != nil {
			return nil, err
		}
		if !known {
			v.r.warn("move %s of %s is copied anew: %s doesn't have the transactions up to which it was followed, %s", v.id, v.db, f.from.addr, f.state.position)
		}
	}
	if !known {
		f.state.carries = carry
		// Statements that were planned by a map without the move don't leave the
		// copies out.
		if err := v.r.passed(ctx, copies, v.r.current().Version(), v.say); err != nil {
			return nil, err
		}
		if err := f.views(ctx); err != nil {
			return nil, err
		}
		if err := f.anew(ctx); err != nil {
			return nil, err
		}
	} else {
		v.update(func(p *MoveProgress) {
			was := f.state.progress
			p.Rows, p.Changes, p.Pause, p.Tries, p.Strays = max(p.Rows, was.Rows), max(p.Changes, was.Changes), max(p.Pause, was.Pause), max(p.Tries, was.Tries), was.Strays
		})
	}
	for _, t := range f.tables {
		t.tableState = f.state.tables[t.name]
	}
	if !f.copied() {
		f.state.equal = gtid.Set{}
	}
	if !f.state.equal.IsEmpty() {
		// What has changed since is read, and compared, again.
		f.verified, f.tracks, f.state.position = true, true, f.state.equal
	}
	f.stream, err = f.follow(ctx, f.from, f.state.position, marks)
	if e, ok := errors.AsType[*follow.Error](err); ok && e.Purged {
		v.r.warn("move %s of %s is copied anew: %s", v.id, v.db, e)
		if err := f.anew(ctx); err != nil {
			return nil, err
		}
		for _, t := range f.tables {
			t.tableState = tableState{}
		}
		f.stream, err = f.follow(ctx, f.from, f.state.position, marks)
	}
	return f, err
}

// openReplica connects to a replica to read from, if there is one that answers.
func (f *flow) openReplica(ctx context.Context) {
	if f.v.r.NoReplicas {
		return
	}
	for _, s := range f.from.shard.Replicas {
		within, cancel := context.WithTimeout(ctx, 2*time.Second)
		e, err := f.v.connect(within, f.from.shard, s.Addr)
		cancel()
		if err == nil {
			f.read = e
			return
		}
	}
}

// openReplicas connects to the replicas of the shard that is written to. All of
// them are needed for a switch.
func (f *flow) openReplicas(ctx context.Context) (err error) {
	if len(f.replicas) < len(f.to.shard.Replicas) {
		closeAll(f.replicas)
		f.replicas, err = f.v.r.replicas(ctx, f.to.shard)
	}
	return err
}

// first is how many rows the first chunk has: how long they take isn't known.
const first = 500

// looksEvery is how often the servers are looked at while rows are worked on.
const looksEvery = 500 * time.Millisecond

// strained says why nothing should be copied just now, or is "".
func (f *flow) strained(ctx context.Context) string {
	if time.Since(f.looked) < looksEvery {
		return f.strain
	}
	f.strain = f.look(ctx)
	f.looked = time.Now()
	return f.strain
}

func (f *flow) look(ctx context.Context) string {
	if time.Since(f.tried) > 10*time.Second {
		// Those that can't be reached can't be waited for; a switch says so.
		f.tried = time.Now()
		_ = f.openReplicas(ctx)
	}
	return f.v.r.strained(ctx, []*side{f.from, f.to, f.read}, f.replicas)
}

// describe reads what the tables are on both sides, and makes those that the
// side of the copies doesn't have.
func (f *flow) describe(ctx context.Context, carry bool) error {
	f.v.r.making.Lock()
	defer f.v.r.making.Unlock()
	f.tables = nil
	d := f.mv.Database
	owned := len(d.Owned(f.from.shard.ID))
	for _, t := range d.Tables {
		if t.Reference && !carry {
			continue
		}
		shape, err := rows.Describe(ctx, f.from.db, d.Name, t.Name)
		if errors.Is(err, rows.ErrNoTable) {
			continue // it is in the map alone
		}
		if err != nil {
			return err
		}
		if problems := shape.Problems(); len(problems) > 0 {
			return stop("%s: rows of %s can't be moved: %s", f.from.addr, shape, strings.Join(problems, "; "))
		}
		other, err := rows.Describe(ctx, f.to.db, d.Name, t.Name)
		if errors.Is(err, rows.ErrNoTable) {
			if err := f.to.s.Create(ctx, shape); err != nil {
				return err
			}
			other, err = rows.Describe(ctx, f.to.db, d.Name, t.Name)
		}
		if err != nil {
			return err
		}
		if differ := shape.Diff(other); len(differ) > 0 {
			return stop("%s of %s is another table at %s: %s; make them alike first", shape, f.from.addr, f.to.addr, strings.Join(differ, "; "))
		}
		e := &table{name: t.Name, shape: shape, behind: map[rows.Key]change{}, total: uint64(max(shape.Rows, 0))}
		e.slotIn = -1
		if t.Sharded() {
			e.where, e.slotIn = f.mv.SlotSQL(t, ""), slotIn(t, shape)
			e.total = uint64(max(shape.Rows, 0)) * uint64(len(f.mv.Slots())) / uint64(max(owned, 1))
		}
		f.tables = append(f.tables, e)
	}
	if len(f.tables) == 0 {
		return stop("%s has no table of %s that the map lists", f.from.addr, d.Name)
	}
	return nil
}

// inHistory says whether the owner's primary has the transactions up to which
// its binary log was followed. One that became the primary by a failover may not.
func (f *flow) inHistory(ctx context.Context) (bool, error) {
	query := "SELECT @@GLOBAL.gtid_executed"
	if f.from.s.MariaDB() {
		query = "SELECT CONCAT(@@GLOBAL.gtid_binlog_state, ',', @@GLOBAL.gtid_slave_pos)"
	}
	var text string
	if err := f.from.db.QueryRowContext(ctx, query).Scan(&text); err != nil {
		return false, fmt.Errorf("%s: %w", f.from.addr, err)
	}
	has, err := gtid.Parse(text)
	if err != nil {
		return false, fmt.Errorf("%s: %w", f.from.addr, err)
	}
	return has.Covers(f.state.position), nil
}

// anew forgets what has been copied: the copying begins with the position that
// the owner has now.
func (f *flow) anew(ctx context.Context) error {
	at, err := follow.Current(ctx, f.from.db)
	if err != nil {
		return err
	}
	// What branches changed that were prepared before isn't in the binary log
	// after the position. Chunks that are read when they have ended have it.
	if err := f.v.branchesEnd(ctx, f.from); err != nil {
		return err
	}
	f.verified, f.tracks, f.mark = false, false, mark{}
	f.state.position, f.state.equal = at, gtid.Set{}
	f.v.update(func(p *MoveProgress) { p.Rows, p.Changes, p.TablesDone = 0, 0, 0 })
	return f.state.create(ctx)
}

// branchesEnd waits until the XA branches that are prepared now have ended.
func (v *mover) branchesEnd(ctx context.Context, e *side) error {
	first, err := branches(ctx, e)
	for err == nil && len(first) > 0 {
		var now map[string]bool
		if now, err = branches(ctx, e); err != nil {
			break
		}
		for b := range first {
			if !now[b] {
				delete(first, b)
			}
		}
		if len(first) == 0 {
			break
		}
		v.say(fmt.Sprintf("%d XA branches are prepared at %s and haven't ended: XA RECOVER there shows them", len(first), e.addr))
		if !sleep(ctx, 20*time.Millisecond) {
			return context.Cause(ctx)
		}
	}
	if err == nil {
		v.say("")
	}
	return err
}

// branches are the prepared XA branches of a server.
func branches(ctx context.Context, e *side) (map[string]bool, error) {
	list, err := e.s.Query(ctx, "XA RECOVER")
	if err != nil {
		if server.Code(err) == 1401 {
			return nil, stop("%s: GRANT XA_RECOVER_ADMIN ON *.* to the account: it must see which transactions are prepared: %w", e.addr, err)
		}
		return nil, fmt.Errorf("%s: XA RECOVER: %w", e.addr, err)
	}
	defer list.Close()
	all := map[string]bool{}
	for list.Next() {
		var format, global, branch int64
		var id []byte
		if err := list.Scan(&format, &global, &branch, &id); err != nil {
			return nil, fmt.Errorf("%s: XA RECOVER: %w", e.addr, err)
		}
		all[fmt.Sprintf("%d,%d,%x", format, global, id)] = true
	}
	return all, list.Err()
}

// follow starts to read a server's binary log.
func (f *flow) follow(ctx context.Context, e *side, from gtid.Set, marks []*rows.Table) (*follow.Stream, error) {
	a := f.v.r.Account
	source := follow.Source{Addr: e.addr, User: a.User, Password: a.Password, Plain: a.Plain, MariaDB: e.s.MariaDB()}
	if a.TLS != nil && !strings.HasPrefix(e.addr, "unix:") {
		host, _, err := net.SplitHostPort(e.addr)
		if err != nil {
			return nil, fmt.Errorf("the address %q: %w", e.addr, err)
		}
		if source.TLS, err = a.TLS(host); err != nil {
			return nil, err
		}
	}
	o := follow.Options{From: from, Marks: marks}
	for _, t := range f.tables {
		o.Tables = append(o.Tables, t.shape)
	}
	ctx, cancel := context.WithTimeout(ctx, f.v.r.Statement)
	defer cancel()
	return follow.Start(ctx, source, o)
}

// copied says whether all tables have been gone over.
func (f *flow) copied() bool {
	for _, t := range f.tables {
		if !t.done {
			return false
		}
	}
	return true
}

// behind is the number of rows that haven't been found equal since they changed.
func (f *flow) behind() int {
	n := 0
	for _, t := range f.tables {
		n += len(t.behind)
	}
	return n
}
