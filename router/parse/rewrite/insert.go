package rewrite

import "shardway/router/parse/digest"

// Insertion is an INSERT or REPLACE of rows, clause by clause.
type Insertion struct {
	Into    Range   // from the first token to the table with its PARTITION
	Columns Range   // the column list without its parentheses; empty where there is none
	Listed  bool    // there are parentheses of a column list, which may be empty
	Values  int     // the word VALUES or SET
	Rows    []Row   // one for SET
	Set     bool    // INSERT … SET: Rows[0].Cells are the values without the columns' names
	Tail    Range   // ON DUPLICATE KEY UPDATE and the like
	names   []Range // of Columns
}

// Row is one row to be inserted.
type Row struct {
	Range         // with its parentheses, and with ROW where it is written
	Cells []Range // the values
}

// Insertion reads an INSERT or REPLACE of rows; false for INSERT … SELECT and all other statements.
func (n *Norm) Insertion() (*Insertion, bool) {
	i := 0
	switch n.token(i).Up {
	case "INSERT", "REPLACE":
	default:
		return nil, false
	}
	i++
	for n.token(i).Kind == digest.TokWord {
		switch n.token(i).Up {
		case "LOW_PRIORITY", "DELAYED", "HIGH_PRIORITY", "IGNORE", "INTO":
			i++
			continue
		}
		break
	}
	if !n.token(i).IsName() {
		return nil, false
	}
	i++
	if n.token(i).Up == "." {
		i += 2
	}
	if n.token(i).Up == "PARTITION" {
		i = n.group(i + 1)
	}
	ins := &Insertion{Into: Range{0, i}}
	if n.token(i).Up == "(" {
		end := n.group(i)
		if n.token(i+1).Up == "SELECT" || n.token(i+1).Up == "WITH" || n.token(i+1).Up == "(" || n.token(i+1).Up == "VALUES" || n.token(i+1).Up == "TABLE" {
			return nil, false
		}
		ins.Listed, ins.Columns = true, Range{i + 1, end - 1}
		ins.names = n.commas(ins.Columns)
		i = end
	}
	ins.Values = i
	switch n.token(i).Up {
	case "VALUES", "VALUE":
		return ins, n.rows(ins)
	case "SET":
		return ins, n.sets(ins)
	default:
		return nil, false
	}
}

// rows reads the rows after VALUES.
func (n *Norm) rows(ins *Insertion) bool {
	i := ins.Values + 1
	for {
		from := i
		if n.token(i).Up == "ROW" {
			i++
		}
		end := n.group(i)
		if end == i {
			return false
		}
		ins.Rows = append(ins.Rows, Row{Range{from, end}, n.commas(Range{i + 1, end - 1})})
		i = end
		if n.token(i).Up != "," {
			break
		}
		i++
	}
	ins.Tail = Range{i, n.All().To}
	return true
}

// sets reads the assignments after SET.
func (n *Norm) sets(ins *Insertion) bool {
	from, to := ins.Values+1, n.All().To
	depth := 0
	for i := from; i < to; i++ {
		switch n.token(i).Up {
		case "(":
			depth++
		case ")":
			depth--
		case "ON", "AS", "RETURNING":
			if depth == 0 && n.token(i).Kind == digest.TokWord && (n.token(i).Up != "ON" || n.token(i+1).Up == "DUPLICATE") {
				ins.Tail, to = Range{i, to}, i
			}
		}
	}
	row := Row{Range: Range{from, to}}
	for _, one := range n.commas(row.Range) {
		eq := one.From
		for eq < one.To && n.token(eq).Up != "=" && n.token(eq).Up != ":=" {
			eq++
		}
		if eq == one.To {
			return false
		}
		row.Cells = append(row.Cells, Range{eq + 1, one.To})
	}
	ins.Set, ins.Rows = true, []Row{row}
	return true
}

// group is the token after the parenthesised group that begins at token i; i when none does.
func (n *Norm) group(i int) int {
	if i >= len(n.Tokens) {
		return i
	}
	src := digest.Source{Tokens: n.Tokens}
	return src.GroupEnd(i)
}

// commas are the parts of a range between its commas; none for an empty range.
func (n *Norm) commas(r Range) []Range {
	if r.Empty() {
		return nil
	}
	var parts []Range
	depth, from := 0, r.From
	for i := r.From; i < r.To; i++ {
		switch n.token(i).Up {
		case "(":
			depth++
		case ")":
			depth--
		case ",":
			if depth == 0 {
				parts = append(parts, Range{from, i})
				from = i + 1
			}
		}
	}
	return append(parts, Range{from, r.To})
}

// Numbering says where numbers of Shardway's own go.
type Numbering struct {
	Column string // the column that gets them
	At     int    // its place in the rows; -1 where they don't have it: it is appended to each then
	Given  []int  // by row: which of Fill.Numbers it gets; -1: none, its own value stays
}

// Template is the statement with some of its rows, in their order, and with numbers; numbering may be nil.
func (ins *Insertion) Template(n *Norm, rows []int, numbering *Numbering) *Template {
	t := New(n)
	appended := numbering != nil && numbering.At < 0
	quoted := ""
	if numbering != nil {
		quoted = Quote(numbering.Column)
	}
	if ins.Set {
		row := &ins.Rows[0]
		if appended {
			return t.Copy(Range{0, row.To}).Text(", " + quoted + " =").Number(numbering.Given[0]).Copy(ins.Tail)
		}
		t.Copy(Range{0, ins.Values + 1})
		ins.cells(t, row, row.From, numbering, 0)
		return t.Copy(ins.Tail)
	}
	switch {
	case !appended:
		t.Copy(Range{0, ins.Values + 1})
	case ins.Columns.Empty():
		t.Copy(ins.Into).Text("(" + quoted + ")").Copy(Range{ins.Values, ins.Values + 1})
	default:
		t.Copy(Range{0, ins.Columns.To}).Text(", " + quoted + ")").Copy(Range{ins.Values, ins.Values + 1})
	}
	for i, r := range rows {
		if i > 0 {
			t.Text(",")
		}
		row := &ins.Rows[r]
		switch {
		case appended && len(row.Cells) == 0:
			t.Text("(").Number(numbering.Given[r]).Text(")")
		case appended:
			t.Copy(Range{row.From, row.To - 1}).Text(",").Number(numbering.Given[r]).Text(")")
		default:
			ins.cells(t, row, row.From, numbering, r)
		}
	}
	return t.Copy(ins.Tail)
}

// cells copies a row from token from on, with its number in place of the value that it has.
func (ins *Insertion) cells(t *Template, row *Row, from int, numbering *Numbering, r int) {
	if numbering == nil || numbering.Given[r] < 0 {
		t.Copy(Range{from, row.To})
		return
	}
	cell := row.Cells[numbering.At]
	t.Copy(Range{from, cell.From}).Number(numbering.Given[r]).Copy(Range{cell.To, row.To})
}

// Quote is a name as an identifier in SQL.
func Quote(name string) string {
	out := make([]byte, 0, len(name)+2)
	out = append(out, '`')
	for i := range len(name) {
		if name[i] == '`' {
			out = append(out, '`')
		}
		out = append(out, name[i])
	}
	return string(append(out, '`'))
}
