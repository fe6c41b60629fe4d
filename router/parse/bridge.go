package parse

import (
	"slices"
	"strings"

	"github.com/pingcap/tidb/pkg/parser/ast"
)

// read parses the statement at the token first; where the parser can't, it tries again with the text bridged.
func (src *source) read(first int) (ast.StmtNode, error) {
	node, err := src.tree(first)
	if err == nil {
		return node, nil
	}
	src.unbridged = slices.Clone(src.text)
	if !(&bridge{src: src, verb: src.toks[first].up}).run(first) {
		return nil, err
	}
	node, again := src.tree(first)
	if again != nil {
		return nil, err
	}
	src.bridged = true
	return node, nil
}

// bridge rewrites, in place and for analysis alone, forms that servers know and the parser doesn't.
type bridge struct {
	src     *source
	verb    string // the statement's first word
	i       int    // the token at hand
	open    []int  // tokens of the open parentheses
	values  bool   // INSERT … VALUES or SET seen
	locked  bool   // FOR UPDATE or FOR SHARE seen
	steps   int    // tokens looked at ahead, which bounds the time that hostile texts take
	changed bool
}

const maxSteps = 1_000_000

// blank drops the tokens from i up to but without j.
func (b *bridge) blank(i, j int) {
	if j > i {
		b.src.blank(b.src.toks[i].a, b.src.toks[j-1].b)
		b.changed = true
		b.i = j - 1
	}
}

// drop blanks tokens that may hold expressions; what in them keeps a statement from being a read is noted.
func (b *bridge) drop(i, j int) {
	b.steps += j - i
	for k := i; k < j; k++ {
		t := b.tok(k)
		switch {
		case t.up == "SELECT":
			return // too much to drop: the parser's message it is
		case t.kind == tokVar:
			b.src.extra |= FlagUsesUserVar
		case t.isName() && k > i && b.tok(k+1).up == "(" && !builtins[lower(b.src.name(t))] && !slices.Contains(callLike, t.up):
			b.src.extra |= FlagStoredFunction
		}
	}
	b.blank(i, j)
}

// callLike are keywords that a parenthesis follows.
var callLike = []string{"BY", "GROUP", "IN", "OVER", "OF", "AND", "OR", "NOT", "TO", "FROM", "BETWEEN"}

func (b *bridge) tok(i int) token {
	return b.src.toks[max(0, min(i, len(b.src.toks)-1))]
}

func (b *bridge) run(first int) bool {
	for b.i = first; b.tok(b.i).kind != tokEnd; b.i++ {
		if b.steps > maxSteps {
			return false
		}
		t := b.tok(b.i)
		if t.kind == tokWord && slices.Contains(ordinary, t.up) {
			b.ordinaryName(t)
			continue
		}
		switch up := t.up; up {
		case "(":
			b.open = append(b.open, b.i)
		case ")":
			b.derivedColumns()
		case "AS":
			b.rowAlias()
		case "BEFORE", "HISTORY":
			b.history(up)
		case "CAST":
			b.cast()
		case "COLLATE", "USING":
			b.charset(up)
		case "FOR":
			b.forClause()
		case "INTO":
			b.into()
		case "JSON_TABLE":
			b.tableFunction()
		case "LIMIT", "ROWS":
			b.rowsExamined()
		case "MODE":
			b.lockWait()
		case "OFFSET":
			if up := b.tok(b.i + 2).up; up == "ROW" || up == "ROWS" {
				b.blank(b.i, b.i+3)
			}
		case "PREVIOUS":
			if b.tok(b.i+1).up == "VALUE" && b.tok(b.i+2).up == "FOR" {
				b.put(b.i, b.i+1, "NEXT")
			}
		case "RETURNING":
			b.returning()
		case "ROW":
			if prev := b.tok(b.i - 1).up; b.values && len(b.open) == 0 && (prev == "VALUES" || prev == ",") {
				b.blank(b.i, b.i+1)
			}
		case "SOUNDS":
			if b.tok(b.i+1).up == "LIKE" {
				b.blank(b.i, b.i+1)
			}
		case "VALUES", "VALUE", "SET":
			b.list(first, up)
		case "WITHIN":
			if b.tok(b.i+1).up == "GROUP" {
				end := b.groupEnd(b.i + 2)
				if b.tok(end).up == "OVER" {
					end = b.groupEnd(end + 1)
				}
				b.drop(b.i, end)
			}
		}
	}
	return b.changed
}

