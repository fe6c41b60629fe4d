package plan

import (
	"slices"
	"strconv"
	"strings"

	"shardway/router/parse/digest"
	"shardway/router/parse/rewrite"
)

// What follows gives a statement other names for the tables that it reads more than once, for a server that opens a
// temporary table once in a statement. A common table expression that is read more than once is defined once for each.

// name is the name of a further copy for a table of the list.
func (w *bringing) name(member int) string { return "_shardway_" + strconv.Itoa(member) }

// fresh is a name that nothing has yet.
func (w *bringing) fresh() string {
	w.names++
	return w.name(len(w.list) + w.names)
}

// renamed is the statement with other names for some of its tables, nil where none needs one. It adds to p the copies for
// what it repeats.
func (w *bringing) renamed(p *Gather) *rewrite.Template {
	w.more = map[int][]*rewrite.Template{}
	// From the end: what is repeated of a definition is known when its place comes.
	whole := w.norm.All()
	t := w.part(p, whole.From, whole.To, "", -1, false)
	if !w.found {
		return nil
	}
	return t
}

// part copies tokens. repeated says that they are those of a definition that is repeated under the name as, which is
// w.commons[self].
func (w *bringing) part(p *Gather, from, to int, as string, self int, repeated bool) *rewrite.Template {
	type change struct {
		token int
		after bool
		text  string
		of    int // definitions of commons[of] follow the token
		name  rewrite.Range
	}
	var changes []change
	for i := range w.list {
		g, at := w.copied[i], w.list[i].Token
		if g == nil || at < from || at >= to {
			continue
		}
		var name string
		switch {
		case repeated:
			name = w.fresh()
			p.Copies = append(p.Copies, w.copy(g, []int{i}, name))
		case g.members[0] != i:
			name = w.name(i)
		default:
			continue
		}
		text := w.source(i).text
		changes = append(changes, change{token: at, text: renamedTo(name, text.Name, text.Alias != "")})
	}
	for k := range w.commons {
		c := &w.commons[k]
		if !w.copies(k, 0) {
			continue
		}
		first := true
		for _, r := range c.References {
			inside := r.Token >= from && r.Token < to
			switch {
			case r.Self && inside && repeated && k == self:
				changes = append(changes, change{token: r.Token, text: renamedTo(as, w.norm.Name(c.Name), r.Alias)})
			case r.Self:
			case !inside:
				first = false
			case repeated || !first:
				name := w.fresh()
				changes = append(changes, change{token: r.Token, text: renamedTo(name, w.norm.Name(c.Name), r.Alias)})
				w.repeat(p, k, name)
			default:
				first = false
			}
		}
		if !repeated {
			changes = append(changes, change{token: c.End, after: true, of: k})
		}
	}
	if !repeated {
		for _, r := range w.unnamed() {
			if slices.ContainsFunc(changes, func(c change) bool { return !c.after && c.token >= r.From && c.token < r.To }) {
				changes = append(changes, change{token: r.To - 1, after: true, of: -1, name: r})
			}
		}
	}
	slices.SortStableFunc(changes, func(a, b change) int { return a.token - b.token })
	t := rewrite.New(w.norm)
	for i := range changes {
		c := &changes[i]
		if c.after {
			t.Copy(rewrite.Range{From: from, To: c.token + 1})
			if c.of < 0 {
				t.As(c.name)
				from = c.token + 1
				continue
			}
			for _, def := range w.more[c.of] {
				t.Text(",").Join(def)
			}
		} else {
			t.Copy(rewrite.Range{From: from, To: c.token}).Text(c.text)
			w.found = true
		}
		from = c.token + 1
	}
	return t.Copy(rewrite.Range{From: from, To: to})
}

// unnamed are the columns of the outermost select list that a server names by their text.
func (w *bringing) unnamed() (list []rewrite.Range) {
	if shape := w.b.st.Shape(); shape != nil {
		for i := range shape.Items {
			if it := &shape.Items[i]; it.Alias == "" && !it.Star {
				list = append(list, it.Range)
			}
		}
		return list
	}
	// A form that isn't taken apart, such as a SELECT without FROM: what ends like an expression has no alias.
	depth, from := 0, -1
	for k, tok := range w.norm.Tokens {
		switch tok.Up {
		case "(":
			depth++
		case ")":
			depth--
		}
		ends := depth == 0 && from >= 0 && (k == w.norm.All().To || slices.Contains(afterItem, tok.Up))
		switch last := w.norm.Tokens[max(k-1, 0)]; {
		case depth == 0 && from < 0 && tok.Up == "SELECT":
			from = k + 1
		case ends:
			if last.Up == ")" || last.Kind == digest.TokNumber || last.Kind == digest.TokMarker {
				list = append(list, rewrite.Range{From: from, To: k})
			}
			if from = k + 1; tok.Up != "," {
				return list
			}
		}
	}
	return list
}

// afterItem are words that can follow a column of a select list.
var afterItem = []string{",", "FROM", "WHERE", "ORDER", "LIMIT", "UNION", "INTERSECT", "EXCEPT", "HAVING"}

func renamedTo(name, was string, alias bool) string {
	name = "`" + name + "`"
	if !alias {
		name += " AS `" + strings.ReplaceAll(was, "`", "``") + "`"
	}
	return name
}

// repeat defines a common table expression once more.
func (w *bringing) repeat(p *Gather, k int, name string) {
	if len(p.Copies) > maxCopies {
		return // it is refused
	}
	c := &w.commons[k]
	body := w.part(p, c.Body, c.End, name, k, true)
	t := rewrite.New(w.norm).Text("`" + name + "`").Copy(rewrite.Range{From: c.Name + 1, To: c.Body}).Join(body).Text(")")
	w.more[k] = append(w.more[k], t)
}

// copies reports whether a common table expression reads a table that is copied, itself or by another one.
func (w *bringing) copies(k, depth int) bool {
	c := &w.commons[k]
	for i := range w.copied {
		if at := w.list[i].Token; at >= c.Body && at < c.End {
			return true
		}
	}
	for other := range w.commons {
		if other == k || depth > len(w.commons) {
			continue
		}
		for _, r := range w.commons[other].References {
			if r.Token >= c.Body && r.Token < c.End && w.copies(other, depth+1) {
				return true
			}
		}
	}
	return false
}
