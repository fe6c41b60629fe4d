package parse

import (
	"strconv"

	"shardway/router/parse/digest"
)

// Common is a common table expression in a statement's text. All numbers are tokens of its Norm.
type Common struct {
	Name       int // its name, where it is defined
	Body, End  int // the first token in its parentheses, and the closing one
	References []CommonReference
}

// CommonReference is a place where a common table expression is read.
type CommonReference struct {
	Token int
	Alias bool // it has another name there
	Self  bool // in its own definition, which is recursive
}

// maxCommons bounds the parses that finding common table expressions takes.
const maxCommons = 20

// commons finds the common table expressions of a SELECT. Giving one of them another name shows which references lose
// it, and giving a name in the text another name shows which reference that is.
func (st *Statement) commons(text string, mode Mode) (list []Common) {
	src := digest.Split([]byte(text), mode, true)
	for k := range src.Tokens {
		if c, ok := definition(src, k); ok {
			list = append(list, c)
		}
	}
	if len(list) == 0 || len(list) > maxCommons {
		return nil
	}
	for i := range list {
		c := &list[i]
		name := src.Name(src.Tokens[c.Name])
		lost := st.without(src, c.Name, mode, false)
		for k, tok := range src.Tokens {
			if k == c.Name || !tok.IsName() || !equalNames(src.Name(tok), name) || src.Tokens[k+1].Up == "." || k > 0 && src.Tokens[k-1].Up == "." {
				continue
			}
			for at := range st.without(src, k, mode, true) {
				if !lost[at] {
					continue
				}
				next := src.Tokens[k+1]
				alias := next.Up == "AS" || next.IsName() && equalNames(src.Name(next), st.Blocks[at[0]].Tables[at[1]].Alias)
				c.References = append(c.References, CommonReference{Token: k, Alias: alias, Self: k > c.Body && k < c.End})
			}
		}
	}
	return list
}

func equalNames(a, b string) bool { return lower(a) == lower(b) }

// definition reads a common table expression whose name is token k: name (columns) AS (…), after WITH or a comma.
func definition(src *digest.Source, k int) (c Common, ok bool) {
	if k == 0 || !src.Tokens[k].IsName() {
		return c, false
	}
	switch src.Tokens[k-1].Up {
	case "WITH", "RECURSIVE":
	case ",":
		if k < 2 || src.Tokens[k-2].Up != ")" {
			return c, false
		}
	default:
		return c, false
	}
	at := src.GroupEnd(k + 1)
	if src.Tokens[at].Up != "AS" || src.Tokens[at+1].Up != "(" {
		return c, false
	}
	end := src.GroupEnd(at + 1)
	return Common{Name: k, Body: at + 2, End: end - 1}, end > at+1
}

// without parses the text with another name in place of a token, and gives the tables that don't mean a common table
// expression any more; with is for those that mean the other name now.
func (st *Statement) without(src *digest.Source, k int, mode Mode, with bool) map[[2]int]bool {
	tok, mark := src.Tokens[k], markName+strconv.Itoa(k)
	marked := parseSource(split([]byte(string(src.Text[:tok.A])+"`"+mark+"`"+string(src.Text[tok.B:])), mode, true))
	if len(marked.Blocks) != len(st.Blocks) {
		return nil
	}
	changed := map[[2]int]bool{}
	for i := range st.Blocks {
		if len(marked.Blocks[i].Tables) != len(st.Blocks[i].Tables) {
			return nil
		}
		for j := range st.Blocks[i].Tables {
			was, is := &st.Blocks[i].Tables[j], &marked.Blocks[i].Tables[j]
			if was.Source >= 0 && is.Source < 0 && (!with || is.Name == mark) {
				changed[[2]int{i, j}] = true
			}
		}
	}
	return changed
}
