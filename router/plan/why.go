package plan

import (
	"strconv"
	"strings"

	"shardway/router/parse"
	"shardway/shardmap"
)

// maxNotes is how many tables a plan's reason can name.
const maxNotes = 4

// note is one thing that decided the shard.
type note struct {
	kind  noteKind
	slot  int
	table *shardmap.Table
	text  *parse.Table
	by    *parse.Cond
	op    *parse.Operand
}

type noteKind uint8

const (
	noteBound     noteKind = iota + 1 // a condition binds table's key
	noteOwner                         // one shard owns all slots of table
	noteReference                     // table is a reference table
	noteWhole                         // text isn't listed
	noteTemporary                     // text is a temporary table
	noteInsert                        // the rows to store
	noteLock                          // named locks
	noteSequence                      // a sequence of the server
	noteVars                          // user variables on the pinned connection
	noteTemps                         // temporary tables on the pinned connection
)

type placeReason uint8

const (
	placeTables    placeReason = iota // the notes say it
	placeOnly                         // the map has one shard
	placeHint                         // hint shard=
	placeReference                    // reference tables alone
	placeMeta                         // about a listed table's definition
	placeNoRows                       // no row can match
	placeHome                         // the default shard
	placeFree                         // no table is named
	placeSession                      // USE
)

type roleReason uint8

const (
	roleRead roleReason = iota
	roleWrite
	roleTx
	roleTxLater
	roleTxReadOnly
	roleHint
	roleNoAutocommit
	roleSession
	roleShow
)

// Why says in one line what decided the shard and the role, like
// "shop.orders.user_id = 7 -> slot 7 of 1024 -> s0; a read".
func (p *One) Why() string {
	return p.placeWhy() + "; " + p.roleWhy()
}

func (p *One) roleWhy() string {
	switch p.role {
	case roleRead:
		return "a read"
	case roleWrite:
		if p.st.Why != "" {
			return "not a read: " + p.st.Why
		}
		return "not a read: " + verb(p.st)
	case roleTx:
		return "in a transaction"
	case roleTxLater:
		return "a read that leaves open on which shard the transaction will run"
	case roleTxReadOnly:
		return "a read in a READ ONLY transaction"
	case roleHint:
		return "hint primary"
	case roleNoAutocommit:
		return "a read with autocommit off"
	case roleSession:
		return "about the session"
	case roleShow:
		return "replicas answer it differently"
	default:
		return ""
	}
}

func (p *One) placeWhy() string {
	s := p.Shard.ID
	switch p.place {
	case placeOnly:
		return "the map has one shard, " + s
	case placeHint:
		return "hint shard=" + s
	case placeHome:
		return "no sharded table: the default shard " + s
	case placeFree:
		return "no table: any shard"
	case placeSession:
		return "the current schema"
	case placeMeta:
		return "about a table's definition, which each of its shards has"
	case placeNoRows:
		for i := range p.notes[:p.noted] {
			if n := &p.notes[i]; n.kind == noteBound {
				return "no row can meet the conditions on " + fullName(n.table) + "." + n.table.Key + ": any shard"
			}
		}
		return "no row can meet the conditions: any shard"
	case placeTables, placeReference:
	}
	b := builder{st: p.st, m: p.m, args: p.args, f: &Facts{DB: p.db}}
	var out strings.Builder
	for i := range p.notes[:p.noted] {
		if i > 0 {
			out.WriteString(", ")
		}
		b.note(&out, &p.notes[i], p.Shard)
	}
	if p.dropped {
		out.WriteString(", …")
	}
	return out.String()
}

// note writes what one table or value said of the shard.
func (b *builder) note(out *strings.Builder, n *note, s *shardmap.Shard) {
	switch n.kind {
	case noteBound:
		out.WriteString(b.bound(n.table, n.by, n.op))
		if n.op != nil {
			b.slot(out, n)
		}
		if s != nil && !b.nowhere(n) {
			out.WriteString(" -> " + s.ID)
		}
	case noteInsert:
		out.WriteString(fullName(n.table) + "." + n.table.Key)
		if n.op != nil {
			out.WriteString(" = " + b.operand(n.op))
			b.slot(out, n)
		} else {
			out.WriteString(" of all rows")
		}
		if s != nil {
			out.WriteString(" -> " + s.ID)
		}
	case noteOwner:
		out.WriteString(fullName(n.table) + " has all slots on " + s.ID)
	case noteReference:
		out.WriteString(fullName(n.table) + " is a reference table: any shard")
	case noteWhole:
		if n.table != nil {
			out.WriteString(fullName(n.table) + " is a reference table with a copy on " + s.ID)
			break
		}
		out.WriteString(b.name(n.text) + " isn't listed: whole on " + s.ID)
	case noteTemporary:
		out.WriteString(b.name(n.text) + " is a temporary table of the session on " + s.ID)
	case noteLock:
		out.WriteString("named locks are kept on " + s.ID)
	case noteSequence:
		out.WriteString("sequences live on the default shard " + s.ID)
	case noteVars:
		out.WriteString("the session's user variables are on " + s.ID)
	case noteTemps:
		out.WriteString("the session's temporary tables are on " + s.ID)
	}
}

