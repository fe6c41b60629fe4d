package exec

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"shardway/protocol"
	"shardway/router/backend"
	"shardway/router/exec/gather"
	"shardway/router/plan"
	"shardway/shardmap"
)

// Gathering is a SELECT that runs on one server, over rows that are brought there from other shards.
type Gathering struct {
	Plan *plan.Gather
	// Rows and Bytes bound what is brought; 0 is no limit.
	Rows, Bytes uint64
	// Lock keeps the rows as they are until the transaction ends in which they are read.
	Lock bool
	// Found asks for FOUND_ROWS() after the statement.
	Found bool
	// Explain, such as EXPLAIN FORMAT=JSON, stands before each query for rows, and before the statement once they are there:
	// the reply is what the servers say to that, in this order. "" runs the statement.
	Explain string
}

// Gathered is what a Gathering has brought.
type Gathered struct {
	Copies      int
	Rows, Bytes uint64
}

// gathering is the work on a Gathering.
type gathering struct {
	s    *Session
	g    *Gathering
	r    *Request
	home *backend.Conn // where the statement is finished
	made []string      // the statements that end the temporary tables
	// filled are the copies that have their rows, as the plan lists them.
	filled []filled
	plans  gather.Plans
	got    Gathered
	tell   *protocol.Result // SHOW WARNINGS of the statement

	struck   bool        // a kill was sent
	expired  atomic.Bool // its time is over
	unlogged bool        // sql_log_bin was turned off
	begun    bool        // a temporary table may exist
	ceiling  int         // of connections to one server
}

// Gather brings rows to one server as the plan says, runs r there and relays the reply without flushing it. r is as for
// Run, with the text of the plan's own SQL; its Shard and Role don't matter. An error is as Run's. Outcome.Warnings are the
// statement's own, since its connection isn't kept.
func (s *Session) Gather(ctx context.Context, g *Gathering, r *Request) (Outcome, Gathered, error) {
	if err := s.spared(); err != nil {
		return Outcome{}, Gathered{}, err
	}
	s.AskInsertID()
	s.let(whyShort)
	w := &gathering{s: s, g: g, r: r}
	end := w.limit(ctx, r.Timeout)
	out, err := w.run(ctx)
	end()
	w.over()
	if w.struck || w.expired.Load() {
		switch e, ok := errors.AsType[*protocol.Error](err); {
		case err == nil, out.Reply.FirstByte:
		case w.expired.Load():
			err = protocol.Errorf(3024, "HY000", "shardway: stopped after %v, as its timeout asks", r.Timeout)
		case !ok || e.Code != 1317:
			err = killed()
		}
	}
	out.Warnings = w.tell
	return out, w.got, err
}

func (w *gathering) run(ctx context.Context) (out Outcome, err error) {
	s, p := w.s, w.g.Plan
	defer func() {
		if c := w.home; c != nil { // it wasn't given back in good order
			w.over()
			c.Discard("gather")
		}
	}()
	if err := w.enter(ctx); err != nil {
		return out, err
	}
	defer s.x.rooms.Leave(p.Shard.ID)
	if err := w.open(ctx); err != nil {
		return out, err
	}
	out.Server = w.home.Addr()
	for i := range p.Copies {
		if err := w.copy(ctx, &p.Copies[i]); err != nil {
			return out, err
		}
	}
	if err := s.sync(w.home, w.finalState()); err != nil {
		return out, w.broke(err)
	}
	return out, w.finish(&out)
}

// enter waits until a connection may be held at the shard where the statement is finished: one is left for the rows.
func (w *gathering) enter(ctx context.Context) error {
	ceiling, wait := w.s.x.cluster.Ceiling()
	w.ceiling = ceiling
	shard, most := w.g.Plan.Shard.ID, max(ceiling-1, 1)
	err := w.s.x.rooms.Enter(ctx, shard, most, wait)
	if errors.Is(err, gather.ErrFull) {
		return protocol.Errorf(1040, "08004", "shardway: %d statements bring rows together on shard %s already, and none of them ended within %s: one of the pool.max_per_server (%d) connections to a server is left for reading rows; raise it, or pool.wait_timeout", most, shard, wait, w.ceiling)
	}
	return err
}

