package plan

import (
	"strings"

	"shardway/router/parse"
	"shardway/shardmap"
)

// insertNote is what an INSERT's values say of its shard.
type insertNote struct {
	table *shardmap.Table // nil: the target isn't listed
	in    set
	op    *parse.Operand // the key's value when there is one row
	slot  int
}

// insert finds the shard of the rows that an INSERT or REPLACE stores.
func (b *builder) insert(ins *parse.Insertion) Plan {
	target := b.source(&ins.Table, parse.RoleQuery)
	switch target.kind {
	case kindReference:
		return b.allShards(&target)
	case kindWhole, kindTemporary:
		b.add(target)
		return nil
	case kindNone:
		return nil
	case kindSharded:
	}
	t := target.table
	if onOne(t) {
		b.ins = insertNote{table: t, in: only(t.Database.Owner(0))}
		return nil
	}
	into := verb(b.st) + " into " + fullName(t)
	columns := ins.Columns
	if columns == nil {
		if columns = b.f.Columns; columns == nil {
			return refuse(into + " without a column list, and the table's columns aren't known: name the columns, the key " + t.Key + " among them")
		}
	}
	at := -1
	for i, c := range columns {
		if strings.EqualFold(c, t.Key) {
			at = i
			break
		}
	}
	if at < 0 {
		return refuse(into + " doesn't give the key " + t.Key + ", which decides the row's shard: add the column with a value")
	}
	b.ins.table = t
	if ins.Rows == nil || ins.Select >= 0 {
		return b.insertSelect(ins, t, into, columns, at)
	}
	for i, row := range ins.Rows {
		if len(row) == 0 && len(ins.Columns) == 0 {
			return refuse(into + ": row " + number(i+1) + " leaves the key " + t.Key + " to its default; give it a value")
		}
		if len(row) != len(columns) {
			return &Refuse{Code: 1136, State: "21S01", Message: "Column count doesn't match value count at row " + number(i+1)}
		}
		loc, problem := b.stored(&row[at], t, ins.Ignore)
		if problem != "" {
			return refuse(into + ": row " + number(i+1) + " " + problem)
		}
		b.ins.in.or(only(loc.Shard))
		b.ins.op, b.ins.slot = nil, 0
		if len(ins.Rows) == 1 {
			b.ins.op, b.ins.slot = &row[at], loc.Slot
		}
	}
	if b.ins.in.count() > 1 {
		return refuse(into + ": " + b.rowShards(ins, t, at) + ": insert the rows of each shard with a statement of their own")
	}
	return nil
}

// stored is where a key's value of a row to be stored belongs, or the problem with it.
func (b *builder) stored(op *parse.Operand, t *shardmap.Table, ignore bool) (shardmap.Location, string) {
	switch op.Kind {
	case parse.OperandDefault:
		return shardmap.Location{}, "gives DEFAULT to the key " + t.Key + ", which decides its shard; give it a value"
	case parse.OperandColumn, parse.OperandUnknown, parse.OperandInserted, parse.OperandExpr:
		if _, ok := op.Integer(b.args); !ok || t.Placement == shardmap.CRC32 { // the text of a sum depends on its type
			return shardmap.Location{}, "gives an expression to the key " + t.Key + ", which decides its shard; give it a constant or a bound value"
		}
	case parse.OperandArg, parse.OperandConst:
	}
	v := b.value(op)
	if v.Kind == shardmap.Null {
		return shardmap.Location{}, "gives NULL to the key " + t.Key + ", which decides its shard; give it a value"
	}
	if strings.EqualFold(t.Sequence, t.Key) && (v.Kind == shardmap.Int && v.I == 0 || v.Kind == shardmap.Uint && v.U == 0) {
		return shardmap.Location{}, "gives 0 to the key " + t.Key + ", for which the server may make a number of its own; give it a value"
	}
	loc := t.Locate(v, b.store(ignore))
	if loc.Kind != shardmap.Placed {
		why := ""
		if b.store(ignore) == shardmap.InsertLax {
			why = " without strict mode or with IGNORE"
		}
		return loc, "gives " + b.operand(op) + " to the key " + t.Key + ", and what the server would make of that" + why + " isn't certain; give the key in its own type, and declare key_type in the map"
	}
	return loc, ""
}

// rowShards says which rows of an INSERT belong to which shards.
func (b *builder) rowShards(ins *parse.Insertion, t *shardmap.Table, at int) string {
	const most = 4
	var out strings.Builder
	for i, row := range ins.Rows {
		if i == most {
			out.WriteString(", …")
			break
		}
		if i > 0 {
			out.WriteString(", ")
		}
		loc := t.Locate(b.value(&row[at]), b.store(ins.Ignore))
		out.WriteString("row " + number(i+1) + " (" + t.Key + " = " + b.operand(&row[at]) + ") belongs to ")
		if loc.Shard != nil {
			out.WriteString(loc.Shard.ID)
		}
	}
	if len(ins.Rows) > most {
		out.WriteString(" (shards " + b.ins.in.names(b.m) + ")")
	}
	return out.String()
}

// insertSelect finds the shard of the rows that a SELECT gives: its key is a constant, or the key of a table that the
// SELECT reads, whose equal keys are on the same shard.
func (b *builder) insertSelect(ins *parse.Insertion, t *shardmap.Table, into string, columns []string, at int) Plan {
	key := "the key " + t.Key
	if ins.SelectList == nil || ins.Select < 0 || ins.Select >= len(b.st.Blocks) {
		return refuse(into + " from a SELECT whose columns aren't listed one by one: list them, with a constant, or the key of a sharded table, for " + key)
	}
	if len(ins.SelectList) != len(columns) {
		return &Refuse{Code: 1136, State: "21S01", Message: "Column count doesn't match value count at row 1"}
	}
	op := &ins.SelectList[at]
	if op.Kind != parse.OperandColumn {
		loc, problem := b.stored(op, t, ins.Ignore)
		if problem != "" {
			return refuse(into + ": its SELECT " + problem)
		}
		b.ins.in, b.ins.op, b.ins.slot = only(loc.Shard), op, loc.Slot
		return nil
	}
	blk := ins.Select
	in := b.of(ins.Select)
	for i := range in {
		if !isKey(&op.Col, blk, in, i) || !alike(t, in[i].table) {
			continue
		}
		if in[i].text.On != nil {
			break // an outer join may make its key NULL
		}
		if from := in[i].table; b.store(ins.Ignore) == shardmap.InsertLax && from != t && (from.KeyType != t.KeyType || !t.KeyType.Declared()) {
			return refuse(into + ": its SELECT takes " + key + " from " + fullName(from) +
				", and without strict mode or with IGNORE the server may store another value if the columns' types differ: declare key_type of both tables in the map")
		}
		from := in[i].in
		if from.all {
			from = owners(in[i].table, b.m)
		}
		b.ins.in = from
		return nil
	}
	return refuse(into + ": its SELECT gives " + op.Col.Name + " to " + key + ", which isn't the key of a table that shares its slots: select a constant, or such a key")
}
