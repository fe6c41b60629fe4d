package parse

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite testdata with what the code says now")

// The files in testdata hold texts, each followed by what becomes of it in indented lines.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no testdata", err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var out strings.Builder
		cache := NewCache(1000, 1<<20)
		var mode Mode
		for part := range strings.SplitSeq(strings.TrimSpace(string(data)), "\n\n") {
			sql, want, _ := strings.Cut(part, "\n\t")
			if strings.HasPrefix(sql, "# mode") && !strings.Contains(sql, "\n") {
				mode = ModeOf(strings.TrimPrefix(sql, "# mode "), "")
				fmt.Fprintf(&out, "%s\n\n", sql)
				continue
			}
			var d Digest
			d.Scan([]byte(sql), mode)
			got := describe(cache.Statement(&d), d.Args)
			if got != "\t"+strings.TrimRight(want, "\n") && !*update {
				t.Errorf("%s: %s\n got %s\nwant \t%s", file, sql, got, want)
			}
			fmt.Fprintf(&out, "%s\n%s\n\n", sql, got)
		}
		if *update {
			if err := os.WriteFile(file, []byte(strings.TrimSuffix(out.String(), "\n")), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// describe says all that a statement says, for a reader.
func describe(st *Statement, args []Value) string {
	var b strings.Builder
	describeTo(&b, st, args, "\t")
	return strings.TrimRight(b.String(), "\n")
}

func describeTo(b *strings.Builder, st *Statement, args []Value, in string) {
	fmt.Fprintf(b, "%s%s%s", in, kindNames[st.Kind], flagText(st.Flags))
	if st.Name != "" {
		fmt.Fprintf(b, " name=%q", st.Name)
	}
	if st.ID != 0 {
		fmt.Fprintf(b, " id=%d", st.ID)
	}
	if st.Bridged {
		b.WriteString(" bridged")
	}
	if st.Params > 0 {
		fmt.Fprintf(b, " params=%d", st.Params)
	}
	b.WriteByte('\n')
	line := func(format string, a ...any) { fmt.Fprintf(b, in+"  "+format+"\n", a...) }
	if st.ParseError != "" {
		line("error: %s", st.ParseError)
	} else if st.Why != "" {
		line("why: %s", st.Why)
	}
	if h := st.Hints; h.Primary || h.Stale || h.Shard != "" || h.Timeout != 0 || h.Unknown != nil {
		line("hints: %+v", h)
	}
	if st.Tx != (Tx{}) {
		line("tx: %+v", st.Tx)
	}
	if d := st.Define; d != nil && !reflect.DeepEqual(*d, Definition{}) {
		line("defines: %+v", *d)
	}
	for _, s := range st.Set {
		extra := ""
		if s.Literal {
			extra += " literal " + s.Value.String()
		}
		if s.Default {
			extra += " default"
		}
		line("set: %s %s = %s%s", scopeNames[s.Scope], s.Name, s.Text, extra)
	}
	for i, blk := range st.Blocks {
		extra := ""
		if blk.Parent >= 0 {
			extra += fmt.Sprintf(" in %d", blk.Parent)
		}
		if blk.Derived {
			extra += " derived"
		}
		if blk.Plain {
			extra += " plain"
		}
		if blk.Next >= 0 {
			extra += fmt.Sprintf(" next %d", blk.Next)
		}
		line("%d: %s%s", i, roleNames[blk.Role], extra)
		for j, t := range blk.Tables {
			s := fmt.Sprintf("  %d.%d %s", i, j, t.Name)
			if t.DB != "" {
				s = fmt.Sprintf("  %d.%d %s.%s", i, j, t.DB, t.Name)
			}
			if t.Name == "" {
				s += "source"
				if t.Source >= 0 {
					s += fmt.Sprint(" ", t.Source)
				}
			}
			if t.Alias != "" {
				s += " as " + t.Alias
			}
			if t.Write {
				s += " write"
			}
			if t.On != nil {
				s += " on " + condText(t.On, args)
			}
			line("%s", s)
		}
		if blk.Where != nil {
			line("  where %s", condText(blk.Where, args))
		}
	}
	if ins := st.Insert; ins != nil {
		line("into %s (%s) ignore=%v", ins.Table.Name, strings.Join(ins.Columns, ", "), ins.Ignore)
		for _, row := range ins.Rows {
			line("  row %s", operandsText(row, args))
		}
		if ins.Select >= 0 {
			line("  select %d: %s", ins.Select, operandsText(ins.SelectList, args))
		}
	}
	for _, as := range st.Assign {
		line("assign %s = %s", columnText(as.Col), operandsText([]Operand{as.Val}, args))
	}
	if st.Qualifiers != nil {
		line("databases: %s", strings.Join(st.Qualifiers, " "))
	}
	if st.Words != nil {
		line("words: %s", strings.Join(st.Words, " "))
	}
	if st.InnerText != "" {
		line("inner text: %s", st.InnerText)
	}
	if st.Inner != nil {
		describeTo(b, st.Inner, args, in+"  ")
	}
}

var kindNames = [...]string{
	"Other", "Empty", "Unparsed", "Several", "Select", "Insert", "Replace", "Update", "Delete", "Call", "Do", "DDL", "Begin", "Commit",
	"Rollback", "Savepoint", "RollbackTo", "ReleaseSavepoint", "Set", "SetTransaction", "Use", "Show", "Describe", "Explain", "Kill",
	"Lock", "Unlock", "Prepare", "Execute", "Deallocate", "LoadData", "Handler", "XA", "Flush", "Account", "Admin", "ShowShardway",
	"ExplainRoute",
}

var (
	roleNames  = [...]string{"query", "update", "delete", "insert"}
	scopeNames = [...]string{"session", "global", "persist", "user", "next", "statement"}
	flagNames  = [...]string{
		"read", "sets-user-var", "uses-user-var", "last-insert-id", "found-rows", "calc-found-rows", "row-count", "diagnostics",
		"locks", "get-lock", "release-lock", "temporary", "implicit-commit", "connection-id", "local-infile", "sequence-next",
		"stored-function", "into", "sets-last-insert-id", "foreign-data", "returning", "limited", "executable", "own-variable",
		"file", "acts", "dynamic",
	}
)

func flagText(f Flags) string {
	var b strings.Builder
	for i, name := range flagNames {
		if f&(1<<i) != 0 {
			b.WriteString(" " + name)
		}
	}
	return b.String()
}

func columnText(c Column) string {
	s := c.Name
	if c.Qualifier != "" {
		s = c.Qualifier + "." + s
	}
	if c.DB != "" {
		s = c.DB + "." + s
	}
	if c.Table >= 0 {
		s = fmt.Sprintf("%d.%d.%s", c.Block, c.Table, c.Name)
	}
	return s
}

func operandsText(list []Operand, args []Value) string {
	var parts []string
	for _, o := range list {
		s := "?"
		switch o.Kind {
		case OperandArg:
			s = "arg out of range"
			if o.Arg < len(args) {
				s = args[o.Arg].String()
			}
			if o.Neg {
				s = "-" + s
			}
		case OperandConst:
			s = "const " + o.Value.String()
		case OperandColumn:
			s = columnText(o.Col)
		case OperandDefault:
			s = "DEFAULT"
		case OperandInserted:
			s = "inserted " + columnText(o.Col)
		case OperandExpr:
			s = "expr out of range"
			if n, ok := o.Integer(args); ok {
				s = fmt.Sprint("expr ", n)
			}
		case OperandUnknown:
			s = "unknown"
		}
		parts = append(parts, s)
	}
	return strings.Join(parts, ", ")
}

func condText(c *Cond, args []Value) string {
	if c == nil {
		return "nothing"
	}
	var parts []string
	for _, arg := range c.Args {
		parts = append(parts, condText(arg, args))
	}
	switch c.Op {
	case CondAnd:
		return "(" + strings.Join(parts, " and ") + ")"
	case CondOr:
		return "(" + strings.Join(parts, " or ") + ")"
	case CondEqual, CondNullSafeEqual:
		op := " = "
		if c.Op == CondNullSafeEqual {
			op = " <=> "
		}
		if c.InRow {
			op += "in a row "
		}
		return columnText(c.Col) + op + operandsText(c.Vals, args)
	case CondIn:
		return columnText(c.Col) + " in {" + operandsText(c.Vals, args) + "}"
	case CondNever:
		return "never"
	case CondExists:
		return "a row of " + fmt.Sprint(c.Sub)
	default:
		return "unknown"
	}
}
