package bridge

import (
	"slices"
	"strings"

	"shardway/router/parse/digest"
)

// Result is what a bridge took out of a text and the parser therefore doesn't see.
type Result struct {
	Apart    []*digest.Source  // expressions of some query block, each as a SELECT of its own
	Renamed  map[string]string // names as the parser sees them, and what they were
	RowAlias []string          // the row alias of INSERT … AS new(a, b), and its columns
	Calls    []string          // functions called, lower case
	// Returning are the expressions of RETURNING of a write, as a SELECT of their own; nil without.
	Returning *digest.Source

	UsesUserVar bool // reads a user variable
	SetsUserVar bool // SELECT … INTO @a
	Into        bool // SELECT … INTO
	File        bool // INTO OUTFILE or DUMPFILE
	// Whole says that nothing was changed but collations, RETURNING and the row alias: the clauses are as the text has them.
	Whole bool
}

// TableFunction is the name of the table that stands for JSON_TABLE(…) and the like.
const TableFunction = "\x01"

// Build bridges the statement at the token first. It changes src's Text, and is false when there was nothing to bridge
// or too much.
func Build(src *digest.Source, first int) (*Result, bool) {
	b := &bridge{src: src, verb: src.Tokens[first].Up}
	ok := b.run(first)
	b.out.Whole = !b.cut
	return &b.out, ok
}

// bridge is the work on one statement.
type bridge struct {
	src     *digest.Source
	out     Result
	verb    string // the statement's first word
	i       int    // the token at hand
	open    []int  // tokens of the open parentheses
	values  bool   // INSERT … VALUES or SET seen
	updates bool   // ON DUPLICATE KEY seen
	locked  bool   // FOR UPDATE or FOR SHARE seen
	steps   int    // tokens looked at ahead, which bounds the time that hostile texts take
	changed bool
	kept    bool // what is changed now leaves the clauses as they are
	cut     bool // something else was changed
}

const maxSteps = 1_000_000

// blank drops the tokens from i up to but without j.
func (b *bridge) blank(i, j int) {
	if j > i {
		b.src.Blank(b.src.Tokens[i].A, b.src.Tokens[j-1].B)
		b.changed, b.cut = true, b.cut || !b.kept
		b.i = j - 1
	}
}

// drop blanks tokens that may hold expressions; what in them keeps a statement from being a read is noted.
func (b *bridge) drop(i, j int) {
	b.steps += j - i
	for k := i; k < j; k++ {
		t := b.tok(k)
		switch {
		case t.Up == "SELECT":
			return // too much to drop: the parser's message it is
		case t.Kind == digest.TokVar:
			b.out.UsesUserVar = true
		case t.IsName() && k > i && b.tok(k+1).Up == "(" && !slices.Contains(callLike, t.Up):
			b.out.Calls = append(b.out.Calls, strings.ToLower(b.src.Name(t)))
		}
	}
	b.blank(i, j)
}

// callLike are keywords that a parenthesis follows.
var callLike = []string{"BY", "GROUP", "IN", "OVER", "OF", "AND", "OR", "NOT", "TO", "FROM", "BETWEEN"}

func (b *bridge) tok(i int) digest.Token {
	return b.src.Tokens[max(0, min(i, len(b.src.Tokens)-1))]
}