// put replaces the tokens from i up to but without j.
func (b *bridge) put(i, j int, text string) {
	b.src.put(b.src.toks[i].a, b.src.toks[j-1].b, text)
	b.changed = true
}

// groupEnd returns the token after the group whose parenthesis is token i; i when there is none.
func (b *bridge) groupEnd(i int) int {
	c := cursor{src: b.src, i: i}
	c.group()
	b.steps += c.i - i
	return c.i
}

// notAliases are words that follow a subquery and a parenthesis follows, but that aren't names.
var notAliases = []string{
	"AND", "AS", "EXCEPT", "IN", "INTERSECT", "JOIN", "LIKE", "NOT", "ON", "OR", "OVER", "REGEXP", "UNION", "USING", "VALUES", "WHERE", "XOR",
}

// derivedColumns handles (SELECT …) AS t (a, b).
func (b *bridge) derivedColumns() {
	if len(b.open) == 0 {
		return
	}
	start := b.open[len(b.open)-1]
	b.open = b.open[:len(b.open)-1]
	if !slices.Contains([]string{"SELECT", "WITH", "VALUES", "TABLE", "("}, b.tok(start+1).up) {
		return
	}
	i := b.i + 1
	if b.tok(i).up == "AS" {
		i++
	}
	if !b.tok(i).isName() || slices.Contains(notAliases, b.tok(i).up) || b.tok(i+1).up != "(" {
		return
	}
	end := b.groupEnd(i + 1)
	for j := i + 2; j < end-1; j++ {
		if t := b.tok(j); !t.isName() && t.up != "," {
			return
		}
	}
	b.blank(i+1, end)
}

// rowAlias handles INSERT … VALUES (…) AS new(a, b) ON DUPLICATE KEY UPDATE.
func (b *bridge) rowAlias() {
	if b.verb != "INSERT" || !b.values || len(b.open) > 0 || !b.tok(b.i+1).isName() {
		return
	}
	end := b.groupEnd(b.i + 2)
	if next := b.tok(end); next.up == "ON" || next.up == "RETURNING" || next.kind == tokEnd {
		b.src.rowAlias = nil
		for j := b.i + 1; j < end; j++ {
			if t := b.tok(j); t.isName() {
				b.src.rowAlias = append(b.src.rowAlias, b.src.name(t))
			}
		}
		b.blank(b.i, end)
	}
}

// list handles VALUES (1, 2) as a statement of its own, and notes where an INSERT's rows start.
func (b *bridge) list(first int, up string) {
	if len(b.open) > 0 {
		return
	}
	b.values = b.values || b.verb == "INSERT" || b.verb == "REPLACE"
	if b.i == first && up == "VALUES" && b.tok(b.i+1).up == "(" {
		b.put(b.i, b.i+1, "SELECT")
	}
}

// returning handles RETURNING of a write, whose expressions are analysed on their own, and of JSON_VALUE.
func (b *bridge) returning() {
	if len(b.open) > 0 {
		b.drop(b.i, b.closing())
		return
	}
	if !slices.Contains([]string{"INSERT", "REPLACE", "DELETE", "UPDATE"}, b.verb) {
		return
	}
	end := len(b.src.toks) - 1
	b.src.apart = append(b.src.apart, b.src.fragment(b.tok(b.i).b, b.tok(end).a))
	b.src.extra |= FlagReturning
	b.blank(b.i, end)
}

