package parse

import "github.com/pingcap/tidb/pkg/parser/opcode"

// Expr is arithmetic on operands whose kinds are OperandArg, OperandConst and OperandExpr.
type Expr struct {
	Op   ExprOp
	L, R Operand // R is unset for ExprNeg
}

// ExprOp is the operation of an Expr.
type ExprOp uint8

// The operations. Division isn't among them: its result is a decimal.
const (
	ExprNeg ExprOp = iota + 1 // -L
	ExprAdd                   // L + R
	ExprSub                   // L - R
	ExprMul                   // L * R
)

// maxFolds is how many operations are worked out: each execution does so again.
const maxFolds = 16

// arithmetic joins two operands; OperandUnknown where the result isn't worked out.
func arithmetic(op opcode.Op, l, r Operand) Operand {
	e := &Expr{L: l, R: r}
	switch op {
	case opcode.Plus:
		e.Op = ExprAdd
	case opcode.Minus:
		e.Op = ExprSub
	case opcode.Mul:
		e.Op = ExprMul
	default:
		return Operand{}
	}
	return e.operand()
}

// operand is e as an operand, if it is small and all of it can have a value.
func (e *Expr) operand() Operand {
	if n := e.folds(); n == 0 || n > maxFolds {
		return Operand{}
	}
	return Operand{Kind: OperandExpr, Expr: e}
}

// folds counts operations; 0 when a part has no value.
func (e *Expr) folds() int {
	n := 1
	for _, o := range [...]*Operand{&e.L, &e.R} {
		switch {
		case o == &e.R && e.Op == ExprNeg, o.Kind == OperandArg, o.Kind == OperandConst:
		case o.Kind == OperandExpr:
			n += o.Expr.folds()
		default:
			return 0
		}
	}
	return n
}

// exactFloat bounds the integers that a double holds exactly. A server may take the sum of two parameters for a double.
const exactFloat = 1 << 53

// Integer works out an operand: it is what servers make of it when every value in it is a signed integer and no step
// leaves the range in which doubles are exact, up to 2⁵³. ok is false otherwise, also where servers have a value:
// '2' + 1, 1.5 * 2, TRUE + 1.
func (o *Operand) Integer(args []Value) (n int64, ok bool) {
	var v *Value
	switch {
	case o.Kind == OperandExpr:
		return o.Expr.integer(args)
	case o.Kind == OperandConst:
		v = &o.Value
	case o.Kind == OperandArg && o.Arg >= 0 && o.Arg < len(args):
		v = &args[o.Arg]
	default:
		return 0, false
	}
	if v.Kind != Int {
		return 0, false
	}
	n = v.I
	if o.Neg {
		n = -n
	}
	return n, exact(n)
}

func (e *Expr) integer(args []Value) (n int64, ok bool) {
	l, ok := e.L.Integer(args)
	if !ok {
		return 0, false
	}
	if e.Op == ExprNeg {
		return -l, true
	}
	r, ok := e.R.Integer(args)
	if !ok {
		return 0, false
	}
	switch e.Op {
	case ExprAdd:
		n = l + r
	case ExprSub:
		n = l - r
	case ExprMul:
		if n = l * r; r != 0 && n/r != l {
			return 0, false
		}
	default:
		return 0, false
	}
	return n, exact(n)
}

func exact(n int64) bool { return n > -exactFloat && n < exactFloat }
