package router

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
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

// withKeys plans a Pick again with the columns of its table's primary key.
func (s *session) withKeys(ctx context.Context, t *text, m *shardmap.Map, f *plan.Facts, p *plan.Pick) (plan.Plan, error) {
	if p.Op == plan.PickInsert {
		return p, nil
	}
	shard := m.DefaultShard(p.DB)
	if table := m.Table(p.DB, p.Table); table != nil && table.Sharded() {
		shard = table.Database.Owner(0)
	}
	keys, err := s.x.PrimaryKey(ctx, shard.ID, p.DB, p.Table)
	if err != nil {
		return nil, err
	}
	if len(keys) == 0 {
		return nil, protocol.Errorf(1235, "42000", "shardway: %s.%s has no primary key, so the rows that this statement changes can't be told apart once they are chosen (%s); give the table one", p.DB, p.Table, p.Why)
	}
	f.Primary = keys
	again := s.plan(ctx, t, m, f)
	f.Primary = nil
	return again, nil
}

// picking is the work on one Pick.
type picking struct {
	s   *session
	o   *Options
	t   *text
	p   *plan.Pick
	m   *shardmap.Map // by which all of its statements are planned: what it uses of that map was said
	sum protocol.OK
	// made is the first insert id that the rows didn't bring themselves.
	made uint64
	// records says that the reply tells of records, as that of an INSERT of several rows.
	records int
}

