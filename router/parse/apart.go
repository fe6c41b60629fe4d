package parse

import (
	"sync"

	"shardway/router/parse/rewrite"
)

// apart is what a Statement is taken apart from. That is done when it is first asked for: most statements are sent to
// one shard as they are.
type apart struct {
	text string
	mode Mode
	once sync.Once
	norm *rewrite.Norm

	bringOnce sync.Once
	bring     bring
}

// Norm is the statement's norm as tokens, from which texts for the shards are made; nil where that can't be done: for an
// Inner statement, and where the parser doesn't read the text as it is written.
func (st *Statement) Norm() *rewrite.Norm {
	a := st.apart
	if a == nil || st.Bridged || st.Kind == Unparsed || st.Is(FlagExecutable) {
		return nil
	}
	a.once.Do(func() {
		if n, ok := rewrite.NewNorm(a.text, a.mode); ok {
			a.norm = n
		}
	})
	return a.norm
}
