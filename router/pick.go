package router

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"shardway/protocol"
	"shardway/router/exec"
	"shardway/router/exec/merge"
	"shardway/router/parse"
	"shardway/router/parse/rewrite"
	"shardway/router/plan"
	"shardway/shardmap"
)

// pickBatch bounds how many rows one statement writes that was made for chosen rows, and pickBytes about how long it is.
const (
	pickBatch = 500
	pickBytes = 1 << 20
)

// withKeys plans a Pick again with the columns of its tables' primary keys.
func (s *session) withKeys(ctx context.Context, t *text, m *shardmap.Map, f *plan.Facts, p *plan.Pick) (plan.Plan, error) {
	if p.Op == plan.PickInsert {
		return p, nil
	}
	primary := make(map[string][]string, len(p.Targets))
	for i := range p.Targets {
		target := &p.Targets[i]
		shard := m.DefaultShard(target.DB)
		if table := m.Table(target.DB, target.Table); table != nil && table.Sharded() {
			shard = table.Database.Owner(0)
		}
		keys, err := s.x.PrimaryKey(ctx, shard.ID, target.DB, target.Table)
		if err != nil {
			return nil, err
		}
		if len(keys) == 0 {
			return nil, protocol.Errorf(1235, "42000", "shardway: %s.%s has no primary key, so the rows that this statement changes can't be told apart once they are chosen (%s); give the table one", target.DB, target.Table, p.Why)
		}
		primary[strings.ToLower(target.DB+"."+target.Table)] = keys
	}
	f.Primary = primary
	again := s.plan(ctx, t, m, f)
	f.Primary = nil
	return again, nil
}

// picking is the work on one Pick.
type picking struct {
	s *session
	o *Options
	t *text
	p *plan.Pick
	m *shardmap.Map // by which all of its statements are planned: what it uses of that map was said

	rowsSQL, tail string
	heads         []string // of the targets

	columns, rows [][]byte // what was chosen
	kinds         []literalKind
	answer        struct{ columns, rows [][]byte } // of RETURNING

	sum      protocol.OK
	warnings *protocol.Result // as SHOW WARNINGS gives them
	// made is the first insert id that the rows didn't bring themselves.
	made uint64
	// records says that the reply tells of records, as that of an INSERT of several rows.
	records int
}

// runPick chooses rows and writes them, in one transaction.
func (s *session) runPick(ctx context.Context, o *Options, t *text, p *plan.Pick, m *shardmap.Map) error {
	s.event.Way, s.event.Shard, s.event.Role = WayMany, several, exec.Primary.String()
	w := &picking{s: s, o: o, t: t, p: p, m: m}
	if p.Returning != nil && t.execution != nil {
		return protocol.Errorf(1235, "42000", "shardway: RETURNING of a prepared statement whose rows are chosen first (%s); send it as text", p.Why)
	}
	if err := w.texts(); err != nil {
		return err
	}
	s.x.AskInsertID()
	s.takeBack()
	before := s.x.LastInsertID()
	fresh := *w
	err := s.x.OneClock(func() error {
		return s.x.Atomically(ctx, true, func() error {
			*w = fresh
			if err := w.choose(ctx); err != nil {
				return err
			}
			if err := w.write(ctx); err != nil {
				return err
			}
			return w.none(ctx)
		})
	})
	if err == nil && w.made != 0 {
		before = w.made
	}
	s.x.SetLastInsertID(before)
	if err != nil {
		return err
	}
	if p.Op == plan.PickInsert && w.sum.Info == "" {
		w.sum.Info = "Records: 0  Duplicates: 0  Warnings: 0"
	}
	if t.st.Kind == parse.Update && w.sum.Info == "" {
		w.sum.Info = "Rows matched: 0  Changed: 0  Warnings: 0"
	}
	if p.Returning != nil {
		return w.returned()
	}
	out, err := s.x.Answer(w.sum)
	out.Warnings = w.warnings
	out.Reply.Records = uint64(w.records)
	return s.ranText(t, &out, err)
}