// open takes the connection on which the statement is finished.
func (w *gathering) open(ctx context.Context) error {
	s, p := w.s, w.g.Plan
	r := &Request{Shard: p.Shard.ID, Role: roleFor(p.Role), Read: true, AnySchema: true, MaxLag: w.r.MaxLag, Stale: w.r.Stale}
	c, err := s.acquire(ctx, r, r.Role, nil)
	if err != nil {
		return err
	}
	w.home = c
	s.run(c)
	neutral := state{schema: stateOf(c.State).schema}
	for _, v := range gather.Neutral {
		neutral.set(v[0], v[1])
	}
	if err := s.sync(c, neutral.handle()); err != nil {
		return w.broke(err)
	}
	res, err := c.Query("SELECT @@log_bin, @@binlog_format, @@read_only, VERSION()")
	if err != nil {
		return w.broke(err)
	}
	if len(res.Rows) != 1 || len(res.Rows[0]) != 4 || !logs(res.Rows[0]) {
		return nil
	}
	w.unlogged = true
	if _, err := c.Exec("SET SESSION sql_log_bin=0"); err != nil {
		refused, ok := errors.AsType[*protocol.Error](err)
		if !ok {
			return w.broke(err)
		}
		return protocol.Errorf(1235, "42000", "shardway: this SELECT needs temporary tables on %s, which would write them to its binary log: set binlog_format=ROW there, or grant Shardway's account BINLOG ADMIN (MariaDB) or SESSION_VARIABLES_ADMIN (MySQL), so that it can turn sql_log_bin off for them (%s)", c.Addr(), refused.Message)
	}
	return nil
}

// logs says whether a server writes temporary tables to its binary log: not under ROW, not under MySQL's MIXED, and
// MariaDB not while it is read-only.
func logs(row []*string) bool {
	is := func(i int, values ...string) bool {
		return row[i] != nil && slices.ContainsFunc(values, func(v string) bool { return strings.EqualFold(*row[i], v) })
	}
	mariadb := row[3] != nil && strings.Contains(*row[3], "MariaDB")
	switch {
	case is(0, "0", "OFF"), is(1, "ROW"), !mariadb && is(1, "MIXED"), mariadb && is(2, "1", "ON"):
		return false
	default:
		return true
	}
}

func roleFor(r plan.Role) backend.Role {
	if r == plan.Replica {
		return backend.Replica
	}
	return backend.Primary
}

// over says that nothing runs for the statement any more.
func (w *gathering) over() { w.struck = w.s.ran() || w.struck }

// finalState is the session's state, in which the statement runs. It isn't part of a transaction there.
func (w *gathering) finalState() Handle {
	at, want := stateOf(w.home.State), w.s.state
	if want.schema == "" {
		want.schema = at.schema
	}
	if want.get("autocommit") != "" {
		want.vars = slices.Clone(want.vars)
		want.set("autocommit", "")
	}
	return want.handle()
}

// broke is the error of a connection that is gone, or of a server that has refused something.
func (w *gathering) broke(err error) error {
	c := w.home
	w.home = nil
	if refused, ok := errors.AsType[*refusedError](err); ok {
		c.Discard("gather")
		return refused.e
	}
	return w.clientError(c, w.s.lost(c, err, true))
}

func (w *gathering) clientError(c *backend.Conn, err error) error {
	if lost, ok := errors.AsType[*lostError](err); ok {
		return lost.forClient(&Request{Shard: c.Shard(), Read: true})
	}
	return err
}

// copy makes a temporary table and fills it.
func (w *gathering) copy(ctx context.Context, p *plan.Copy) error {
	t, err := w.table(ctx, p)
	if err != nil {
		return err
	}
	c := t.Choose(p.DB, p.Name, p.All, p.Columns)
	w.begun = true
	if _, err := w.home.Exec(c.Create(false)); err != nil {
		if _, ok := errors.AsType[*protocol.Error](err); !ok {
			return w.broke(err)
		}
		if _, err = w.home.Exec(c.Create(true)); err != nil {
			return w.refused(p, err)
		}
	}
	w.made = append(w.made, c.Drop())
	w.got.Copies++
	where, err := w.conditions(p, t)
	if err != nil {
		return err
	}
	w.filled = append(w.filled, filled{t, c})
	if p.Few {
		return w.few(ctx, p, c, where)
	}
	return w.fill(ctx, p, c, where, func(rows, bytes uint64) error { return w.took(p, rows, bytes) })
}

// usable says whether a condition can be sent to the shards: all its columns are the table's, and comparing them gives no
// warnings there that the client would miss.
func usable(t *gather.Table, f *plan.Filter) bool {
	kind := ""
	return t.Has(f.Columns, func(c *gather.Column) bool {
		if len(f.Columns) > 1 {
			if kind != "" && kind != c.Kind() {
				return false
			}
			kind = c.Kind()
		}
		return c.Compares(f.Strings, f.Numbers)
	})
}

