package plan

import (
	"slices"
	"strings"

	"shardway/router/parse"
	"shardway/router/parse/rewrite"
	"shardway/shardmap"
)

// sizeColumns are the columns of information_schema.TABLES that tell of a table's rows on one server alone.
var sizeColumns = []string{"TABLE_ROWS", "AVG_ROW_LENGTH", "DATA_LENGTH", "INDEX_LENGTH", "DATA_FREE", "AUTO_INCREMENT"}

// sized plans SHOW TABLE STATUS of a database with tables that several shards have; nil where there are none.
func (b *builder) sized() Plan {
	if b.st.Name != "table status" || b.st.Is(parse.FlagUsesUserVar) {
		return nil
	}
	db := b.f.DB
	if len(b.st.Qualifiers) > 0 {
		db = b.st.Qualifiers[0]
	}
	if p := b.sizes(b.m.Database(db)); p != nil {
		return p
	}
	return nil
}

// sizedSelect plans a SELECT of columns of information_schema.TABLES for one database by name; nil for all else. What a
// server says of sizes is of its own rows, and conditions and orders on them can't be made right by adding up.
func (b *builder) sizedSelect() Plan {
	st := b.st
	if st.Flags != parse.FlagRead || len(st.Blocks) != 1 || len(st.Blocks[0].Tables) != 1 || !strings.EqualFold(st.Blocks[0].Tables[0].Name, "TABLES") {
		return nil
	}
	db := st.Blocks[0].Tables[0].DB
	if db == "" {
		db = b.f.DB
	}
	if !strings.EqualFold(db, "information_schema") {
		return nil
	}
	shape := st.Shape()
	if shape == nil || shape.Union || shape.Distinct || shape.Windows || len(shape.Group) > 0 || shape.Having != nil || shape.Limit != nil {
		return nil
	}
	tells := func(name string) bool { return slices.Contains(sizeColumns, strings.ToUpper(name)) }
	for i := shape.Body.From; i < shape.Body.To; i++ {
		if shape.Norm.Tokens[i].IsName() && tells(shape.Norm.Name(i)) {
			return nil
		}
	}
	for i := range shape.Order {
		it := &shape.Order[i]
		if it.Position > 0 || slices.ContainsFunc(it.Names, func(c rewrite.Column) bool { return tells(c.Name) }) {
			return nil
		}
	}
	names := make([]string, 0, len(shape.Items))
	for i := range shape.Items {
		switch it := &shape.Items[i]; {
		case it.Star:
			names = append(names, "*")
		case it.Column != nil:
			names = append(names, strings.ToUpper(it.Column.Name))
		case it.Aggregates > 0 || it.Subquery || slices.ContainsFunc(it.Names, func(c rewrite.Column) bool { return tells(c.Name) }):
			return nil
		default:
			names = append(names, "")
		}
	}
	if star := slices.Index(names, "*"); star >= 0 {
		if len(names) > 1 {
			return nil
		}
		names = nil
	} else if !slices.Contains(names, "TABLE_NAME") || !slices.ContainsFunc(names, tells) {
		return nil
	}
	p := b.sizes(b.m.Database(b.schemaAsked(st.Blocks[0].Where)))
	if p == nil {
		return nil
	}
	p.Columns = names
	return p
}

// schemaAsked is the database that a condition compares TABLE_SCHEMA with; "" for none.
func (b *builder) schemaAsked(c *parse.Cond) string {
	switch {
	case c == nil:
		return ""
	case c.Op == parse.CondAnd:
		for _, arg := range c.Args {
			if db := b.schemaAsked(arg); db != "" {
				return db
			}
		}
	case c.Op == parse.CondEqual && strings.EqualFold(c.Col.Name, "TABLE_SCHEMA") && len(c.Vals) == 1:
		if v := b.value(&c.Vals[0]); v.Kind == shardmap.String {
			return string(v.S)
		}
	}
	return ""
}

// sizes is the plan that adds up the sizes of a database's tables; nil where none is on several shards.
func (b *builder) sizes(d *shardmap.Database) *Each {
	if d == nil {
		return nil
	}
	in := only(d.Default)
	for _, t := range d.Tables {
		if t.Sharded() {
			in.or(owners(t, b.m))
		}
	}
	if in.count() == 1 {
		return nil
	}
	p := b.each(in, AnswerSizes, "tables of "+d.Name+" are on "+in.names(b.m))
	p.Schema = d.Name
	p.Role, _ = b.chooseRole()
	// The default shard has the unlisted tables as well, so it is asked first.
	slices.SortStableFunc(p.Shards, func(x, y *shardmap.Shard) int {
		switch d.Default {
		case x:
			return -1
		case y:
			return 1
		default:
			return 0
		}
	})
	return p
}