// texts makes the statements' SQL, without markers.
func (w *picking) texts() (err error) {
	if w.rowsSQL, err = w.s.literal(w.t, w.p.Rows); err != nil {
		return err
	}
	if w.p.Tail != nil {
		if w.tail, err = w.s.literal(w.t, w.p.Tail); err != nil {
			return err
		}
	}
	for i := range w.p.Targets {
		head, err := w.s.literal(w.t, w.p.Targets[i].Head)
		if err != nil {
			return err
		}
		w.heads = append(w.heads, head)
	}
	return nil
}

// choose runs the SELECT and returns its rows. They stay as they are until the transaction ends, where a lock can see to
// that.
func (w *picking) choose(ctx context.Context) error {
	s, sql := w.s, w.rowsSQL
	locked := sql
	if w.p.Op != plan.PickInsert {
		locked += " FOR UPDATE"
	}
	m := protocol.NewMemory(w.o.GatherBytes)
	var warnings *protocol.Result
	read := func(sql string, locked bool) error {
		// The client's character set may not have all characters, and then a key would be another row's.
		return s.x.Under("character_set_results", "'utf8mb4'", func() error {
			return s.x.Keep(m, func() (err error) {
				warnings, err = s.inner(ctx, w.o, w.m, newText(sql), locked)
				return err
			})
		})
	}
	err := read(locked, false)
	if _, ok := err.(*innerRefused); ok && locked != sql { //nolint:errorlint // it is returned as it is
		m = protocol.NewMemory(w.o.GatherBytes)
		err = read(sql, true)
	}
	if refused, ok := err.(*innerRefused); ok { //nolint:errorlint // it is returned as it is
		err = refused.e
	}
	if m.Full() {
		return protocol.Errorf(1105, "HY000", "shardway: the rows that this statement chooses are larger than limits.gather_bytes (%d): change fewer rows at once, or raise the limit", w.o.GatherBytes)
	}
	if err != nil {
		return err
	}
	var reply protocol.Reply
	if w.columns, w.rows, reply, err = m.Read(); err == nil {
		err = w.warned(reply.Warnings, warnings)
	}
	if n := len(w.rows); err == nil && w.o.GatherRows > 0 && uint64(n) > w.o.GatherRows {
		err = protocol.Errorf(1105, "HY000", "shardway: this statement chooses %d rows, more than limits.gather_rows (%d): change fewer rows at once, or raise the limit", n, w.o.GatherRows)
	}
	return err
}

// write writes the chosen rows.
func (w *picking) write(ctx context.Context) error {
	w.kinds = make([]literalKind, len(w.columns))
	for i, def := range w.columns {
		if w.kinds[i] = literalOf(def); w.kinds[i] == literalFloat {
			return protocol.Errorf(1235, "42000", "shardway: column %d of the rows that this statement chooses is a FLOAT, and servers round these when they are read (%s); make it DOUBLE, with CAST(… AS DOUBLE) for a value", i+1, w.p.Why)
		}
	}
	w.records = len(w.rows)
	if w.p.Op == plan.PickInsert {
		return w.insert(ctx)
	}
	at := 0
	for i := range w.p.Targets {
		t := &w.p.Targets[i]
		if err := w.change(ctx, t, w.heads[i], at); err != nil {
			return err
		}
		at += width(t)
	}
	return nil
}

// width is how many of the chosen columns are a target's.
func width(t *plan.Target) int {
	n := len(t.Keys)
	for i := range t.Sets {
		if !t.Sets[i].Default {
			n++
		}
	}
	return n
}

// insert inserts the chosen rows.
func (w *picking) insert(ctx context.Context) error {
	b := batch{run: func(rows []string) error {
		return w.run(ctx, &w.p.Targets[0], w.heads[0]+" "+strings.Join(rows, ",")+" "+w.tail, len(rows))
	}, most: pickBatch}
	for _, row := range w.rows {
		cells, err := w.cells(row)
		if err != nil {
			return err
		}
		if err := b.add("(" + strings.Join(cells, ",") + ")"); err != nil {
			return err
		}
	}
	return b.flush()
}

