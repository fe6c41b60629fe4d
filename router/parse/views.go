package parse

import (
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
