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

	norm  *rewrite.Norm
	shape *rewrite.Shape

	bringOnce sync.Once
	bring     Brings
}

// Norm is the statement's norm as tokens, from which texts for the shards are made; nil where that can't be done: for an
// Inner statement, and where the parser doesn't read the clauses as they are written.
func (st *Statement) Norm() *rewrite.Norm {
	if st.takeApart() {
		return st.apart.norm
	}
	return nil
}

// Shape is a SELECT clause by clause; nil for other statements and for those that can't be taken apart with certainty.
func (st *Statement) Shape() *rewrite.Shape {
	if st.takeApart() {
		return st.apart.shape
	}
	return nil
}

func (st *Statement) takeApart() bool {
	a := st.apart
	if a == nil || st.Bridged && !st.whole || st.Kind == Unparsed || st.Is(FlagExecutable) {
		return false
	}
	a.once.Do(func() {
		n, ok := rewrite.NewNorm(a.text, a.mode)
		if !ok {
			return
		}
		a.norm = n
		if st.Kind != Select {
			return
		}
		if node, err := split([]byte(a.text), a.mode, true).tree(0); err == nil {
			a.shape = rewrite.NewShape(n, node)
		}
	})
	return true
}
