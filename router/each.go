package router

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"shardway/protocol"
	"shardway/router/exec"
	"shardway/router/parse"
	"shardway/router/plan"
	"shardway/shardmap"
)

// runEach runs a statement on one shard after another.
func (s *session) runEach(ctx context.Context, o *Options, t *text, p *plan.Each) error {
	s.event.Way, s.event.Shards = WayMany, len(p.Shards)
	s.event.Shard, s.event.Role = several, roleOf(p.Role).String()
	st := t.st
	if p.Answer == plan.AnswerChecksums && s.x.InTransaction() {
		return protocol.Errorf(1235, "42000", "shardway: CHECKSUM TABLE on several shards can't see what the open transaction has changed: COMMIT or ROLLBACK first")
	}
	if p.Answer != plan.AnswerSizes {
		for _, shard := range p.Shards {
			if err := s.lockedTables(st, shard.ID); err != nil {
				return err
			}
		}
	}
	if st.Is(parse.FlagImplicitCommit) && s.x.InTransaction() {
		if err := s.x.CommitSilently(ctx); err != nil {
			return err
		}
	}
	base := exec.Request{
		Command: protocol.ComQuery, Payload: t.sql, Reply: protocol.ReplyQuery, Role: roleOf(p.Role), Timeout: o.QueryTimeout, Passing: passing(st),
	}
	base.MaxLag, base.Stale = st.Hints.MaxLag, st.Hints.Stale
	if st.Hints.Timeout > 0 {
		base.Timeout = st.Hints.Timeout
	}
	switch p.Answer {
	case plan.AnswerSum, plan.AnswerLargest:
		r := &exec.EachRequest{Tables: p.Tables, Repeatable: p.Repeatable, Largest: p.Answer == plan.AnswerLargest, Verb: strings.ToUpper(st.Name)}
		for _, shard := range p.Shards {
			part := base
			part.Shard = shard.ID
			r.Parts = append(r.Parts, part)
		}
		out, err := s.x.RunEach(ctx, r)
		return s.ranText(t, &out, err)
	default:
		return s.askEach(ctx, t, p, base)
	}
}

// askEach answers with one result what each of the shards answers with one.
func (s *session) askEach(ctx context.Context, t *text, p *plan.Each, base exec.Request) error {
	var results []*protocol.Result
	var servers []string
	base.Read = p.Answer == plan.AnswerSizes
	for i, shard := range p.Shards {
		r := base
		r.Shard = shard.ID
		if p.Answer == plan.AnswerSizes && i > 0 {
			r.Payload = []byte("SHOW TABLE STATUS FROM `" + strings.ReplaceAll(p.Schema, "`", "``") + "`")
		}
		res, server, err := s.x.Ask(ctx, &r)
		servers = append(servers, server)
		if err != nil {
			return s.ranText(t, &exec.Outcome{Server: server}, err)
		}
		results = append(results, res)
	}
	sum := results[0]
	switch p.Answer {
	case plan.AnswerChecksums:
		addChecksums(results)
	case plan.AnswerStatus:
		addStatus(results, p.Shards)
	default:
		m := s.srv.options.Load().Maps.Current()
		names := p.Columns
		if names == nil {
			names = sum.Columns
		}
		addSizes(results, names, func(table string) bool {
			listed := m.Table(p.Schema, table)
			return listed != nil && listed.Sharded()
		})
	}
	rows := &protocol.Rows{Columns: sum.Types}
	for _, row := range sum.Rows {
		cells := make([]any, len(row))
		for i, v := range row {
			cells[i] = cell(v, sum.Types[i])
		}
		rows.Rows = append(rows.Rows, cells)
	}
	out := exec.Outcome{Server: strings.Join(servers, ",")}
	out.Reply.ResultSets, out.Reply.Rows, out.Reply.Status = 1, uint64(len(rows.Rows)), s.x.Status()
	return s.ranText(t, &out, s.rowsOut(t, rows))
}

// cell is a value as rowsOut takes it.
func cell(v *string, c protocol.Column) any {
	if v == nil {
		return nil
	}
	if c.Type == protocol.TypeLongLong {
		if c.Unsigned {
			if n, err := strconv.ParseUint(*v, 10, 64); err == nil {
				return n
			}
		}
		if n, err := strconv.ParseInt(*v, 10, 64); err == nil {
			return n
		}
	}
	return *v
}

