package parse

import (
	"strings"

	"shardway/router/parse/digest"
	"shardway/router/parse/rewrite"
)

// Reference is a base table where a statement names it.
type Reference struct {
	Block, Table int           // Blocks[Block].Tables[Table]
	Name         rewrite.Range // its name with its schema, among the norm's tokens
}

// References says where a statement names the base tables of its blocks. ok is false where its text can't be taken apart.
func (st *Statement) References() (n *rewrite.Norm, list []Reference, ok bool) {
	a := st.apart
	if a == nil || st.Is(FlagExecutable) {
		return nil, nil, false
	}
	a.referOnce.Do(func() {
		tokens := digest.Split([]byte(a.text), a.mode, true)
		found, at := st.bases()
		norm, ok := rewrite.NewNorm(a.text, a.mode)
		if !ok || tokens.Bad != "" || st.places(tokens, a.mode, found, at) != "" {
			return
		}
		a.referNorm = norm
		for i := range found {
			b := &found[i]
			name := rewrite.Range{From: b.Token, To: b.Token + 1}
			if st.Blocks[b.Block].Tables[b.Table].DB != "" {
				name.From -= 2
			}
			a.refers = append(a.refers, Reference{Block: b.Block, Table: b.Table, Name: name})
		}
	})
	return a.referNorm, a.refers, a.referNorm != nil
}

// Renamed gives the columns of a SELECT other names. It is for one that a server has written, with an alias for each
// column; ok is false for any other.
func Renamed(sql string, names []string) (renamed string, ok bool) {
	src := digest.Split([]byte(sql), 0, true)
	if src.Bad != "" {
		return "", false
	}
	start := 0
	for src.Tokens[start].Up == "(" {
		start++
	}
	if src.Tokens[start].Up != "SELECT" {
		return "", false
	}
	var out strings.Builder
	at, column := 0, 0
	for i := start + 1; ; i++ {
		if end := src.GroupEnd(i); end > i {
			i = end - 1
			continue
		}
		t := src.Tokens[i]
		ends := t.Kind == digest.TokEnd || t.Up == "FROM" || t.Up == ")" || t.Up == "UNION" || t.Up == "LIMIT"
		if !ends && t.Up != "," {
			continue
		}
		alias := src.Tokens[i-1]
		if i < start+3 || src.Tokens[i-2].Up != "AS" || !alias.IsName() || column == len(names) {
			return "", false
		}
		out.WriteString(sql[at:alias.A] + rewrite.Quote(names[column]))
		at = alias.B
		column++
		if ends {
			break
		}
	}
	return out.String() + sql[at:], column == len(names)
}