// closing returns the token that closes the innermost open parenthesis.
func (b *bridge) closing() int {
	if len(b.open) == 0 {
		return len(b.src.toks) - 1
	}
	return max(b.i, b.groupEnd(b.open[len(b.open)-1])-1)
}

// fragment returns SELECT text[i:j] as a source whose markers are numbered as here.
func (src *source) fragment(i, j int) *source {
	const head = "SELECT "
	f := &source{mode: src.mode, text: append([]byte(head), src.text[i:j]...)}
	f.toks = []token{{}}
	f.markers = make([]int, len(src.markers))
	for n, at := range src.markers {
		f.markers[n] = at - i + len(head)
	}
	return f
}

// into handles SELECT … INTO @a, @b and INTO OUTFILE anywhere in the statement.
func (b *bridge) into() {
	if slices.Contains([]string{"INSERT", "REPLACE", "LOAD"}, b.verb) {
		return
	}
	i := b.i + 1
	switch b.tok(i).up {
	case "OUTFILE", "DUMPFILE":
		for i++; ; i++ {
			t := b.tok(i)
			if t.kind != tokString && t.kind != tokMarker && !slices.Contains(fileWords, t.up) &&
				(!t.isName() || b.tok(i-1).up != "SET" && b.tok(i-1).up != "CHARSET") {
				break
			}
		}
	default:
		for b.tok(i).kind == tokVar || b.tok(i).isName() {
			if b.tok(i).kind == tokVar {
				b.src.extra |= FlagSetsUserVar
			}
			if i++; b.tok(i).up != "," {
				break
			}
			i++
		}
	}
	b.src.extra |= FlagInto
	b.blank(b.i, i)
}

var fileWords = []string{
	"BY", "CHARACTER", "CHARSET", "COLUMNS", "ENCLOSED", "ESCAPED", "FIELDS", "LINES", "OPTIONALLY", "SET", "STARTING", "TERMINATED",
}

// tableFunction handles JSON_TABLE(expr, path COLUMNS (…)): a source without a table.
func (b *bridge) tableFunction() {
	end := b.groupEnd(b.i + 1)
	if end == b.i+1 {
		return
	}
	depth, comma := 0, 0
	for j := b.i + 1; j < end && comma == 0; j++ {
		switch b.tok(j).up {
		case "(":
			depth++
		case ")":
			depth--
		case ",":
			if depth == 1 {
				comma = j
			}
		}
	}
	if comma == 0 {
		return
	}
	b.src.apart = append(b.src.apart, b.src.fragment(b.tok(b.i+1).b, b.tok(comma).a))
	b.put(b.i, end, "`"+tableFunction+"`")
	b.i = end - 1
}

// forClause handles FOR SYSTEM_TIME, FOR PORTION OF, and more than one locking clause.
func (b *bridge) forClause() {
	switch b.tok(b.i + 1).up {
	case "SYSTEM_TIME":
		b.drop(b.i, b.periodEnd(b.i+2))
	case "PORTION":
		i := b.i
		for t := b.tok(i); t.kind != tokEnd && t.up != "SET" && t.up != "WHERE"; t = b.tok(i) {
			i++
		}
		b.drop(b.i, i)
	case "UPDATE", "SHARE":
		if !b.locked {
			b.locked = true
			return
		}
		i := b.i + 2
		for t := b.tok(i); t.kind != tokEnd && t.up != ")" && t.up != "FOR"; t = b.tok(i) {
			i++
		}
		b.blank(b.i, i)
	}
}

// afterTable are words that can follow a table in FROM.
var afterTable = []string{
	"", ",", ")", "CROSS", "EXCEPT", "FOR", "FORCE", "GROUP", "HAVING", "IGNORE", "INNER", "INTERSECT", "JOIN", "LEFT", "LIMIT", "LOCK",
	"NATURAL", "ON", "ORDER", "RIGHT", "STRAIGHT_JOIN", "UNION", "USE", "USING", "WHERE", "WINDOW",
}

