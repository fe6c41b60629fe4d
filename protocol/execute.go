package protocol

import (
	"encoding/binary"
	"fmt"
	"math"
)

// Execute is a STMT_EXECUTE as it lies in its payload.
type Execute struct {
	StmtID     uint32
	Flags      byte // the kind of cursor asked for; 0 is none
	Iterations uint32
	NullBitmap []byte
	TypesSent  bool   // else the types are those of an earlier execution
	Types      []byte // two bytes a parameter: the type, and 0x80 if unsigned
	Values     []byte

	// Attributes is how many query attributes follow on the parameters, in
	// NullBitmap and in Values too, and AttributeTypes are their types, each
	// with its name.
	Attributes     int
	AttributeTypes []byte

	used int // of Values, by the parameters: after DecodeParams
}

// DecodeExecute reads the payload of a STMT_EXECUTE, without the command's
// byte, of a statement with so many parameters, from a client with these
// capabilities. What it returns are parts of the payload, but for Types of a
// client with CapQueryAttributes. An error is an *Error.
func DecodeExecute(payload []byte, params int, caps Capability) (Execute, error) {
	d := decoder{p: payload}
	e := Execute{StmtID: d.uint32(), Flags: d.byte(), Iterations: d.uint32()}
	named := caps.Has(CapQueryAttributes)
	counted := named && (params > 0 || e.Flags&countAvailable != 0)
	if named {
		e.Flags &^= countAvailable
	}
	if counted {
		n := d.LenInt()
		if n < uint64(params) || n > 0xffff {
			return e, malformed("a STMT_EXECUTE of %d values for %d parameters", n, params)
		}
		e.Attributes = int(n) - params
	}
	if all := params + e.Attributes; all > 0 {
		e.NullBitmap = d.take(uint64(all+7) / 8)
		switch d.byte() {
		case 0:
			if e.Attributes > 0 {
				return e, malformed("query attributes without their types")
			}
		case 1:
			e.TypesSent = true
			if !named {
				e.Types = d.take(2 * uint64(params))
				break
			}
			e.Types = d.namedTypes(params)
			from := d.p
			d.namedTypes(e.Attributes)
			e.AttributeTypes = from[:len(from)-len(d.p)]
		default:
			return e, malformed("a STMT_EXECUTE that neither has nor lacks its parameters' types")
		}
	}
	if d.bad {
		return e, malformed("a STMT_EXECUTE of %d bytes is too short for %d parameters", len(payload), params)
	}
	e.Values = d.p
	return e, nil
}

// AppendExecute encodes the payload of e for the statement that the server,
// whose capabilities are caps, knows as serverID, without the command's byte.
// The types are always sent, so that the server's statement never depends on
// an earlier execution. A server without CapQueryAttributes doesn't get e's
// query attributes, of which DecodeParams must have found the values.
func AppendExecute(dst []byte, serverID uint32, e *Execute, types []byte, caps Capability) []byte {
	named := caps.Has(CapQueryAttributes)
	params, attributes := len(types)/2, e.Attributes
	if !named {
		attributes = 0
	}
	flags := e.Flags
	if named && params+attributes > 0 {
		flags |= countAvailable
	}
	dst = binary.LittleEndian.AppendUint32(dst, serverID)
	dst = append(dst, flags)
	dst = binary.LittleEndian.AppendUint32(dst, e.Iterations)
	if params+attributes == 0 {
		return dst
	}
	if named {
		dst = AppendLenInt(dst, uint64(params+attributes))
	}
	dst = append(dst, e.NullBitmap[:min((params+attributes+7)/8, len(e.NullBitmap))]...)
	dst = append(dst, 1)
	if !named {
		dst = append(dst, types...)
		if e.Attributes > 0 {
			return append(dst, e.Values[:e.used]...)
		}
		return append(dst, e.Values...)
	}
	for i := range params {
		dst = append(dst, types[2*i], types[2*i+1], 0)
	}
	dst = append(dst, e.AttributeTypes...)
	return append(dst, e.Values...)
}

// Param is one bound value. Int is set for signed integers, Uint for
// unsigned ones, Float for FLOAT and DOUBLE, and Bytes for everything else:
// strings and decimals as sent, dates and times as text
// ("2026-01-02 03:04:05.000006").
type Param struct {
	Type     byte
	Unsigned bool
	Null     bool
	LongData bool // sent before, with STMT_SEND_LONG_DATA; no value here
	Int      int64
	Uint     uint64
	Float    float64
	Bytes    []byte
}

// DecodeParams appends the bound values to dst. The types are e's own or
// those remembered; longData, which may be nil, says which parameters were
// sent before. Strings are parts of the payload that e was decoded from. An
// error is an *Error that names the parameter.
func (e *Execute) DecodeParams(types []byte, longData func(i int) bool, dst []Param) ([]Param, error) {
	d := decoder{p: e.Values}
	for i := range len(types) / 2 {
		if i/8 >= len(e.NullBitmap) {
			return dst, malformed("the bitmap of NULLs has no bit for parameter %d", i+1)
		}
		p := Param{Type: types[2*i], Unsigned: types[2*i+1]&0x80 != 0}
		switch {
		case longData != nil && longData(i):
			p.LongData = true
		case e.NullBitmap[i/8]&(1<<(i%8)) != 0 || p.Type == TypeNull:
			p.Null = true
		default:
			if err := p.decode(&d); err != nil {
				err.Message += fmt.Sprintf(" (parameter %d of %d)", i+1, len(types)/2)
				return dst, err
			}
		}
		dst = append(dst, p)
	}
	e.used = len(e.Values) - len(d.p)
	return dst, nil
}