// change updates or deletes the rows of a target, whose keys and values begin at a column.
func (w *picking) change(ctx context.Context, t *plan.Target, head string, at int) error {
	keys := len(t.Keys)
	var batches []*batch
	byValues := map[string]*batch{} // rows that get the same values
	seen := map[string]bool{}
	most := pickBatch
	if w.p.Returning != nil {
		most = 1 // the rows of the answer come in the order of those that were chosen
	}
	for _, row := range w.rows {
		cells, err := w.cells(row)
		if err != nil {
			return err
		}
		if w.p.Op == plan.PickMove {
			if err := w.move(ctx, head, row, cells); err != nil {
				return err
			}
			continue
		}
		cells = cells[at:]
		key := strings.Join(cells[:keys], ",")
		if w.p.Joined {
			if cells[0] == "NULL" || seen[key] {
				continue // the side of an outer join that has no row; a row that is joined to several is changed once
			}
			seen[key] = true
		}
		if keys > 1 {
			key = "(" + key + ")"
		}
		set := assignments(t, cells[keys:])
		b := byValues[set]
		if b == nil {
			b = &batch{run: func(rows []string) error {
				return w.run(ctx, t, head+set+" WHERE "+keysOf(t)+" IN ("+strings.Join(rows, ",")+") "+w.tail, len(rows))
			}, most: most}
			batches, byValues[set] = append(batches, b), b
		}
		if err := b.add(key); err != nil {
			return err
		}
	}
	for _, b := range batches {
		if err := b.flush(); err != nil {
			return err
		}
	}
	return nil
}

// batch collects the rows of one statement.
type batch struct {
	rows []string
	size int
	most int
	run  func(rows []string) error
}

func (b *batch) add(row string) error {
	b.rows = append(b.rows, row)
	if b.size += len(row); len(b.rows) >= b.most || b.size >= pickBytes {
		return b.flush()
	}
	return nil
}

func (b *batch) flush() error {
	if len(b.rows) == 0 {
		return nil
	}
	rows := b.rows
	b.rows, b.size = nil, 0
	return b.run(rows)
}

// keysOf are the columns of a primary key, as a row where there are several.
func keysOf(t *plan.Target) string {
	names := make([]string, len(t.Keys))
	for i, k := range t.Keys {
		names[i] = rewrite.Quote(t.Alias) + "." + rewrite.Quote(k)
	}
	if len(names) == 1 {
		return names[0]
	}
	return "(" + strings.Join(names, ",") + ")"
}

// assignments are the SET list of a target with its values.
func assignments(t *plan.Target, values []string) string {
	var out strings.Builder
	for i, set := range t.Sets {
		if i > 0 {
			out.WriteByte(',')
		}
		out.WriteString(" " + rewrite.Quote(set.Column) + " = ")
		if set.Default {
			out.WriteString("DEFAULT")
			continue
		}
		out.WriteString(values[0])
		values = values[1:]
	}
	return out.String()
}

// run runs one of the statements that write n rows, and adds up what it says.
func (w *picking) run(ctx context.Context, target *plan.Target, sql string, n int) error {
	s := w.s
	t := newText(sql)
	var warnings *protocol.Result
	columns, rows, reply, err := s.replyOf(func() (err error) {
		warnings, err = s.inner(ctx, w.o, w.m, t, false)
		return err
	})
	if refused, ok := err.(*innerRefused); ok { //nolint:errorlint // it is returned as it is
		return refused.e
	}
	if err != nil {
		return err
	}
	found := reply.AffectedRows
	switch {
	case w.p.Op == plan.PickInsert, w.p.Ignore:
		found = uint64(n)
	case w.p.Returning != nil:
		found = uint64(len(rows))
	case w.p.Op != plan.PickDelete:
		if _, err := fmt.Sscanf(reply.Info, "Rows matched: %d", &found); err != nil {
			found = uint64(n)
		}
	}
	if found != uint64(n) {
		return protocol.Errorf(1105, "HY000", "shardway: %d rows of %s.%s were chosen to be changed, and only %d of them were found again by the primary key: nothing was changed", n, target.DB, target.Table, found)
	}
	w.keep(columns, rows)
	if w.made == 0 && w.p.Op == plan.PickInsert && reply.InsertID != 0 && (reply.InsertID == s.facts.FirstID || !given(t, reply.InsertID)) {
		w.made = reply.InsertID
	}
	w.sum.AffectedRows += reply.AffectedRows
	w.sum.Warnings += reply.Warnings
	w.note(warnings)
	if w.sum.InsertID == 0 {
		w.sum.InsertID = reply.InsertID
	}
	info := reply.Info
	if w.p.Op == plan.PickInsert && info == "" {
		info = exec.InfoOfOne(&reply)
	}
	w.sum.Info = exec.AddInfo(w.sum.Info, info)
	return nil
}

