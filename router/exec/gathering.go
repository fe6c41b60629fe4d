package exec

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"shardway/protocol"
	"shardway/router/backend"
	"shardway/router/exec/gather"
	"shardway/router/plan"
)

// Gathering is a SELECT that runs on one server, over rows that are brought there from other shards.
type Gathering struct {
	Plan *plan.Gather
	// Rows and Bytes bound what is brought; 0 is no limit.
	Rows, Bytes uint64
	// Lock keeps the rows as they are until the transaction ends in which they are read.
	Lock bool
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
	got  Gathered
	tell *protocol.Result // SHOW WARNINGS of the statement

	struck   bool        // a kill was sent
	expired  atomic.Bool // its time is over
	unlogged bool        // sql_log_bin was turned off
	begun    bool        // a temporary table may exist
}

// Gather brings rows to one server as the plan says, runs r there and relays the reply without flushing it. r is as for
// Run, with the text of the plan's own SQL; its Shard and Role don't matter. An error is as Run's. Outcome.Warnings are the
// statement's own, since its connection isn't kept.
func (s *Session) Gather(ctx context.Context, g *Gathering, r *Request) (Outcome, Gathered, error) {
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
			err = protocol.Errorf(1317, "70100", "Query execution was interrupted")
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
	if len(res.Rows) != 1 || !logs(res.Rows[0]) {
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
	where := p.Condition(func(f *plan.Filter) bool { return usable(t, f) })
	sql := c.Select(p.DB, p.Table, where)
	if w.g.Lock {
		sql += " FOR UPDATE"
	}
	return w.fill(ctx, p, c, sql)
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
	if len(t.Columns) > 0 && p.Home == w.g.Plan.Shard {
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

// batch is rows on their way into a copy.
type batch struct {
	sql   []byte
	rows  uint64
	bytes uint64
}

const (
	// batchSize is how large an INSERT is, in bytes, unless one row is larger.
	batchSize = 256 << 10
	// batchesAhead is how many wait for the server that takes them.
	batchesAhead = 2
)

// fill reads a copy's rows from all its shards at once and stores them.
func (w *gathering) fill(ctx context.Context, p *plan.Copy, c *gather.Copy, sql string) (err error) {
	sources := make([]*source, 0, len(p.Shards))
	defer func() {
		for _, src := range sources {
			src.end(w)
		}
	}()
	for _, shard := range p.Shards {
		src, err := w.source(ctx, shard.ID)
		if err != nil {
			return err
		}
		sources = append(sources, src)
	}
	if !w.fetches(sources) {
		return protocol.Errorf(1317, "70100", "Query execution was interrupted")
	}
	defer w.fetches(nil)
	for _, src := range sources {
		if err := src.ask(sql); err != nil {
			return w.failed(src, err)
		}
	}
	full, free := make(chan *batch, batchesAhead), make(chan *batch, len(sources)+batchesAhead)
	quit := make(chan struct{})
	var reading sync.WaitGroup
	for _, src := range sources {
		reading.Go(func() { src.read(c, full, free, quit) })
	}
	done := make(chan struct{})
	go func() {
		reading.Wait()
		close(full)
		close(done)
	}()
	for b := range full {
		if err == nil {
			if err = w.store(p, c, b); err != nil {
				close(quit)
				w.interrupt(ctx, sources)
			}
		}
		select {
		case free <- b:
		default:
		}
	}
	<-done
	if err != nil {
		return err
	}
	for _, src := range sources {
		if src.err != nil {
			return w.failed(src, src.err)
		}
	}
	return nil
}

// store puts a batch into the copy.
func (w *gathering) store(p *plan.Copy, c *gather.Copy, b *batch) error {
	w.got.Rows += b.rows
	w.got.Bytes += b.bytes
	table := p.DB + "." + p.Table
	switch {
	case w.g.Rows > 0 && w.got.Rows > w.g.Rows:
		return protocol.Errorf(1105, "HY000", "shardway: this SELECT brings rows of several shards to one server, and stopped in %s at %d rows: limits.gather_rows is %d; bind the key, add conditions on %s alone, or raise the limit", table, w.got.Rows, w.g.Rows, table)
	case w.g.Bytes > 0 && w.got.Bytes > w.g.Bytes:
		return protocol.Errorf(1105, "HY000", "shardway: this SELECT brings rows of several shards to one server, and stopped in %s at %d bytes: limits.gather_bytes is %d; bind the key, name fewer columns, add conditions on %s alone, or raise the limit", table, w.got.Bytes, w.g.Bytes, table)
	case w.stopped():
		return protocol.Errorf(1317, "70100", "Query execution was interrupted")
	}
	err := w.insert(b.sql)
	if e, ok := errors.AsType[*protocol.Error](err); ok && e.Code == 1062 {
		if sql := c.Relax(); sql != "" {
			if _, err = w.home.Exec(sql); err == nil {
				err = w.insert(b.sql)
			}
		}
	}
	if err != nil {
		return w.refused(p, err)
	}
	return nil
}

func (w *gathering) insert(sql []byte) error {
	c := w.home
	err := c.WriteCommand(protocol.ComQuery, sql)
	if err == nil {
		err = c.Flush()
	}
	if err != nil {
		return &protocol.SideError{Side: protocol.SideServer, Err: err}
	}
	reply, err := c.Forward(nil, protocol.ReplyQuery, nil)
	if err == nil && reply.Err != nil {
		err = reply.Err
	}
	return err
}

// source is one shard from which a copy's rows are read.
type source struct {
	conn *backend.Conn
	req  *Request
	in   protocol.Incoming
	held bool // the session keeps the connection
	asked,
	done bool
	err error
}

func (w *gathering) source(ctx context.Context, shard string) (*source, error) {
	r := &Request{Shard: shard, Role: roleFor(w.g.Plan.From), Read: true, AnySchema: true, MaxLag: w.r.MaxLag, Stale: w.r.Stale}
	connect := func() (*backend.Conn, error) { return w.s.connection(ctx, r, nil) }
	if w.s.InTransaction() || !w.s.autocommit {
		connect = func() (*backend.Conn, error) { return w.s.participant(ctx, r) }
	}
	c, err := connect()
	if err != nil {
		if lost, ok := errors.AsType[*lostError](err); ok {
			return nil, lost.forClient(r)
		}
		return nil, err
	}
	return &source{conn: c, req: r, held: w.s.holdOf(c) != nil}, nil
}

func (src *source) ask(sql string) error {
	err := src.conn.WriteCommand(protocol.ComQuery, []byte(sql))
	if err == nil {
		err = src.conn.Flush()
	}
	src.asked = true
	return err
}

// read turns rows into batches, until there are no more or nobody takes them.
func (src *source) read(c *gather.Copy, full chan<- *batch, free <-chan *batch, quit <-chan struct{}) {
	if src.err = src.in.Begin(src.conn.Conn); src.err != nil {
		return
	}
	b, wanted := &batch{}, true
	send := func() {
		select {
		case full <- b:
		case <-quit:
			wanted = false
			return
		}
		select {
		case b = <-free:
			b.sql, b.rows, b.bytes = b.sql[:0], 0, 0
		default:
			b = &batch{}
		}
	}
	for {
		row, err := src.in.Next()
		if errors.Is(err, io.EOF) {
			src.done = true
			if b.rows > 0 && wanted {
				send()
			}
			return
		}
		if err != nil {
			src.err = err
			return
		}
		if b.rows > 0 && len(b.sql)+2*len(row) > batchSize {
			send()
		}
		if !wanted {
			if src.held {
				continue // to the end of the reply, so that the connection goes on
			}
			return
		}
		var ok bool
		if b.sql, ok = c.AppendRow(b.sql, row, protocol.SplitRow); !ok {
			src.err = &protocol.SideError{Side: protocol.SideServer, Err: fmt.Errorf("a row isn't as its columns say")}
			return
		}
		b.rows++
		b.bytes += uint64(len(row))
	}
}

// end gives a source's connection back.
func (src *source) end(w *gathering) {
	s := w.s
	switch {
	case src.conn == nil:
	case src.held && s.holdOf(src.conn) == nil: // went with the transaction
	case !src.asked:
		src.settle(s, &protocol.Reply{OK: protocol.OK{Status: src.conn.Status()}})
	case src.done || src.in.Reply.Err != nil:
		reply := src.in.Reply
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
	if e, ok := errors.AsType[*protocol.Error](err); ok && src.in.Reply.Err != nil {
		return e
	}
	c := src.conn
	src.conn = nil
	return w.clientError(c, w.s.lost(c, err, true))
}

// finish runs the statement, relays its reply and gives the connection back.
func (w *gathering) finish(out *Outcome) (err error) {
	s, c, r := w.s, w.home, w.r
	if r.UsesLastInsertID {
		if _, err := c.Exec("SET last_insert_id=" + strconv.FormatUint(s.lastInsertID, 10)); err != nil {
			return w.broke(err)
		}
	}
	if err := w.send(); err != nil {
		return err
	}
	if names := w.renamed(); len(names) > 0 {
		err = w.relayRenamed(out, names)
	} else {
		err = w.relay(out)
	}
	if err != nil || out.Reply.Err != nil {
		return err
	}
	w.close(out)
	return nil
}

// relay relays the reply as it is.
func (w *gathering) relay(out *Outcome) (err error) {
	s, c, r := w.s, w.home, w.r
	relay := protocol.Relay{HoldError: s.holdError, TrackKinds: s.tracked(), SetStatus: s.Status(), ClearStatus: transactional &^ s.Status()}
	out.Reply, err = c.Forward(s.client, r.Reply, &relay)
	if err != nil {
		if side, ok := errors.AsType[*protocol.SideError](err); ok && side.Side == protocol.SideClient {
			return err
		}
		w.home = nil
		err = s.lost(c, err, true)
		if out.Reply.Broken || out.Reply.FirstByte {
			return fmt.Errorf("the reply of %s broke off: %w", c.Addr(), err)
		}
		return w.clientError(c, err)
	}
	if e := out.Reply.Err; out.Reply.Held {
		out.Reply.Held = false
		if serverGone(e) {
			w.home = nil
			return w.clientError(c, s.lost(c, e, true))
		}
		return w.answerError(out, e)
	}
	if out.Reply.Err != nil {
		w.close(out)
	}
	return nil
}

// answerError gives the client the server's error.
func (w *gathering) answerError(out *Outcome, e *protocol.Error) error {
	if e.Code == 1317 && w.expired.Load() {
		e = protocol.Errorf(3024, "HY000", "shardway: stopped after %v, as its timeout asks", w.r.Timeout)
	}
	out.Reply.Err = e
	w.close(out)
	return w.s.client.WriteError(e)
}

// renamed are the copies that haven't their table's name, and their tables.
func (w *gathering) renamed() map[string]string {
	var names map[string]string
	for i := range w.g.Plan.Copies {
		if c := &w.g.Plan.Copies[i]; c.Name != c.Table {
			if names == nil {
				names = map[string]string{}
			}
			names[c.Name] = c.Table
		}
	}
	return names
}

// relayRenamed relays a reply whose columns say that they are of the tables, not of their copies.
func (w *gathering) relayRenamed(out *Outcome, names map[string]string) error {
	s, c := w.s, w.home
	var in protocol.Incoming
	mark := s.client.Mark()
	fail := func(err error) error {
		out.Reply = in.Reply
		e := in.Reply.Err
		switch {
		case e != nil && !serverGone(e): // after the columns, or before them
			return w.answerError(out, e)
		case s.client.Sent(mark):
			out.Reply.FirstByte = true
			w.home = nil
			return fmt.Errorf("the reply of %s broke off: %w", c.Addr(), s.lost(c, err, true))
		}
		s.client.Rewind(mark)
		w.home = nil
		return w.clientError(c, s.lost(c, err, true))
	}
	if err := in.Begin(c.Conn); err != nil {
		return fail(err)
	}
	for i, def := range in.Columns {
		in.Columns[i] = gather.Rename(def, names)
	}
	if err := s.client.WriteColumns(in.Columns, s.Status()); err != nil {
		return &protocol.SideError{Side: protocol.SideClient, Err: err}
	}
	for {
		row, err := in.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fail(err)
		}
		if err := s.client.WriteRow(row); err != nil {
			return &protocol.SideError{Side: protocol.SideClient, Err: err}
		}
	}
	out.Reply = in.Reply
	if err := s.client.WriteEOF(in.Reply.Status&^transactional|s.Status(), in.Reply.Warnings); err != nil {
		return &protocol.SideError{Side: protocol.SideClient, Err: err}
	}
	return nil
}

const transactional = protocol.StatusInTrans | protocol.StatusAutocommit | protocol.StatusInTransReadonly

// send writes the statement to the server.
func (w *gathering) send() error {
	c, r := w.home, w.r
	if r.Statement != nil {
		if err := w.s.sendExecute(c, r); err != nil {
			if _, ok := errors.AsType[*protocol.Error](err); !ok || w.s.holdOf(c) == nil {
				w.home = nil
			}
			if h := w.s.holdOf(c); h != nil { // kept for the error's sake
				w.askWarnings(c)
				w.s.forget(c)
			}
			return w.clientError(c, err)
		}
		return nil
	}
	err := c.WriteCommand(r.Command, r.Payload)
	if err == nil {
		err = c.Flush()
	}
	if err != nil {
		return w.broke(&protocol.SideError{Side: protocol.SideServer, Err: err})
	}
	return nil
}

func (w *gathering) askWarnings(c *backend.Conn) {
	if res, err := c.Query("SHOW WARNINGS"); err == nil {
		w.tell = res
	}
}

// close asks for the statement's warnings, ends the temporary tables and gives the connection back.
func (w *gathering) close(out *Outcome) {
	c := w.home
	w.home = nil
	if out.Reply.Err != nil || out.Reply.Warnings > 0 {
		w.askWarnings(c)
	}
	for _, sql := range w.made {
		if _, err := c.Exec(sql); err != nil {
			w.over()
			c.Discard("gather")
			return
		}
	}
	w.over()
	if w.unlogged || w.r.Statement != nil || w.struck || w.expired.Load() {
		c.Discard("gather")
		return
	}
	if w.s.look(c, &Request{Role: c.Role()}) {
		c.Release()
	}
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

// interrupt ends the reading of rows that nobody wants any more. What the session keeps isn't lost by it.
func (w *gathering) interrupt(ctx context.Context, sources []*source) {
	for _, src := range sources {
		if !src.held || w.s.x.cluster.Kill(ctx, src.conn, true) != nil {
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