// periodEnd returns the token after FOR SYSTEM_TIME's period, which starts at token i.
func (b *bridge) periodEnd(i int) int {
	if b.tok(i).up == "ALL" {
		return i + 1
	}
	start := i
	depth := 0
	for ; b.tok(i).kind != tokEnd; i++ {
		t := b.tok(i)
		if t.up == "(" {
			depth++
			continue
		}
		if t.up == ")" && depth > 0 {
			depth--
			continue
		}
		if depth > 0 || t.kind == tokMarker || t.kind == tokString || t.kind == tokNumber || t.kind == tokVar {
			continue
		}
		if t.up != "" && slices.Contains(afterTable, t.up) {
			break
		}
		if i == start || !t.isName() {
			continue
		}
		if before := b.tok(i - 2).up; before == "INTERVAL" {
			continue // its unit
		}
		prev := b.tok(i - 1)
		value := b.tok(i-3).up == "INTERVAL" || prev.kind == tokString || prev.kind == tokNumber || prev.kind == tokMarker || prev.up == ")"
		if t.up == "AS" && i > start+1 || value && t.up != "AND" && t.up != "TO" {
			break // an alias
		}
	}
	return i
}

// lockWait handles LOCK IN SHARE MODE NOWAIT, WAIT n and SKIP LOCKED.
func (b *bridge) lockWait() {
	switch b.tok(b.i + 1).up {
	case "NOWAIT":
		b.blank(b.i+1, b.i+2)
	case "WAIT", "SKIP":
		b.blank(b.i+1, b.i+3)
	}
}

// rowsExamined handles LIMIT … ROWS EXAMINED n.
func (b *bridge) rowsExamined() {
	switch {
	case b.tok(b.i).up == "LIMIT" && b.tok(b.i+1).up == "ROWS" && b.tok(b.i+2).up == "EXAMINED":
		b.blank(b.i, b.i+4)
	case b.tok(b.i).up == "ROWS" && b.tok(b.i+1).up == "EXAMINED":
		b.blank(b.i, b.i+3)
	}
}

// history handles MariaDB's DELETE HISTORY FROM t BEFORE SYSTEM_TIME.
func (b *bridge) history(up string) {
	switch {
	case up == "HISTORY" && b.tok(b.i-1).up == "DELETE":
		b.blank(b.i, b.i+1)
	case up == "BEFORE" && b.tok(b.i+1).up == "SYSTEM_TIME":
		b.drop(b.i, len(b.src.toks)-1)
	}
}

// castTypes are the types of CAST that the parser knows.
var castTypes = []string{
	"BINARY", "CHAR", "CHARACTER", "DATE", "DATETIME", "DECIMAL", "DOUBLE", "FLOAT", "JSON", "NCHAR", "REAL", "SIGNED", "TIME", "UNSIGNED", "YEAR",
}

// cast handles CAST to types that the parser doesn't know: it becomes ~(…), an expression of which nothing is known.
func (b *bridge) cast() {
	end := b.groupEnd(b.i + 1)
	if end == b.i+1 {
		return
	}
	b.steps += end - b.i
	depth, as := 0, 0
	for j := b.i + 1; j < end; j++ {
		switch b.tok(j).up {
		case "(":
			depth++
		case ")":
			depth--
		case "AS":
			if depth == 1 {
				as = j
			}
		}
	}
	if as == 0 || slices.Contains(castTypes, b.tok(as+1).up) {
		return
	}
	b.src.blank(b.tok(as).a, b.tok(end-1).a)
	b.put(b.i, b.i+1, "~")
}

// charset replaces names of collations and character sets that the parser doesn't know.
func (b *bridge) charset(up string) {
	t := b.tok(b.i + 1)
	if t.kind == tokEnd || t.up == "(" {
		return
	}
	name := "binary"
	if up == "USING" {
		name = "utf8"
	}
	if t.b-t.a >= len(name) && (up == "COLLATE" || len(b.open) > 0) && strings.ToLower(b.src.str(t)) != name {
		b.put(b.i+1, b.i+2, name)
	}
}