func (b *bridge) run(first int) bool {
	for b.i = first; b.tok(b.i).Kind != digest.TokEnd; b.i++ {
		if b.steps > maxSteps {
			return false
		}
		t := b.tok(b.i)
		if t.Kind == digest.TokWord && slices.Contains(ordinary, t.Up) {
			b.ordinaryName(t)
			continue
		}
		switch up := t.Up; up {
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
			if up := b.tok(b.i + 2).Up; up == "ROW" || up == "ROWS" {
				b.blank(b.i, b.i+3)
			}
		case "PREVIOUS":
			if b.tok(b.i+1).Up == "VALUE" && b.tok(b.i+2).Up == "FOR" {
				b.put(b.i, b.i+1, "NEXT")
			}
		case "QUALIFY":
			b.qualify()
		case "RETURNING":
			b.returning()
		case "ROLLUP", "CUBE":
			if b.tok(b.i-1).Up == "BY" && b.tok(b.i+1).Up == "(" {
				b.blank(b.i, b.i+1)
			}
		case "ROW":
			if prev := b.tok(b.i - 1).Up; b.values && len(b.open) == 0 && (prev == "VALUES" || prev == ",") {
				b.blank(b.i, b.i+1)
			}
		case "SOUNDS":
			if b.tok(b.i+1).Up == "LIKE" {
				b.blank(b.i, b.i+1)
			}
		case "DUPLICATE":
			b.updates = b.updates || b.values && b.tok(b.i-1).Up == "ON"
		case "VALUES", "VALUE", "SET":
			if up == "VALUE" && b.updates && b.tok(b.i+1).Up == "(" { // MariaDB's name for VALUES(…), read as the column
				b.keeping(func() { b.blank(b.i, b.i+1) })
				continue
			}
			b.list(first, up)
		case "WITHIN":
			if b.tok(b.i+1).Up == "GROUP" {
				end := b.groupEnd(b.i + 2)
				if b.tok(end).Up == "OVER" {
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
	b.src.Put(b.src.Tokens[i].A, b.src.Tokens[j-1].B, text)
	b.changed, b.cut = true, b.cut || !b.kept
}

// groupEnd returns the token after the group whose parenthesis is token i; i when there is none.
func (b *bridge) groupEnd(i int) int {
	i = min(i, len(b.src.Tokens)-1)
	end := b.src.GroupEnd(i)
	b.steps += end - i
	return end
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
	if !slices.Contains([]string{"SELECT", "WITH", "VALUES", "TABLE", "("}, b.tok(start+1).Up) {
		return
	}
	i := b.i + 1
	if b.tok(i).Up == "AS" {
		i++
	}
	if !b.tok(i).IsName() || slices.Contains(notAliases, b.tok(i).Up) || b.tok(i+1).Up != "(" {
		return
	}
	end := b.groupEnd(i + 1)
	for j := i + 2; j < end-1; j++ {
		if t := b.tok(j); !t.IsName() && t.Up != "," {
			return
		}
	}
	b.blank(i+1, end)
}

// rowAlias handles INSERT … VALUES (…) AS new(a, b) ON DUPLICATE KEY UPDATE.
func (b *bridge) rowAlias() {
	if b.verb != "INSERT" || !b.values || len(b.open) > 0 || !b.tok(b.i+1).IsName() {
		return
	}
	end := b.groupEnd(b.i + 2)
	if next := b.tok(end); next.Up == "ON" || next.Up == "RETURNING" || next.Kind == digest.TokEnd {
		b.out.RowAlias = nil
		for j := b.i + 1; j < end; j++ {
			if t := b.tok(j); t.IsName() {
				b.out.RowAlias = append(b.out.RowAlias, b.src.Name(t))
			}
		}
		b.keeping(func() { b.blank(b.i, end) })
	}
}

// keeping makes a change that leaves the clauses as they are.
func (b *bridge) keeping(change func()) {
	b.kept = true
	change()
	b.kept = false
}

// list handles VALUES (1, 2) as a statement of its own, and notes where an INSERT's rows start.
func (b *bridge) list(first int, up string) {
	if len(b.open) > 0 {
		return
	}
	b.values = b.values || b.verb == "INSERT" || b.verb == "REPLACE"
	if b.i == first && up == "VALUES" && b.tok(b.i+1).Up == "(" {
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
	end := len(b.src.Tokens) - 1
	b.out.Returning = b.src.Fragment(b.tok(b.i).B, b.tok(end).A)
	b.keeping(func() { b.blank(b.i, end) })
}

// afterQualify are words that can follow QUALIFY's condition.
var afterQualify = []string{"EXCEPT", "FOR", "INTERSECT", "INTO", "LIMIT", "LOCK", "ORDER", "UNION"}

// qualify handles QUALIFY, whose condition is analysed on its own. What follows a table of that name stays.
func (b *bridge) qualify() {
	i := b.i + 1
	if b.tok(b.i-1).Up == "." || slices.Contains(afterTable, b.tok(i).Up) && b.tok(i).Kind != digest.TokString {
		return
	}
	for t := b.tok(i); t.Kind != digest.TokEnd && t.Up != ")" && !slices.Contains(afterQualify, t.Up); t = b.tok(i) {
		i = max(i+1, b.groupEnd(i))
	}
	b.out.Apart = append(b.out.Apart, b.src.Fragment(b.tok(b.i).B, b.tok(i).A))
	b.blank(b.i, i)
}

// closing returns the token that closes the innermost open parenthesis.
func (b *bridge) closing() int {
	if len(b.open) == 0 {
		return len(b.src.Tokens) - 1
	}
	return max(b.i, b.groupEnd(b.open[len(b.open)-1])-1)
}

// into handles SELECT … INTO @a, @b and INTO OUTFILE anywhere in the statement.
func (b *bridge) into() {
	if slices.Contains([]string{"INSERT", "REPLACE", "LOAD"}, b.verb) {
		return
	}
	i := b.i + 1
	switch b.tok(i).Up {
	case "OUTFILE", "DUMPFILE":
		b.out.File = true
		for i++; ; i++ {
			t := b.tok(i)
			if t.Kind != digest.TokString && t.Kind != digest.TokMarker && !slices.Contains(fileWords, t.Up) &&
				(!t.IsName() || b.tok(i-1).Up != "SET" && b.tok(i-1).Up != "CHARSET") {
				break
			}
		}
	default:
		for b.tok(i).Kind == digest.TokVar || b.tok(i).IsName() {
			if b.tok(i).Kind == digest.TokVar {
				b.out.SetsUserVar = true
			}
			if i++; b.tok(i).Up != "," {
				break
			}
			i++
		}
	}
	b.out.Into = true
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
		switch b.tok(j).Up {
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
	b.out.Apart = append(b.out.Apart, b.src.Fragment(b.tok(b.i+1).B, b.tok(comma).A))
	b.put(b.i, end, "`"+TableFunction+"`")
	b.i = end - 1
}

// forClause handles FOR SYSTEM_TIME, FOR PORTION OF, and more than one locking clause.
func (b *bridge) forClause() {
	switch b.tok(b.i + 1).Up {
	case "SYSTEM_TIME":
		b.drop(b.i, b.periodEnd(b.i+2))
	case "PORTION":
		i := b.i
		for t := b.tok(i); t.Kind != digest.TokEnd && t.Up != "SET" && t.Up != "WHERE"; t = b.tok(i) {
			i++
		}
		b.drop(b.i, i)
	case "UPDATE", "SHARE":
		if !b.locked {
			b.locked = true
			return
		}
		i := b.i + 2
		for t := b.tok(i); t.Kind != digest.TokEnd && t.Up != ")" && t.Up != "FOR"; t = b.tok(i) {
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
	if b.tok(i).Up == "ALL" {
		return i + 1
	}
	start := i
	depth := 0
	for ; b.tok(i).Kind != digest.TokEnd; i++ {
		t := b.tok(i)
		if t.Up == "(" {
			depth++
			continue
		}
		if t.Up == ")" && depth > 0 {
			depth--
			continue
		}
		if depth > 0 || t.Kind == digest.TokMarker || t.Kind == digest.TokString || t.Kind == digest.TokNumber || t.Kind == digest.TokVar {
			continue
		}
		if t.Up != "" && slices.Contains(afterTable, t.Up) {
			break
		}
		if i == start || !t.IsName() {
			continue
		}
		if before := b.tok(i - 2).Up; before == "INTERVAL" {
			continue // its unit
		}
		prev := b.tok(i - 1)
		value := b.tok(i-3).Up == "INTERVAL" || prev.Kind == digest.TokString || prev.Kind == digest.TokNumber || prev.Kind == digest.TokMarker || prev.Up == ")"
		if t.Up == "AS" && i > start+1 || value && t.Up != "AND" && t.Up != "TO" {
			break // an alias
		}
	}
	return i
}

// lockWait handles LOCK IN SHARE MODE NOWAIT, WAIT n and SKIP LOCKED.
func (b *bridge) lockWait() {
	switch b.tok(b.i + 1).Up {
	case "NOWAIT":
		b.blank(b.i+1, b.i+2)
	case "WAIT", "SKIP":
		b.blank(b.i+1, b.i+3)
	}
}

// rowsExamined handles LIMIT … ROWS EXAMINED n.
func (b *bridge) rowsExamined() {
	switch {
	case b.tok(b.i).Up == "LIMIT" && b.tok(b.i+1).Up == "ROWS" && b.tok(b.i+2).Up == "EXAMINED":
		b.blank(b.i, b.i+4)
	case b.tok(b.i).Up == "ROWS" && b.tok(b.i+1).Up == "EXAMINED":
		b.blank(b.i, b.i+3)
	}
}

// history handles MariaDB's DELETE HISTORY FROM t BEFORE SYSTEM_TIME.
func (b *bridge) history(up string) {
	switch {
	case up == "HISTORY" && b.tok(b.i-1).Up == "DELETE":
		b.blank(b.i, b.i+1)
	case up == "BEFORE" && b.tok(b.i+1).Up == "SYSTEM_TIME":
		b.drop(b.i, len(b.src.Tokens)-1)
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
		switch b.tok(j).Up {
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
	if as == 0 || slices.Contains(castTypes, b.tok(as+1).Up) {
		return
	}
	b.src.Blank(b.tok(as).A, b.tok(end-1).A)
	b.put(b.i, b.i+1, "~")
}

// charset replaces names of collations and character sets that the parser doesn't know.
func (b *bridge) charset(up string) {
	t := b.tok(b.i + 1)
	if t.Kind == digest.TokEnd || t.Up == "(" {
		return
	}
	name := "binary"
	if up == "USING" {
		name = "utf8"
	}
	if t.B-t.A >= len(name) && (up == "COLLATE" || len(b.open) > 0) && strings.ToLower(b.src.Str(t)) != name {
		b.keeping(func() { b.put(b.i+1, b.i+2, name) })
	}
}