// addChecksums adds up a table's checksums in the first result: a server's own is the sum of its rows', modulo 2^32.
func addChecksums(results []*protocol.Result) {
	sum := results[0]
	for i, row := range sum.Rows {
		var total uint64
		known := true
		for _, res := range results {
			text, ok := "", false
			if i < len(res.Rows) && len(res.Columns) > 1 {
				text, ok = res.Get(i, res.Columns[1])
			}
			n, err := strconv.ParseUint(text, 10, 64)
			known = known && ok && err == nil
			total += n
		}
		row[1] = nil
		if known {
			text := strconv.FormatUint(total%(1<<32), 10)
			row[1] = &text
		}
	}
}

// addStatus adds to the first result what other shards say of the tables. A table is OK where all shards say so.
func addStatus(results []*protocol.Result, shards []*shardmap.Shard) {
	sum := results[0]
	value := func(row []*string, i int) string {
		if i >= len(row) || row[i] == nil {
			return ""
		}
		return *row[i]
	}
	same := func(a, b []*string) bool {
		return slices.EqualFunc(a, b, func(x, y *string) bool { return x == y || x != nil && y != nil && *x == *y })
	}
	for n, res := range results[1:] {
		for _, row := range res.Rows {
			if slices.ContainsFunc(results[0].Rows, func(known []*string) bool { return same(known, row) }) {
				continue
			}
			table, last := value(row, 0), -1
			for i, known := range sum.Rows {
				if value(known, 0) == table {
					last = i
				}
			}
			text := value(row, 3) + " (shard " + shards[n+1].ID + ")"
			told := append(slices.Clone(row[:3]), &text)
			if last >= 0 && value(row, 2) == "status" && value(sum.Rows[last], 2) == "status" {
				if value(sum.Rows[last], 3) == "OK" {
					sum.Rows[last] = told
				}
				continue
			}
			at := len(sum.Rows)
			if last >= 0 {
				at = last // before the table's status
			}
			sum.Rows = slices.Insert(sum.Rows, at, told)
		}
	}
}

// ofStatus are the columns of SHOW TABLE STATUS under the names that they have in information_schema.TABLES.
var ofStatus = map[string]string{"NAME": "TABLE_NAME", "ROWS": "TABLE_ROWS"}

// sizesOf are the columns of a result about tables by their names in information_schema.TABLES; -1 for those that it hasn't.
func sizesOf(names []string) func(column string) int {
	return func(column string) int {
		return slices.IndexFunc(names, func(name string) bool {
			name = strings.ToUpper(name)
			return name == column || ofStatus[name] == column
		})
	}
}

// addSizes adds the sizes of the other shards' rows to the first result about tables, for those that are on several
// shards. names are the columns of the first one; the others are of SHOW TABLE STATUS.
func addSizes(results []*protocol.Result, names []string, sharded func(table string) bool) {
	sum := results[0]
	at := sizesOf(names)
	number := func(row []*string, i int) (n uint64, ok bool) {
		if i < 0 || row[i] == nil {
			return 0, false
		}
		n, err := strconv.ParseUint(*row[i], 10, 64)
		return n, err == nil
	}
	put := func(row []*string, i int, n uint64) {
		text := strconv.FormatUint(n, 10)
		row[i] = &text
	}
	for _, row := range sum.Rows {
		name := row[at("TABLE_NAME")]
		if name == nil || !sharded(*name) {
			continue
		}
		var rows, length uint64
		for n, res := range results {
			from, theirs := at, row
			if n > 0 {
				from = sizesOf(res.Columns)
				i := slices.IndexFunc(res.Rows, func(r []*string) bool { return r[0] != nil && strings.EqualFold(*r[0], *name) })
				if i < 0 {
					continue
				}
				theirs = res.Rows[i]
			}
			x, _ := number(theirs, from("TABLE_ROWS"))
			y, _ := number(theirs, from("DATA_LENGTH"))
			rows, length = rows+x, length+y
			if n == 0 {
				continue
			}
			for _, column := range []string{"TABLE_ROWS", "DATA_LENGTH", "INDEX_LENGTH", "DATA_FREE", "AUTO_INCREMENT"} {
				own, ok1 := number(row, at(column))
				other, ok2 := number(theirs, from(column))
				switch {
				case at(column) < 0, !ok2:
				case column == "AUTO_INCREMENT", !ok1:
					put(row, at(column), max(own, other))
				default:
					put(row, at(column), own+other)
				}
			}
		}
		if average := at("AVG_ROW_LENGTH"); average >= 0 && rows > 0 && at("TABLE_ROWS") >= 0 && at("DATA_LENGTH") >= 0 {
			put(row, average, length/rows)
		}
	}
}
