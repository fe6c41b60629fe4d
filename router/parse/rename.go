package parse

import "shardway/router/parse/bridge"

// restore gives names back what a bridge took.
func (st *Statement) restore(bridged *bridge.Result) {
	if bridged == nil || bridged.Renamed == nil {
		return
	}
	r := renamer(bridged.Renamed)
	for i := range st.Blocks {
		blk := &st.Blocks[i]
		for j := range blk.Tables {
			r.table(&blk.Tables[j])
		}
		r.cond(blk.Where)
	}
	if ins := st.Insert; ins != nil {
		r.table(&ins.Table)
		for i := range ins.Columns {
			r.name(&ins.Columns[i])
		}
		for _, row := range ins.Rows {
			r.operands(row)
		}
		r.operands(ins.SelectList)
	}
	for i := range st.Assign {
		r.column(&st.Assign[i].Col)
		r.column(&st.Assign[i].Val.Col)
	}
	for i := range st.Qualifiers {
		r.name(&st.Qualifiers[i])
	}
}

type renamer map[string]string

func (r renamer) name(s *string) {
	if old, ok := r[*s]; ok {
		*s = old
	}
}

func (r renamer) table(t *Table) {
	r.name(&t.DB)
	r.name(&t.Name)
	r.name(&t.Alias)
	r.cond(t.On)
}

func (r renamer) column(c *Column) {
	r.name(&c.DB)
	r.name(&c.Qualifier)
	r.name(&c.Name)
}

func (r renamer) operands(list []Operand) {
	for i := range list {
		r.column(&list[i].Col)
	}
}

func (r renamer) cond(c *Cond) {
	if c == nil {
		return
	}
	for _, arg := range c.Args {
		r.cond(arg)
	}
	r.column(&c.Col)
	r.operands(c.Vals)
}