// refused is what the client is told when the server can't make a copy.
func (w *gathering) refused(p *plan.Copy, err error) error {
	e, ok := errors.AsType[*protocol.Error](err)
	if _, broke := errors.AsType[*protocol.SideError](err); broke || !ok {
		return w.broke(err)
	}
	switch e.Code {
	case 1317, 3024, 1969:
		return e
	case 1044, 1142, 1227:
		return protocol.Errorf(e.Code, e.State, "shardway: Shardway's account on %s needs CREATE TEMPORARY TABLES on %s, to bring the rows of %s.%s together: %s", w.home.Addr(), p.DB, p.DB, p.Table, e.Message)
	}
	return protocol.Errorf(1105, "HY000", "shardway: %s can't hold the rows of %s.%s in a temporary table: error %d: %s", w.home.Addr(), p.DB, p.Table, e.Code, e.Message)
}

// table asks for a table's columns and indexes: at the server that finishes, or else where the table is.
func (w *gathering) table(ctx context.Context, p *plan.Copy) (*gather.Table, error) {
	t, err := describe(w.home, p)
	if err != nil {
		return nil, w.broke(err)
	}
	if len(t.Columns) > 0 && (p.Listed || p.Home == w.g.Plan.Shard) {
		return t, nil
	}
	if p.Home != nil && p.Home != w.g.Plan.Shard {
		s := w.s
		r := &Request{Shard: p.Home.ID, Role: roleFor(w.g.Plan.From), Read: true, AnySchema: true, Stale: w.r.Stale, MaxLag: w.r.MaxLag}
		c, err := s.acquire(ctx, r, r.Role, nil)
		if err != nil {
			return nil, err
		}
		if err = s.sync(c, (&state{schema: stateOf(c.State).schema}).handle()); err != nil {
			return nil, unready(c, r, err)
		}
		if t, err = describe(c, p); err != nil {
			return nil, unready(c, r, s.lost(c, err, true))
		}
		c.Release()
	}
	if len(t.Columns) == 0 {
		return nil, protocol.Errorf(1146, "42S02", "Table '%s.%s' doesn't exist", p.DB, p.Table)
	}
	return t, nil
}

func describe(c *backend.Conn, p *plan.Copy) (*gather.Table, error) {
	columns, err := c.Query(gather.ColumnsSQL(p.DB, p.Table))
	if err != nil || len(columns.Rows) == 0 {
		return &gather.Table{}, err
	}
	indexes, err := c.Query(gather.IndexesSQL(p.DB, p.Table))
	if err != nil {
		return nil, err
	}
	return gather.Read(columns.Rows, indexes.Rows, strings.Contains(c.Greeting().Version, "MariaDB")), nil
}

// source is one shard from which a copy's rows are read.
type source struct {
	gather.Source
	conn *backend.Conn // nil once it is given back
	req  *Request
	sql  string // that reads the rows
}

// fill reads a copy's rows from all its shards at once and stores them. Shards without a condition have none.
func (w *gathering) fill(ctx context.Context, p *plan.Copy, c *gather.Copy, where map[*shardmap.Shard]string, took func(rows, bytes uint64) error) error {
	sources := make([]*source, 0, len(p.Shards))
	defer func() {
		for _, src := range sources {
			src.end(w)
		}
	}()
	for _, shard := range p.Shards {
		condition, ok := where[shard]
		if !ok {
			continue
		}
		src, err := w.source(ctx, shard.ID)
		if err != nil {
			return err
		}
		most := gather.All
		if p.Few {
			most = gather.MaxKeys + 1
		}
		if src.sql = c.Select(p.DB, p.Table, condition, most); w.g.Lock {
			src.sql += " FOR UPDATE"
		}
		sources = append(sources, src)
	}
	if !w.fetches(sources) {
		return killed()
	}
	defer w.fetches(nil)
	f := gather.Filling{
		Into: w.home.Conn, Copy: c,
		Took: took,
		Halt: func() { w.halt(ctx, sources) },
	}
	for _, src := range sources {
		if err := w.explains(src); err != nil {
			return err
		}
	}
	for _, src := range sources {
		if err := src.Ask(src.sql); err != nil {
			return w.failed(src, err)
		}
		f.Sources = append(f.Sources, &src.Source)
	}
	err := f.Run()
	if refused, ok := errors.AsType[*gather.StoreError](err); ok {
		return w.refused(p, refused.Err)
	}
	if err != nil {
		return err
	}
	for _, src := range sources {
		if src.Err != nil {
			return w.failed(src, src.Err)
		}
	}
	return nil
}

func killed() error { return protocol.Errorf(1317, "70100", "Query execution was interrupted") }

