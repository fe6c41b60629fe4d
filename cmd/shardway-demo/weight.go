//go:build gms_pure_go

package main

import (
	"encoding/binary"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/expression"
	"github.com/dolthub/go-mysql-server/sql/types"
)

// weightString is WEIGHT_STRING(text), which the engine lacks: bytes that compare as the texts do in their collation.
// They are the weights by which the engine itself compares, four bytes for each character.
type weightString struct {
	expression.UnaryExpression
}

func newWeightString(e sql.Expression) sql.Expression {
	return &weightString{expression.UnaryExpression{Child: e}}
}

// FunctionName implements sql.FunctionExpression.
func (w *weightString) FunctionName() string { return "weight_string" }

// Description implements sql.FunctionExpression.
func (w *weightString) Description() string { return "returns the weights of a text in its collation." }

func (w *weightString) String() string { return "weight_string(" + w.Child.String() + ")" }

// Type implements sql.Expression.
func (w *weightString) Type() sql.Type { return types.LongBlob }

// CollationCoercibility implements sql.CollationCoercible.
func (w *weightString) CollationCoercibility(*sql.Context) (collation sql.CollationID, coercibility byte) {
	return sql.Collation_binary, 4
}

// WithChildren implements sql.Expression.
func (w *weightString) WithChildren(children ...sql.Expression) (sql.Expression, error) {
	if len(children) != 1 {
		return nil, sql.ErrInvalidChildrenNumber.New(w, len(children), 1)
	}
	return newWeightString(children[0]), nil
}

// Eval implements sql.Expression. What isn't a text has no weight, as at MySQL.
func (w *weightString) Eval(ctx *sql.Context, row sql.Row) (any, error) {
	value, err := w.Child.Eval(ctx, row)
	if value == nil || err != nil {
		return nil, err
	}
	if value, err = sql.UnwrapAny(ctx, value); err != nil {
		return nil, err
	}
	var text string
	switch v := value.(type) {
	case []byte:
		return v, nil
	case string:
		text = v
	default:
		return nil, nil
	}
	collation, _ := sql.GetCoercibility(ctx, w.Child)
	if collation == sql.Collation_binary {
		return []byte(text), nil
	}
	weight := collation.Sorter()
	weights := make([]byte, 0, 4*len(text))
	for _, r := range text {
		// The engine's weights have a sign; bytes that compare don't.
		weights = binary.BigEndian.AppendUint32(weights, uint32(weight(r))^1<<31)
	}
	return weights, nil
}