func (p *Param) decode(d *decoder) *Error {
	switch p.Type {
	case TypeTiny:
		p.integer(uint64(d.byte()), 8)
	case TypeShort, TypeYear:
		p.integer(uint64(d.uint16()), 16)
	case TypeLong, TypeInt24:
		p.integer(uint64(d.uint32()), 32)
	case TypeLongLong:
		if b := d.take(8); b != nil {
			p.integer(binary.LittleEndian.Uint64(b), 64)
		}
	case TypeFloat:
		p.Float = float64(math.Float32frombits(d.uint32()))
	case TypeDouble:
		if b := d.take(8); b != nil {
			p.Float = math.Float64frombits(binary.LittleEndian.Uint64(b))
		}
	case TypeDate, TypeDatetime, TypeTimestamp, TypeNewDate:
		b := d.take(uint64(d.byte()))
		if d.bad {
			break
		}
		text, ok := dateText(b, p.Type == TypeDate || p.Type == TypeNewDate)
		if !ok {
			return malformed("a date of %d bytes", len(b))
		}
		p.Bytes = text
	case TypeTime:
		b := d.take(uint64(d.byte()))
		if d.bad {
			break
		}
		text, ok := timeText(b)
		if !ok {
			return malformed("a time of %d bytes", len(b))
		}
		p.Bytes = text
	case TypeDecimal, TypeNewDecimal, TypeVarchar, TypeVarString, TypeString, TypeBit, TypeEnum, TypeSet,
		TypeTinyBlob, TypeMediumBlob, TypeLongBlob, TypeBlob, TypeJSON, TypeGeometry:
		p.Bytes = d.lenString()
	default:
		return malformed("a parameter of unknown type 0x%02x", p.Type)
	}
	if d.bad {
		return malformed("a parameter's value of type 0x%02x is cut", p.Type)
	}
	return nil
}

// integer sets the value from its lowest bits.
func (p *Param) integer(v uint64, bits uint) {
	if p.Unsigned {
		p.Uint = v
		return
	}
	shift := 64 - bits
	p.Int = int64(v<<shift) >> shift
}

// dateText writes out a date of 0, 4, 7 or 11 bytes.
func dateText(b []byte, dateOnly bool) ([]byte, bool) {
	var f [11]byte
	switch len(b) {
	case 0, 4, 7, 11:
		copy(f[:], b)
	default:
		return nil, false
	}
	year := binary.LittleEndian.Uint16(f[:])
	text := fmt.Appendf(nil, "%04d-%02d-%02d", year, f[2], f[3])
	if dateOnly && len(b) <= 4 {
		return text, true
	}
	text = fmt.Appendf(text, " %02d:%02d:%02d", f[4], f[5], f[6])
	if len(b) == 11 {
		text = fmt.Appendf(text, ".%06d", binary.LittleEndian.Uint32(f[7:]))
	}
	return text, true
}

// timeText writes out a time of 0, 8 or 12 bytes.
func timeText(b []byte) ([]byte, bool) {
	var f [12]byte
	switch len(b) {
	case 0, 8, 12:
		copy(f[:], b)
	default:
		return nil, false
	}
	var text []byte
	if f[0] != 0 {
		text = append(text, '-')
	}
	hours := uint64(binary.LittleEndian.Uint32(f[1:]))*24 + uint64(f[5])
	text = fmt.Appendf(text, "%02d:%02d:%02d", hours, f[6], f[7])
	if len(b) == 12 {
		text = fmt.Appendf(text, ".%06d", binary.LittleEndian.Uint32(f[8:]))
	}
	return text, true
}

// Pick makes the EXECUTE of a statement whose parameters are some of e's, in another order: params says for each which of
// e's parameters it is. Numbers below 0 stand for an unsigned integer of their own, which number gives. The types are e's own or those
// remembered, and longData is as in DecodeParams; of a parameter that was sent before there is no value here. An error is
// an *Error.
func (e *Execute) Pick(types []byte, longData func(i int) bool, params []int, number func(param int) uint64) (Execute, error) {
	at := make([][]byte, len(types)/2)
	d := decoder{p: e.Values}
	for i := range at {
		if i/8 >= len(e.NullBitmap) {
			return Execute{}, malformed("the bitmap of NULLs has no bit for parameter %d", i+1)
		}
		if longData != nil && longData(i) || e.null(i) || types[2*i] == TypeNull {
			continue
		}
		before := d.p
		p := Param{Type: types[2*i], Unsigned: types[2*i+1]&0x80 != 0}
		if err := p.decode(&d); err != nil {
			return Execute{}, err
		}
		at[i] = before[:len(before)-len(d.p)]
	}
	picked := Execute{Iterations: 1, NullBitmap: make([]byte, (len(params)+7)/8), TypesSent: true}
	for j, i := range params {
		switch {
		case i < 0:
			picked.Types = append(picked.Types, TypeLongLong, 0x80)
			picked.Values = binary.LittleEndian.AppendUint64(picked.Values, number(i))
			continue
		case i >= len(at):
			return Execute{}, malformed("parameter %d of %d", i+1, len(at))
		case e.null(i):
			picked.NullBitmap[j/8] |= 1 << (j % 8)
		}
		picked.Types = append(picked.Types, types[2*i], types[2*i+1])
		picked.Values = append(picked.Values, at[i]...)
	}
	return picked, nil
}

func (e *Execute) null(i int) bool { return e.NullBitmap[i/8]&(1<<(i%8)) != 0 }