// took counts rows that were read, and says why there must be no more.
func (w *gathering) took(p *plan.Copy, rows, bytes uint64) error {
	w.got.Rows += rows
	w.got.Bytes += bytes
	table := p.DB + "." + p.Table
	switch {
	case w.g.Rows > 0 && w.got.Rows > w.g.Rows:
		return protocol.Errorf(1105, "HY000", "shardway: this SELECT brings rows of several shards to one server, and stopped in %s at %d rows: limits.gather_rows is %d; bind the key, add conditions on %s alone, or raise the limit", table, w.got.Rows, w.g.Rows, table)
	case w.g.Bytes > 0 && w.got.Bytes > w.g.Bytes:
		return protocol.Errorf(1105, "HY000", "shardway: this SELECT brings rows of several shards to one server, and stopped in %s at %d bytes: limits.gather_bytes is %d; bind the key, name fewer columns, add conditions on %s alone, or raise the limit", table, w.got.Bytes, w.g.Bytes, table)
	case w.stopped():
		return killed()
	}
	return nil
}

func (w *gathering) source(ctx context.Context, shard string) (*source, error) {
	r := &Request{Shard: shard, Role: roleFor(w.g.Plan.From), Read: true, AnySchema: true, MaxLag: w.r.MaxLag, Stale: w.r.Stale}
	var others []string // than the only connection's
	if w.ceiling == 1 && shard == w.home.Shard() {
		others = []string{w.home.Addr()}
	}
	connect := func() (*backend.Conn, error) { return w.s.connection(ctx, r, others) }
	if w.s.InTransaction() || !w.s.autocommit {
		others = nil
		connect = func() (*backend.Conn, error) { return w.s.participant(ctx, r) }
	}
	c, err := connect()
	if err != nil {
		if lost, ok := errors.AsType[*lostError](err); ok {
			return nil, lost.forClient(r)
		}
		if others != nil {
			return nil, protocol.Errorf(1040, "08004", "shardway: this SELECT brings rows to %s and reads some of them there as well, which takes two connections: pool.max_per_server is 1; raise it (%v)", w.home.Addr(), err)
		}
		return nil, err
	}
	return &source{Source: gather.Source{Conn: c.Conn, Held: w.s.holdOf(c) != nil}, conn: c, req: r}, nil
}

// end gives a source's connection back.
func (src *source) end(w *gathering) {
	s := w.s
	switch {
	case src.conn == nil:
	case src.Held && s.holdOf(src.conn) == nil: // went with the transaction
	case !src.Asked:
		src.settle(s, &protocol.Reply{OK: protocol.OK{Status: src.conn.Status()}})
	case src.Done || src.In.Reply.Err != nil:
		reply := src.In.Reply
		reply.Warnings = 0 // the statement's own are those that the client asks for
		src.settle(s, &reply)
	default:
		s.dropUnread(src.conn)
	}
	src.conn = nil
}

func (src *source) settle(s *Session, reply *protocol.Reply) {
	if reply.Err != nil && s.holdOf(src.conn) == nil {
		src.conn.Release()
		return
	}
	s.settle(src.conn, src.req, reply, false)
}

// failed is what the client is told of a source that failed.
func (w *gathering) failed(src *source, err error) error {
	if e, ok := errors.AsType[*protocol.Error](err); ok && src.In.Reply.Err != nil {
		return e
	}
	c := src.conn
	src.conn = nil
	return w.clientError(c, w.s.lost(c, err, true))
}

// fetches notes the connections that rows are read from, for whoever stops the statement. It says false if that has
// happened.
func (w *gathering) fetches(sources []*source) bool {
	w.s.killing.Lock()
	defer w.s.killing.Unlock()
	w.s.others = nil
	for _, src := range sources {
		w.s.others = append(w.s.others, src.conn)
	}
	return !w.s.struck
}

// stopped says whether the statement was killed, or its time is over.
func (w *gathering) stopped() bool {
	w.s.killing.Lock()
	defer w.s.killing.Unlock()
	return w.s.struck || w.expired.Load()
}

// halt ends the reading of rows that nobody wants any more. What the session keeps isn't lost by it.
func (w *gathering) halt(ctx context.Context, sources []*source) {
	for _, src := range sources {
		if !src.Held || w.s.x.cluster.Kill(ctx, src.conn, true) != nil {
			src.conn.Interrupt()
		}
	}
}

// limit stops everything after d. end waits for that if it is under way.
func (w *gathering) limit(ctx context.Context, d time.Duration) (end func()) {
	if d <= 0 {
		return func() {}
	}
	done := make(chan struct{})
	timer := time.AfterFunc(d, func() {
		defer close(done)
		w.expired.Store(true)
		w.s.Cut(ctx)
	})
	return func() {
		if !timer.Stop() {
			<-done
		}
	}
}
