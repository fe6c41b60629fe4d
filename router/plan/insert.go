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
	rows  []*shardmap.Shard // by row; nil when one shard takes all of them as they are
	ids   numbering
}

// insert finds the shard of the rows that an INSERT or REPLACE stores.
func (b *builder) insert(ins *parse.Insertion) Plan {
	target := b.source(&ins.Table, parse.RoleQuery)
	switch target.kind {
	case kindReference:
		b.writesCopy(&target)
		return nil
	case kindWhole, kindTemporary:
		b.add(target)
		return nil
	case kindNone:
		return nil
	case kindSharded:
	}
	t := target.table
	if ins.Select >= 0 && t.Sequence != "" {
		b.pick = "rows of " + fullName(t) + " get numbers of its sequence"
		b.ins.table = t
		return nil
	}
	if onOne(t) && t.Sequence == "" {
		b.ins = insertNote{table: t, in: b.insertedOn(ins, t)}
		return nil
	}
	into := verb(b.st) + " into " + fullName(t)
	columns := ins.Columns
	if columns == nil {
		if columns = b.f.Columns; columns == nil {
			return refuse(into + " without a column list, and the table's columns aren't known: name the columns, the key " + t.Key + " among them")
		}
	}
	if t.Sequence != "" && ins.Rows != nil {
		var problem string
		if b.ins.ids, problem = b.numbering(ins, t); problem != "" {
			return refuse(into + ": " + problem)
		}
	}
	at := columnAt(columns, t.Key)
	byNumber := b.ins.ids.table != nil && strings.EqualFold(t.Sequence, t.Key)
	if at < 0 && !byNumber {
		return refuse(into + " doesn't give the key " + t.Key + ", which decides the row's shard: add the column with a value")
	}
	b.ins.table = t
	if ins.Rows == nil || ins.Select >= 0 {
		r := b.insertSelect(ins, t, into, columns, at)
		if refused, ok := r.(*Refuse); ok && refused.Code == 1235 {
			b.pick = "the rows that the SELECT gives decide their shards"
			return nil
		}
		return r
	}
	for i, row := range ins.Rows {
		if len(row) == 0 && len(ins.Columns) == 0 && !byNumber {
			return refuse(into + ": row " + number(i+1) + " leaves the key " + t.Key + " to its default; give it a value")
		}
		if len(row) != len(columns) && (len(row) > 0 || len(ins.Columns) > 0) {
			return &Refuse{Code: 1136, State: "21S01", Message: "Column count doesn't match value count at row " + number(i+1)}
		}
		var loc shardmap.Location
		b.ins.op, b.ins.slot = nil, 0
		if nth := b.ins.ids.of(i); byNumber && nth >= 0 {
			v := shardmap.Value{Kind: shardmap.Uint, U: b.firstID() + uint64(nth)}
			if loc = t.Locate(v, shardmap.Insert); loc.Kind != shardmap.Placed {
				return refuse(into + ": the sequence's number " + unsigned(v.U) + " has no place: the key's column is too small for it")
			}
		} else {
			var problem string
			if loc, problem = b.stored(&row[at], t, ins.Ignore); problem != "" {
				return refuse(into + ": row " + number(i+1) + " " + problem)
			}
			if len(ins.Rows) == 1 {
				b.ins.op, b.ins.slot = &row[at], loc.Slot
			}
		}
		b.placeRow(i, t, &loc)
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
	if zero(&v) && t.Placement == shardmap.Mod && b.storesZero(t) {
		return t.Locate(shardmap.Value{Kind: shardmap.Int}, shardmap.Compare), ""
	}
	if strings.EqualFold(t.Sequence, t.Key) && zero(&v) {
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

func zero(v *shardmap.Value) bool {
	return v.Kind == shardmap.Int && v.I == 0 || v.Kind == shardmap.Uint && v.U == 0 || v.Kind == shardmap.String && string(v.S) == "0"
}

// storesZero reports whether 0 is stored as the key 0: an AUTO_INCREMENT column makes a number of its own of it.
func (b *builder) storesZero(t *shardmap.Table) bool {
	if b.f.ZeroID {
		return true
	}
	column, known := b.f.Numbered[strings.ToLower(fullName(t))]
	b.ask = b.ask || !known
	return known && !strings.EqualFold(column, t.Key) && !strings.EqualFold(t.Sequence, t.Key)
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
		b.ins.in, b.ins.op, b.ins.slot = ofSlot(t, &loc), op, loc.Slot
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
			from = rows(in[i].table, b.m)
		}
		b.ins.in = from
		return nil
	}
	return refuse(into + ": its SELECT gives " + op.Col.Name + " to " + key + ", which isn't the key of a table that shares its slots: select a constant, or such a key")
}