// runPick chooses rows and writes them, in one transaction.
func (s *session) runPick(ctx context.Context, o *Options, t *text, p *plan.Pick, m *shardmap.Map) error {
	s.event.Way, s.event.Shard, s.event.Role = WayMany, several, exec.Primary.String()
	w := &picking{s: s, o: o, t: t, p: p, m: m}
	rows, head, tail, err := w.texts()
	if err != nil {
		return err
	}
	s.x.AskInsertID()
	s.takeBack()
	before := s.x.LastInsertID()
	err = s.x.OneClock(func() error {
		return s.x.Atomically(ctx, func() error {
			columns, chosen, err := w.choose(ctx, rows)
			if err != nil {
				return err
			}
			return w.write(ctx, head, tail, columns, chosen)
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
	out, err := s.x.Answer(w.sum)
	out.Reply.Records = uint64(w.records)
	return s.ranText(t, &out, err)
}

// texts are the statements as SQL, without markers.
func (w *picking) texts() (rows, head, tail string, err error) {
	for _, one := range []struct {
		from *rewrite.Template
		to   *string
	}{{w.p.Rows, &rows}, {w.p.Head, &head}, {w.p.Tail, &tail}} {
		if one.from == nil {
			continue
		}
		if *one.to, err = w.s.literal(w.t, one.from); err != nil {
			return "", "", "", err
		}
	}
	return rows, head, tail, nil
}

// literal is a template as SQL, with the values of an EXECUTE in place of its markers.
func (s *session) literal(t *text, from *rewrite.Template) (string, error) {
	fill := rewrite.Fill{SQL: t.sql}
	if t.execution == nil {
		sql, err := from.Append(nil, &fill)
		return string(sql), err
	}
	sql, params, err := from.Prepared(nil, &fill)
	if err != nil {
		return "", err
	}
	bound := t.execution.stmt.bound
	var out strings.Builder
	src := rewrite.Markers(sql, s.sqlMode())
	at := 0
	for i, param := range params {
		if i >= len(src) || param < 0 || param >= len(bound) {
			return "", protocol.Errorf(1105, "HY000", "shardway: the statement's markers can't be told apart; send it as text")
		}
		out.Write(sql[at:src[i]])
		value := s.boundSQL(t.execution.stmt, param)
		if counts(out.String()) {
			value = strings.Trim(value, "()") // elsewhere they keep a number from being a position in ORDER BY
		}
		out.WriteString(value)
		at = src[i] + 1
	}
	out.Write(sql[at:])
	return out.String(), nil
}

// counts says that a statement goes on with a number of rows, for which LIMIT takes no parentheses.
func counts(before string) bool {
	words := strings.Fields(before)
	if n := len(words); n > 1 && strings.HasSuffix(words[n-1], ",") { // LIMIT 3, 4
		words = words[:n-1]
	}
	if len(words) == 0 {
		return false
	}
	last := words[len(words)-1]
	return strings.EqualFold(last, "LIMIT") || strings.EqualFold(last, "OFFSET")
}

// choose runs the SELECT and returns its rows. They stay as they are until the transaction ends, where a lock can see to
// that.
func (w *picking) choose(ctx context.Context, sql string) (columns, rows [][]byte, err error) {
	s := w.s
	locked := sql
	if w.p.Op != plan.PickInsert {
		locked += " FOR UPDATE"
	}
	m := protocol.NewMemory(w.o.GatherBytes)
	read := func(sql string, locked bool) error {
		// The client's character set may not have all characters, and then a key would be another row's.
		return s.x.Under("character_set_results", "'utf8mb4'", func() error {
			return s.x.Keep(m, func() error { return s.inner(ctx, w.o, w.m, newText(sql), locked) })
		})
	}
	err = read(locked, false)
	if _, ok := err.(*innerRefused); ok && locked != sql { //nolint:errorlint // it is returned as it is
		m = protocol.NewMemory(w.o.GatherBytes)
		err = read(sql, true)
	}
	if refused, ok := err.(*innerRefused); ok { //nolint:errorlint // it is returned as it is
		err = refused.e
	}
	if m.Full() {
		return nil, nil, protocol.Errorf(1105, "HY000", "shardway: the rows that this statement chooses are larger than limits.gather_bytes (%d): change fewer rows at once, or raise the limit", w.o.GatherBytes)
	}
	if err != nil {
		return nil, nil, err
	}
	columns, rows, _, err = m.Read()
	if err == nil && w.o.GatherRows > 0 && uint64(len(rows)) > w.o.GatherRows {
		err = protocol.Errorf(1105, "HY000", "shardway: this statement chooses %d rows, more than limits.gather_rows (%d): change fewer rows at once, or raise the limit", len(rows), w.o.GatherRows)
	}
	return columns, rows, err
}

// write writes the chosen rows.
func (w *picking) write(ctx context.Context, head, tail string, columns, rows [][]byte) error {
	kinds := make([]literalKind, len(columns))
	for i, def := range columns {
		if kinds[i] = literalOf(def); kinds[i] == literalFloat {
			return protocol.Errorf(1235, "42000", "shardway: column %d of the rows that this statement chooses is a FLOAT, and servers round these when they are read (%s); make it DOUBLE, with CAST(… AS DOUBLE) for a value", i+1, w.p.Why)
		}
	}
	var batch []string
	size := 0
	flush := func() error {
		if len(batch) == 0 {
			return nil
		}
		sql := w.statement(head, tail, batch)
		n := len(batch)
		batch, size = batch[:0], 0
		return w.run(ctx, sql, n)
	}
	w.records = len(rows)
	seen := map[string]bool{}
	for _, row := range rows {
		cells, ok := w.cells(kinds, row)
		if !ok {
			return protocol.Errorf(1105, "HY000", "shardway: a server sent a row that makes no sense")
		}
		one := "(" + strings.Join(cells, ",") + ")"
		switch w.p.Op {
		case plan.PickValues:
			n := len(w.p.Keys)
			if key := strings.Join(cells[:n], ","); seen[key] {
				continue // a row that is joined to several is updated once
			} else {
				seen[key] = true
			}
			if err := w.run(ctx, w.oneRow(head, cells), 1); err != nil {
				return err
			}
			continue
		case plan.PickMove:
			if err := w.move(ctx, head, kinds, cells); err != nil {
				return err
			}
			continue
		case plan.PickDelete, plan.PickUpdate:
			if len(cells) == 1 {
				one = cells[0]
			}
		case plan.PickInsert:
		}
		batch = append(batch, one)
		if size += len(one); len(batch) >= pickBatch || size >= pickBytes {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	return flush()
}

// statement is the one that writes some rows.
func (w *picking) statement(head, tail string, rows []string) string {
	list := strings.Join(rows, ",")
	if w.p.Op == plan.PickInsert {
		return head + " " + list + " " + tail
	}
	return head + " WHERE " + w.keys() + " IN (" + list + ")"
}

// keys are the columns of the primary key, as a row where there are several.
func (w *picking) keys() string {
	names := make([]string, len(w.p.Keys))
	for i, k := range w.p.Keys {
		names[i] = rewrite.Quote(w.p.Alias) + "." + rewrite.Quote(k)
	}
	if len(names) == 1 {
		return names[0]
	}
	return "(" + strings.Join(names, ",") + ")"
}

// oneRow is the UPDATE of one row with its values.
func (w *picking) oneRow(head string, cells []string) string {
	n := len(w.p.Keys)
	var out strings.Builder
	out.WriteString(head)
	for i, name := range w.p.Sets {
		if i > 0 {
			out.WriteByte(',')
		}
		out.WriteString(" " + name + " = " + cells[n+i])
	}
	out.WriteString(" WHERE ")
	for i, k := range w.p.Keys {
		if i > 0 {
			out.WriteString(" AND ")
		}
		out.WriteString(rewrite.Quote(k) + " = " + cells[i])
	}
	return out.String()
}

// run runs one of the statements that write n rows, and adds up what it says.
func (w *picking) run(ctx context.Context, sql string, n int) error {
	s := w.s
	t := newText(sql)
	_, _, reply, err := s.replyOf(func() error { return s.inner(ctx, w.o, w.m, t, false) })
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
	case w.p.Op != plan.PickDelete:
		if _, err := fmt.Sscanf(reply.Info, "Rows matched: %d", &found); err != nil {
			found = uint64(n)
		}
	}
	if found != uint64(n) {
		return protocol.Errorf(1105, "HY000", "shardway: %d rows of %s.%s were chosen to be changed, and only %d of them were found again by the primary key: nothing was changed", n, w.p.DB, w.p.Table, found)
	}
	if w.made == 0 && w.p.Op == plan.PickInsert && reply.InsertID != 0 && (reply.InsertID == s.facts.FirstID || !given(t, reply.InsertID)) {
		w.made = reply.InsertID
	}
	w.sum.AffectedRows += reply.AffectedRows
	w.sum.Warnings += reply.Warnings
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

// inner plans and runs a statement that is part of another one. Its reply goes to the session's present client.
func (s *session) inner(ctx context.Context, o *Options, m *shardmap.Map, t *text, locked bool) error {
	d := new(parse.Digest)
	t.st = s.parse(o, d, t.sql)
	t.args = d.Args
	planned, err := s.planToRun(ctx, t, m)
	if err != nil {
		return err
	}
	if !locked {
		if err := s.snapshot(t.st, planned, plan.Moving(planned), m); err != nil {
			return err
		}
	}
	switch p := planned.(type) {
	case *plan.One:
		_, err = s.x.Run(ctx, &exec.Request{
			Command: protocol.ComQuery, Payload: t.sql, Reply: protocol.ReplyQuery, Shard: p.Shard.ID, Role: exec.Primary, Read: t.st.Is(parse.FlagRead), Timeout: o.QueryTimeout,
		})
	case *plan.Many:
		var r *exec.ManyRequest
		if r, err = s.manyRequest(o, t, p); err != nil {
			return err
		}
		for i := range r.Parts {
			r.Parts[i].Role = exec.Primary
		}
		_, err = s.x.RunMany(ctx, r)
		if _, cannot := errors.AsType[*merge.UnmergeableError](err); cannot && p.Else != nil {
			err = s.innerGather(ctx, o, t, p.Else, locked)
		}
	case *plan.Gather:
		err = s.innerGather(ctx, o, t, p, locked)
	case *plan.Refuse:
		return &innerRefused{&protocol.Error{Code: p.Code, State: p.State, Message: p.Message}}
	default:
		return &innerRefused{protocol.Errorf(1235, "42000", "shardway: a statement that this one needs can't be run: %s", p)}
	}
	return err
}

// innerGather runs a SELECT over rows that are brought to one server; locked keeps them as they are.
func (s *session) innerGather(ctx context.Context, o *Options, t *text, p *plan.Gather, locked bool) error {
	r := exec.Request{Command: protocol.ComQuery, Payload: t.sql, Reply: protocol.ReplyQuery, Read: true, Timeout: o.QueryTimeout}
	if p.SQL != nil {
		sql, err := p.SQL.Append(nil, &rewrite.Fill{SQL: t.sql})
		if err != nil {
			return err
		}
		r.Payload = sql
	}
	p.From = plan.Primary
	_, _, err := s.x.Gather(ctx, &exec.Gathering{Plan: p, Rows: o.GatherRows, Bytes: o.GatherBytes, Lock: locked}, &r)
	return err
}

// literalKind is how a value of a result is written as SQL.
type literalKind uint8

const (
	literalNumber literalKind = iota
	literalFloat
	literalBit
	literalText
	literalBytes
)

// literalOf is how the values of a column are written, by its definition.
func literalOf(def []byte) literalKind {
	for range 6 {
		n, size := protocol.LenInt(def)
		if size == 0 || n > uint64(len(def)-size) {
			return literalText
		}
		def = def[size+int(n):]
	}
	if len(def) < 8 {
		return literalText
	}
	charset, typ := binary.LittleEndian.Uint16(def[1:]), def[7]
	switch typ {
	case protocol.TypeTiny, protocol.TypeShort, protocol.TypeInt24, protocol.TypeLong, protocol.TypeLongLong, protocol.TypeDouble,
		protocol.TypeNewDecimal, protocol.TypeDecimal, protocol.TypeYear:
		return literalNumber
	case protocol.TypeFloat:
		return literalFloat
	case protocol.TypeBit:
		return literalBit
	case protocol.TypeGeometry:
		return literalBytes
	case protocol.TypeVarchar, protocol.TypeVarString, protocol.TypeString, protocol.TypeTinyBlob, protocol.TypeMediumBlob, protocol.TypeLongBlob, protocol.TypeBlob:
		if charset == 63 {
			return literalBytes
		}
	}
	return literalText
}

// cells are the values of a row as SQL.
func (w *picking) cells(kinds []literalKind, row []byte) ([]string, bool) {
	cells := make([]string, len(kinds))
	for i, kind := range kinds {
		if len(row) > 0 && row[0] == 0xfb {
			cells[i], row = "NULL", row[1:]
			continue
		}
		n, size := protocol.LenInt(row)
		if size == 0 || n > uint64(len(row)-size) {
			return nil, false
		}
		v := row[size : size+int(n)]
		row = row[size+int(n):]
		switch kind {
		case literalNumber:
			cells[i] = string(v)
		case literalBit:
			n := uint64(0)
			for _, b := range v {
				n = n<<8 | uint64(b)
			}
			cells[i] = strconv.FormatUint(n, 10)
		case literalBytes:
			cells[i] = rewrite.Bytes(v)
		default:
			cells[i] = rewrite.Unicode(v, w.s.sqlMode())
		}
	}
	return cells, len(row) == 0
}

// boundSQL is a bound value as SQL.
func (s *session) boundSQL(stmt *statement, i int) string {
	p := &stmt.bound[i]
	v := p.Bytes
	if p.LongData {
		v = stmt.longData(i)
	}
	switch {
	case p.Null:
		return "NULL"
	case p.LongData:
	default:
		switch p.Type {
		case protocol.TypeTiny, protocol.TypeShort, protocol.TypeLong, protocol.TypeInt24, protocol.TypeLongLong, protocol.TypeYear:
			if p.Unsigned {
				return strconv.FormatUint(p.Uint, 10)
			}
			return "(" + strconv.FormatInt(p.Int, 10) + ")"
		case protocol.TypeFloat, protocol.TypeDouble:
			return "(" + strconv.FormatFloat(p.Float, 'e', -1, 64) + ")"
		}
	}
	switch p.Type {
	case protocol.TypeTinyBlob, protocol.TypeMediumBlob, protocol.TypeLongBlob, protocol.TypeBlob:
		return rewrite.Bytes(v)
	}
	return rewrite.Text(v, s.sqlMode(), s.x.Charset())
}
