package rewrite

import (
	"slices"

	"github.com/pingcap/tidb/pkg/parser/ast"

	"shardway/router/parse/digest"
)

// Place is where a query block or a Change takes one more condition for its rows.
type Place struct {
	Where Range // with its word; empty where there is none
	After int   // a WHERE goes after this token then
}

// Edit is a text that is put after a token.
type Edit struct {
	Token int
	Text  string
}

// Condition demands a condition of the rows, besides what is demanded already.
func (p *Place) Condition(sql string) []Edit {
	if p.Where.Empty() {
		return []Edit{{p.After, "WHERE " + sql}}
	}
	return []Edit{{p.Where.From, "("}, {p.Where.To - 1, ") AND " + sql}}
}

// Place is where a statement of the client's takes a condition: an UPDATE or a DELETE.
func (c *Change) Place() Place {
	after := c.From.To - 1
	if !c.Set.Empty() {
		after = c.Set.To - 1
	}
	return Place{Where: c.Where, After: after}
}

// Edited is a Template with the texts put into the client's tokens that it has; nil unless it has each of these tokens
// once. The edits are in the order of the text.
func (t *Template) Edited(edits []Edit) *Template {
	out, found := New(t.norm), 0
	for i := range t.parts {
		p := t.parts[i]
		if !p.client() {
			out.parts = append(out.parts, p)
			continue
		}
		for j := range edits {
			e := &edits[j]
			if e.Token < p.From || e.Token >= p.To {
				continue
			}
			if found != j {
				return nil
			}
			found++
			out.Copy(Range{p.From, e.Token + 1}).Text(e.Text)
			p.From = e.Token + 1
		}
		if !p.Empty() {
			out.parts = append(out.parts, p)
		}
	}
	if found != len(edits) {
		return nil
	}
	return out
}

// client reports whether a part is tokens of the client's as they are.
func (p *part) client() bool { return !p.window && p.number == 0 && p.text == "" && !p.name }

// branches finds where the branches of a union take a condition.
func (s *Shape) branches(u *ast.SetOprStmt) {
	tokens, all := s.Norm.Tokens, s.Norm.All()
	for _, branch := range u.SelectList.Selects {
		sel, ok := branch.(*ast.SelectStmt)
		if !ok {
			s.Places = nil
			return
		}
		start := slices.IndexFunc(tokens, func(t digest.Token) bool { return t.A == sel.Fields.Fields[0].Offset })
		place, ok := s.branch(start, all.To, sel)
		if start < 0 || !ok {
			s.Places = nil
			return
		}
		s.Places = append(s.Places, place)
	}
}

// branch finds the place in a branch of a union whose select list begins at a token.
func (s *Shape) branch(start, end int, sel *ast.SelectStmt) (p Place, ok bool) {
	tokens := s.Norm.Tokens
	from, where := -1, -1
	i := max(start, 0)
scan:
	for ; i < end; i++ {
		if group := s.group(i); group > i {
			i = group - 1
			continue
		}
		t := tokens[i]
		if t.Up == ")" {
			break // the branch is in parentheses
		}
		if t.Kind != digest.TokWord || i > start && tokens[i-1].Up == "." {
			continue
		}
		switch t.Up {
		case "FROM":
			if from >= 0 {
				return p, false
			}
			from = i
		case "WHERE":
			if from < 0 || where >= 0 {
				return p, false
			}
			where = i
		case "UNION":
			break scan
		case "FOR", "LOCK":
			if !s.indexHint(i+1) && sel.LockInfo != nil && sel.LockInfo.LockType != ast.SelectLockNone {
				break scan
			}
		case "GROUP", "ORDER":
			if !s.indexHint(i) {
				return p, false
			}
		case "HAVING", "LIMIT", "INTO", "EXCEPT", "INTERSECT", "PROCEDURE", "FETCH", "SELECT":
			return p, false
		}
	}
	if from < 0 || (where < 0) != (sel.Where == nil) {
		return p, false
	}
	if where >= 0 {
		p.Where = Range{where, i}
	}
	p.After = i - 1
	return p, p.Where.Empty() || where+1 < i
}