// innerRefused is the planner's refusal of a statement of Shardway's own.
type innerRefused struct{ e *protocol.Error }

func (e *innerRefused) Error() string { return e.e.Error() }

func newText(sql string) *text { return &text{sql: []byte(sql)} }

// inner plans and runs a statement that is part of another one. Its reply goes to the session's present client; warnings is
// what SHOW WARNINGS would say of it, nil for none.
func (s *session) inner(ctx context.Context, o *Options, m *shardmap.Map, t *text, locked bool) (warnings *protocol.Result, err error) {
	d := new(parse.Digest)
	t.st = s.parse(o, d, t.sql)
	t.args = d.Args
	planned, err := s.planToRun(ctx, t, m)
	if err != nil {
		return nil, err
	}
	if !locked {
		if err := s.snapshot(t.st, planned, plan.Moving(planned), m); err != nil {
			return nil, err
		}
	}
	var out exec.Outcome
	switch p := planned.(type) {
	case *plan.One:
		out, err = s.x.Run(ctx, &exec.Request{
			Command: protocol.ComQuery, Payload: t.sql, Reply: protocol.ReplyQuery, Shard: p.Shard.ID, Role: exec.Primary, Read: t.st.Is(parse.FlagRead), Timeout: o.QueryTimeout,
		})
		if err == nil && s.x.HasDiagnostics() {
			out.Warnings = s.x.Shed().Warnings
		}
	case *plan.Many:
		var r *exec.ManyRequest
		if r, err = s.manyRequest(o, t, p); err != nil {
			return nil, err
		}
		for i := range r.Parts {
			r.Parts[i].Role = exec.Primary
		}
		run := s.x.RunMany
		if p.Returning {
			run, r.Inner = s.x.RunReturning, true
		}
		out, err = run(ctx, r)
		if _, cannot := errors.AsType[*merge.UnmergeableError](err); cannot && p.Else != nil {
			out, err = s.innerGather(ctx, o, t, p.Else, locked)
		}
	case *plan.Gather:
		out, err = s.innerGather(ctx, o, t, p, locked)
	case *plan.Refuse:
		return nil, &innerRefused{&protocol.Error{Code: p.Code, State: p.State, Message: p.Message}}
	default:
		return nil, &innerRefused{protocol.Errorf(1235, "42000", "shardway: a statement that this one needs can't be run: %s", p)}
	}
	return out.Warnings, err
}

// innerGather runs a SELECT over rows that are brought to one server; locked keeps them as they are.
func (s *session) innerGather(ctx context.Context, o *Options, t *text, p *plan.Gather, locked bool) (exec.Outcome, error) {
	r := exec.Request{Command: protocol.ComQuery, Payload: t.sql, Reply: protocol.ReplyQuery, Read: true, Timeout: o.QueryTimeout}
	if p.SQL != nil {
		sql, err := p.SQL.Append(nil, &rewrite.Fill{SQL: t.sql})
		if err != nil {
			return exec.Outcome{}, err
		}
		r.Payload = sql
	}
	p.From = plan.Primary
	out, _, err := s.x.Gather(ctx, &exec.Gathering{Plan: p, Rows: o.GatherRows, Bytes: o.GatherBytes, Lock: locked}, &r)
	return out, err
}

// cells are the values of a row as SQL.
func (w *picking) cells(row []byte) ([]string, error) {
	cells, ok := w.s.cells(w.kinds, row)
	if !ok {
		return nil, protocol.Errorf(1105, "HY000", "shardway: a server sent a row that makes no sense")
	}
	return cells, nil
}