// nowhere reports whether a binding leaves no shard.
func (b *builder) nowhere(n *note) bool {
	if n.by == nil || n.op != nil {
		return false
	}
	switch n.by.Op {
	case parse.CondNever:
		return true
	case parse.CondEqual, parse.CondNullSafeEqual:
		return n.by.Vals[0].Kind != parse.OperandColumn
	default:
		return false
	}
}

func (b *builder) slot(out *strings.Builder, n *note) {
	out.WriteString(" -> slot " + number(n.slot) + " of " + number(n.table.Database.Slots))
}

// bound is a condition on a table's key in words.
func (b *builder) bound(t *shardmap.Table, by *parse.Cond, op *parse.Operand) string {
	key := fullName(t) + "." + t.Key
	switch {
	case op != nil:
		return key + " = " + b.operand(op)
	case by == nil:
		return key
	}
	switch by.Op {
	case parse.CondEqual, parse.CondNullSafeEqual:
		v := &by.Vals[0]
		if v.Kind != parse.OperandColumn {
			return key + " = " + b.operand(v)
		}
		if strings.EqualFold(v.Col.Name, t.Key) && !strings.EqualFold(by.Col.Name, t.Key) {
			return key + " = " + columnText(&by.Col)
		}
		return key + " = " + columnText(&v.Col)
	case parse.CondIn:
		return key + " IN (" + b.list(by.Vals) + ")"
	case parse.CondNever:
		return "a condition that is never true"
	case parse.CondOr:
		return key + " by OR"
	case parse.CondAnd, parse.CondUnknown, parse.CondExists:
	}
	return key
}

// list shows some values.
func (b *builder) list(vals []parse.Operand) string {
	const most = 4
	var parts []string
	for i := range vals {
		if i == most {
			parts = append(parts, "…")
			break
		}
		parts = append(parts, b.operand(&vals[i]))
	}
	return strings.Join(parts, ", ")
}

// operand shows a value as SQL, shortened.
func (b *builder) operand(op *parse.Operand) string {
	var v *parse.Value
	switch op.Kind {
	case parse.OperandColumn:
		return columnText(&op.Col)
	case parse.OperandInserted:
		return "VALUES(" + op.Col.Name + ")"
	case parse.OperandDefault:
		return "DEFAULT"
	case parse.OperandExpr:
		if n, ok := op.Integer(b.args); ok {
			return strconv.FormatInt(n, 10)
		}
		return "an expression"
	case parse.OperandUnknown:
		return "an expression"
	case parse.OperandArg:
		if op.Arg < 0 || op.Arg >= len(b.args) {
			return "?"
		}
		v = &b.args[op.Arg]
	case parse.OperandConst:
		v = &op.Value
	}
	text := literalText(v)
	if op.Neg {
		text = "-" + text
	}
	return text
}

func literalText(v *parse.Value) string {
	const most = 40
	switch v.Kind {
	case parse.Null:
		return "NULL"
	case parse.Bool:
		if v.I == 0 {
			return "FALSE"
		}
		return "TRUE"
	case parse.Int:
		return strconv.FormatInt(v.I, 10)
	case parse.Uint:
		return unsigned(v.U)
	case parse.Float:
		return strconv.FormatFloat(v.F, 'g', -1, 64)
	case parse.Decimal:
		return shorten(string(v.S), most)
	case parse.String:
		return quote(shorten(strings.ToValidUTF8(string(v.S), "?"), most))
	case parse.Bytes:
		if len(v.S) > most/2 {
			return "a byte string of " + number(len(v.S)) + " bytes"
		}
		return "0x" + hexText(v.S)
	case parse.Marker:
		return "?"
	default:
		return "?"
	}
}

func hexText(b []byte) string {
	const digits = "0123456789ABCDEF"
	out := make([]byte, 0, 2*len(b))
	for _, c := range b {
		out = append(out, digits[c>>4], digits[c&15])
	}
	return string(out)
}

// shorten cuts s to at most n runes.
func shorten(s string, n int) string {
	for i := range s {
		if n == 0 {
			return s[:i] + "…"
		}
		n--
	}
	return s
}

func columnText(c *parse.Column) string {
	switch {
	case c.DB != "":
		return c.DB + "." + c.Qualifier + "." + c.Name
	case c.Qualifier != "":
		return c.Qualifier + "." + c.Name
	default:
		return c.Name
	}
}

// name is a table as the server would see it: with its database.
func (b *builder) name(t *parse.Table) string {
	db := t.DB
	if db == "" {
		db = b.f.DB
	}
	if db == "" {
		return t.Name
	}
	return db + "." + t.Name
}

func fullName(t *shardmap.Table) string { return t.Database.Name + "." + t.Name }

func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

func number(n int) string { return strconv.Itoa(n) }

func unsigned(n uint64) string { return strconv.FormatUint(n, 10) }
