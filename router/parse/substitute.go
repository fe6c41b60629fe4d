package parse

import (
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/pingcap/tidb/pkg/parser/ast"

	"shardway/router/parse/digest"
)

// Substitute writes values into a text in place of the functions and variables that tell of the session's last
// statement. value gives the SQL text for a name in lower case, such as "row_count" or "@@warning_count", and "" for
// one that stays. Columns of results keep the names that the server gives them. ok is false when the text can't be
// read for that, or nothing in it is to be replaced.
func Substitute(sql []byte, mode Mode, value func(name string) string) (out []byte, ok bool) {
	if mode&digest.MultibyteUnsafe != 0 && !digest.IsASCII(sql) || !utf8.Valid(sql) {
		return nil, false
	}
	src := split(sql, mode, true)
	if src.Bad != "" || src.Perhaps {
		return nil, false
	}
	tokens := slices.Clone(src.Tokens) // a bridge changes them
	edits := src.replacements(value)
	if len(edits) == 0 {
		return nil, false
	}
	switch first := src.Tokens[0].Up; first {
	case "SET", "DO", "CALL": // no results
	default:
		node, err := src.read(0)
		if err != nil {
			return nil, false
		}
		f := fieldFinder{text: sql, tokens: tokens, edits: edits}
		node.Accept(&f)
		if f.bad {
			return nil, false
		}
		edits = f.edits
	}
	slices.SortStableFunc(edits, func(a, b edit) int { return a.from - b.from })
	at := 0
	for _, e := range edits {
		out = append(append(out, sql[at:e.from]...), e.with...)
		at = e.to
	}
	return append(out, sql[at:]...), true
}

// edit puts text in the place of another.
type edit struct {
	from, to int
	with     string
}

// replacements are the edits that put values in their places.
func (src *source) replacements(value func(string) string) (edits []edit) {
	t := src.Tokens
	for i := 0; i < len(t); i++ {
		at := func(n int) digest.Token { return t[min(i+n, len(t)-1)] }
		name, last := "", i
		switch {
		case t[i].Kind == digest.TokWord && at(1).Up == "(" && at(2).Up == ")" && (i == 0 || t[i-1].Up != "."):
			name, last = lower(t[i].Up), i+2
		case t[i].Kind == digest.TokVar:
			name = lower(strings.ReplaceAll(src.Str(t[i]), "`", ""))
			if (name == "@@session" || name == "@@local") && at(1).Up == "." && at(2).IsName() {
				name, last = "@@"+lower(src.Name(at(2))), i+2
			}
		default:
			continue
		}
		if with := value(name); with != "" {
			edits = append(edits, edit{from: t[i].A, to: t[last].B, with: with})
			i = last
		}
	}
	return edits
}

// fieldFinder names the columns whose expressions are edited.
type fieldFinder struct {
	text   []byte
	tokens []digest.Token
	edits  []edit
	bad    bool
}

// longestName is how many bytes a column's alias may have at a server.
const longestName = 255

// Enter implements ast.Visitor.
func (f *fieldFinder) Enter(n ast.Node) (ast.Node, bool) {
	field, ok := n.(*ast.SelectField)
	if !ok || field.Expr == nil || field.AsName.O != "" {
		return n, false
	}
	from, to := f.extent(field.Offset)
	if !slices.ContainsFunc(f.edits, func(e edit) bool { return e.with != "" && e.from >= from && e.to <= to }) {
		return n, false
	}
	name := string(f.text[from:to])
	f.bad = f.bad || len(name) > longestName
	f.edits = append(f.edits, edit{from: to, to: to, with: " AS `" + strings.ReplaceAll(name, "`", "``") + "`"})
	return n, false
}

// Leave implements ast.Visitor.
func (f *fieldFinder) Leave(n ast.Node) (ast.Node, bool) { return n, true }

// afterField are the words that can follow the last expression of a select list.
var afterField = []string{
	",", ";", "FROM", "INTO", "WHERE", "GROUP", "HAVING", "ORDER", "LIMIT", "UNION", "EXCEPT", "INTERSECT", "FOR", "LOCK", "WINDOW",
	"PROCEDURE", "ON", "OFFSET", "FETCH",
}

// extent is the text of the expression that begins at an offset.
func (f *fieldFinder) extent(offset int) (from, to int) {
	i, _ := slices.BinarySearchFunc(f.tokens, offset, func(t digest.Token, at int) int { return t.A - at })
	from, to = f.tokens[i].A, f.tokens[i].A
	for depth := 0; f.tokens[i].Kind != digest.TokEnd; i++ {
		switch up := f.tokens[i].Up; {
		case up == "(":
			depth++
		case up == ")" && depth == 0, depth == 0 && slices.Contains(afterField, up):
			return from, to
		case up == ")":
			depth--
		}
		to = f.tokens[i].B
	}
	return from, to
}
