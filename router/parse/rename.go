package parse

import "slices"

// ordinary are words that the parser keeps for itself and that are ordinary names to MariaDB or to older MySQL.
var ordinary = []string{
	"CUME_DIST", "DENSE_RANK", "FIRST_VALUE", "GROUPS", "ILIKE", "LAG", "LAST_VALUE", "LEAD", "NTH_VALUE", "NTILE", "PERCENT_RANK", "RANK",
	"ROW_NUMBER", "STORED", "TABLESAMPLE", "UNTIL", "VIRTUAL",
}

// beforeTable are words that a table's name follows.
var beforeTable = []string{"INTO", "TABLE", "UPDATE", "FROM", "JOIN", "IGNORE", "."}

// ordinaryName lets a word that the parser keeps for itself pass as a name: for the parser its first letter is $.
func (b *bridge) ordinaryName(t token) {
	if b.tok(b.i+1).up == "(" && !slices.Contains(beforeTable, b.tok(b.i-1).up) {
		return // a function
	}
	name := b.src.str(t)
	if b.src.renamed == nil {
		b.src.renamed = make(map[string]string)
	}
	b.src.renamed["$"+name[1:]] = name
	b.src.text[t.a] = '$'
	b.changed = true
}

// restore gives names back what ordinaryName took.
func (st *Statement) restore(names map[string]string) {
	if names == nil {
		return
	}
	r := renamer(names)
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
