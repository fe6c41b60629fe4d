package plan

import (
	"shardway/router/parse"
	"shardway/router/parse/rewrite"
)

// Explain is an EXPLAIN of a statement that isn't for one shard: Inner is planned by itself, and what each shard would run
// for it is explained there, with Head before it. The rows come in the order of the steps.
type Explain struct {
	Head, Inner *rewrite.Template
}

func (*Explain) plan() {}

// String is "explain: the statement".
func (p *Explain) String() string { return "explain: each step of " + p.Inner.String() }

// explain is the plan of an EXPLAIN whose statement isn't for one shard; refused is what the planner says of that itself.
func (b *builder) explain(refused Plan) Plan {
	outer := b.st
	n := outer.Norm()
	if outer.Kind != parse.Explain || n == nil {
		return refused
	}
	head, inner, odd := n.Explained()
	if odd != "" {
		return refuse(verb(outer) + " … " + odd + " of a statement on several shards: leave that out, or see EXPLAIN ROUTE")
	}
	if outer.Name == "analyze" && outer.Inner.Kind != parse.Select {
		return refuse("ANALYZE would run this " + verb(outer.Inner) + ", and on several shards it can't be run in parts: use EXPLAIN without ANALYZE")
	}
	return &Explain{Head: rewrite.New(n).Copy(head), Inner: rewrite.New(n).Copy(inner)}
}
