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
	s.event.Shard, s.event.Role = several, exec.Primary.String()
	st := t.st
	if p.Answer == plan.AnswerChecksums && s.x.InTransaction() {
		return protocol.Errorf(1235, "42000", "shardway: CHECKSUM TABLE on several shards can't see what the open transaction has changed: COMMIT or ROLLBACK first")
	}
	if st.Is(parse.FlagImplicitCommit) && s.x.InTransaction() {
		if err := s.x.CommitSilently(ctx); err != nil {
			return err
		}
	}
	base := exec.Request{
		Command: protocol.ComQuery, Payload: t.sql, Reply: protocol.ReplyQuery, Role: exec.Primary, Timeout: o.QueryTimeout, Passing: passing(st),
	}
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
		addSizes(results, func(table string) bool {
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

// addSizes adds the sizes of the other shards' rows to the first result of SHOW TABLE STATUS, for the tables whose rows are
// on several shards.
func addSizes(results []*protocol.Result, sharded func(table string) bool) {
	sum := results[0]
	for i, row := range sum.Rows {
		name, ok := sum.Get(i, "Name")
		if !ok || !sharded(name) {
			continue
		}
		for _, res := range results[1:] {
			at := -1
			for j := range res.Rows {
				if other, _ := res.Get(j, "Name"); strings.EqualFold(other, name) {
					at = j
				}
			}
			if at < 0 {
				continue
			}
			for _, column := range []string{"Rows", "Data_length", "Index_length", "Data_free", "Auto_increment"} {
				a, ok1 := sum.Get(i, column)
				b, ok2 := res.Get(at, column)
				if !ok2 {
					continue
				}
				x, _ := strconv.ParseUint(a, 10, 64)
				y, err := strconv.ParseUint(b, 10, 64)
				if err != nil {
					continue
				}
				total := x + y
				if column == "Auto_increment" || !ok1 {
					total = max(x, y)
				}
				text := strconv.FormatUint(total, 10)
				row[slices.Index(sum.Columns, column)] = &text
			}
		}
		rows, _ := sum.Get(i, "Rows")
		length, _ := sum.Get(i, "Data_length")
		n, _ := strconv.ParseUint(rows, 10, 64)
		size, _ := strconv.ParseUint(length, 10, 64)
		if average := slices.Index(sum.Columns, "Avg_row_length"); average >= 0 && n > 0 {
			text := strconv.FormatUint(size/n, 10)
			row[average] = &text
		}
	}
}
