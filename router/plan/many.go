package plan

import (
	"slices"
	"strings"

	"shardway/router/parse/rewrite"
	"shardway/router/plan/scatter"
	"shardway/shardmap"
)

// Many runs a statement on several shards, or a statement of its own on each, and brings what they answer together.
type Many struct {
	Parts []Part // one for each shard, in the map's order
	Role  Role
	// Write says that the reply is one OK, whose affected rows are all parts' together; with Copies, all parts do the same
	// to copies of one table, in their order and under one clock, and the reply is the first part's.
	Write, Copies bool
	// Returning says of a write that its parts answer with rows: they run one after another, a shard may have several, and
	// the answer is their rows in this order, with Copies the first part's.
	Returning bool
	// Numbers is how many rows of an INSERT get a number from their table's sequence, and FirstID the first of the numbers.
	Numbers int
	FirstID uint64
	// Merge is how the rows come together; nil for writes.
	Merge *Merge
	// Else answers where the merge finds out from the columns that it can't; nil for none.
	Else *Gather
	// Why says what made it run on several shards, and why the answers can be brought together.
	Why string

	touches touches
}

// How rows come together, under the names that those use who read Plans.
type (
	// Merge says how the shards' rows become the answer.
	Merge = scatter.Merge
	// Key is a column to compare by.
	Key = scatter.Key
	// Sum says how one column of a group's rows becomes one value.
	Sum = scatter.Sum
	// SumOp is what is done with the values of one column.
	SumOp = scatter.SumOp
	// Bound is a LIMIT or an OFFSET.
	Bound = scatter.Bound
)

// NoColumn stands for a column that isn't there.
const NoColumn = scatter.NoColumn

// The operations of a Sum.
const (
	SumFirst  = scatter.SumFirst
	SumCount  = scatter.SumCount
	SumSum    = scatter.SumSum
	SumMin    = scatter.SumMin
	SumMax    = scatter.SumMax
	SumAvg    = scatter.SumAvg
	SumBitAnd = scatter.SumBitAnd
	SumBitOr  = scatter.SumBitOr
	SumBitXor = scatter.SumBitXor
)

// Part is one shard's statement.
type Part struct {
	Shard *shardmap.Shard
	SQL   *rewrite.Template // nil: as the client sent it
	Rows  int               // how many of an INSERT's rows, where it is split by them
	Why   string            // what makes its SQL another one than the other parts'; "" for nothing
}

func (*Many) plan() {}

// String is "many shards role: steps; as the SQL; why", with the SQL of parts that have another one after their reason.
func (p *Many) String() string {
	var out strings.Builder
	out.WriteString("many ")
	for i := range p.Parts {
		if i > 0 {
			out.WriteByte(',')
		}
		out.WriteString(p.Parts[i].Shard.ID)
	}
	out.WriteString(" " + p.Role.String() + ": ")
	switch {
	case p.Returning && !p.Copies:
		out.WriteString("the rows one part after another")
	case p.Copies:
		out.WriteString("the same on each copy")
	case p.Write:
		out.WriteString("affected rows are added up")
	default:
		out.WriteString(p.Merge.String())
	}
	if i := slices.IndexFunc(p.Parts, func(part Part) bool { return part.Why == "" }); i >= 0 && p.Parts[i].SQL != nil {
		out.WriteString("; as " + p.Parts[i].SQL.String())
	}
	out.WriteString("; " + p.Why)
	for i := range p.Parts {
		if part := &p.Parts[i]; part.Why != "" {
			out.WriteString("; " + part.Why + ": " + part.SQL.String())
		}
	}
	return out.String()
}

// why is the reason of a part.
func (p *Many) why(part *Part) string {
	if part.Why == "" {
		return p.Why
	}
	return p.Why + "; " + part.Why
}
