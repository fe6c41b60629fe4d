package scatter

import (
	"strconv"
	"strings"
)

// Merge says how the shards' rows become the answer. Columns are numbered from 0 in what the shards send; the client
// sees the first Visible of them. Every shard's rows come in the order of Group, or of Order where there is no Group.
type Merge struct {
	// Visible is how many columns the client sees; 0 for all that the shards send, which is where a * is among them and
	// nothing is appended.
	Visible int
	// Appended is how many columns follow the visible ones. With a * in the select list Visible isn't known to the
	// planner: it is then -1, and is what the shards send without Appended. Columns of Keys and Sums that aren't visible
	// are numbered from the end then: -Appended is the first appended one.
	Appended int
	// Order are the keys that each shard's rows are sorted by, and so is the answer; empty: any order.
	Order []Key
	// Group are the keys of which rows with equal values become one row, by Sums. With One all rows become one, also when
	// there are none.
	Group []Key
	One   bool
	Sums  []Sum
	// Final is the order of the answer where it isn't the groups' own: they are sorted before the first is sent.
	Final []Key
	// Distinct gives one of the rows that are equal in all visible columns; Order has them all then.
	Distinct      bool
	Offset, Limit Bound // of the answer
}

// Key is a column to compare by. Columns that hold text are compared by Weight, a column with their WEIGHT_STRING, which
// is padded as Collation, a column with their collation's name, says; NoColumn where there is none.
type Key struct {
	Column, Weight, Collation int
	Desc                      bool
	// Computed says that a server sorts by an expression, which MariaDB does otherwise than by a column in some collations.
	Computed bool
}

// NoColumn stands for a column that isn't there.
const NoColumn = -1 << 30

// Sum says how one column of a group's rows becomes one value. A visible column without a Sum is the first row's.
type Sum struct {
	Column int
	Op     SumOp
	With   []int // SumAvg: a column with the sum and one with the count; SumMin, SumMax: a Key's Weight and Collation
}

// SumOp is what is done with the values of one column.
type SumOp uint8

// The operations. NULLs are left out, as by the servers.
const (
	SumFirst  SumOp = iota // the first row's value
	SumCount               // counts are added; no rows are 0
	SumSum                 // values are added; no value is NULL
	SumMin                 // the least
	SumMax                 // the greatest
	SumAvg                 // the sum divided by the count
	SumBitAnd              // all bits set in all values; no rows are 2⁶⁴-1
	SumBitOr               // all bits set in any value; no rows are 0
	SumBitXor              // all bits set in an odd number of values; no rows are 0
)

// String is the function's name.
func (op SumOp) String() string {
	switch op {
	case SumFirst:
		return "first"
	case SumCount:
		return "count"
	case SumSum:
		return "sum"
	case SumMin:
		return "min"
	case SumMax:
		return "max"
	case SumAvg:
		return "avg"
	case SumBitAnd:
		return "bit_and"
	case SumBitOr:
		return "bit_or"
	case SumBitXor:
		return "bit_xor"
	default:
		return "sum " + strconv.Itoa(int(op))
	}
}

// Bound is a LIMIT or an OFFSET.
type Bound struct {
	Set bool
	N   uint64
}

// Window is how many rows a shard has to send for a Limit with an Offset.
func (m *Merge) Window() Bound {
	if !m.Limit.Set {
		return Bound{}
	}
	n := m.Offset.N + m.Limit.N
	if n < m.Limit.N {
		n = 1<<64 - 1
	}
	return Bound{true, n}
}

// String is the merge step by step.
func (m *Merge) String() string {
	var steps []string
	switch {
	case len(m.Group) > 0:
		steps = append(steps, "group by "+keys(m.Group))
	case m.One:
		steps = append(steps, "one row")
	case len(m.Order) > 0:
		steps = append(steps, "order by "+keys(m.Order))
	default:
		steps = append(steps, "rows as they come")
	}
	for i := range m.Sums {
		steps = append(steps, m.Sums[i].String())
	}
	if len(m.Final) > 0 {
		steps = append(steps, "then order by "+keys(m.Final))
	}
	if m.Distinct {
		steps = append(steps, "distinct")
	}
	if m.Limit.Set {
		steps = append(steps, "limit "+unsigned(m.Limit.N))
	}
	if m.Offset.N > 0 {
		steps = append(steps, "offset "+unsigned(m.Offset.N))
	}
	switch {
	case m.Visible < 0 && m.Appended > 0:
		steps = append(steps, "all columns but the last "+number(m.Appended))
	case m.Appended > 0:
		steps = append(steps, "the first "+number(m.Visible)+" columns")
	}
	return strings.Join(steps, ", ")
}

// String is the function and its columns.
func (s *Sum) String() string {
	out := s.Op.String() + " of " + column(s.Column)
	if len(s.With) == 0 {
		return out
	}
	with := make([]string, len(s.With))
	for i, c := range s.With {
		with[i] = column(c)
	}
	return out + " by " + strings.Join(with, ", ")
}

func keys(list []Key) string {
	var out strings.Builder
	for i, k := range list {
		if i > 0 {
			out.WriteString(", ")
		}
		out.WriteString(column(k.Column))
		if k.Weight != NoColumn {
			out.WriteString(" (weight " + column(k.Weight) + ", collation " + column(k.Collation) + ")")
		}
		if k.Desc {
			out.WriteString(" desc")
		}
	}
	return out.String()
}

// column is a column's number as ORDER BY would have it, from 1 on, or from the end.
func column(n int) string {
	if n >= 0 {
		n++
	}
	return number(n)
}

func number(n int) string { return strconv.Itoa(n) }

func unsigned(n uint64) string { return strconv.FormatUint(n, 10) }
