package e2e

import (
	"encoding/binary"
	"fmt"
)

// stmt is a prepared statement.
type stmt struct {
	ID              uint32
	Params, Columns int
	Warnings        uint16
	ParamDefs, Defs [][]byte
}

func (w *wire) prepare(q string) (*stmt, error) {
	if err := w.send(comStmtPrepare, []byte(q)); err != nil {
		return nil, err
	}
	p, err := w.readPacket()
	if err != nil {
		return nil, err
	}
	if p[0] == 0xff {
		return nil, parseError(p)
	}
	s := &stmt{ID: binary.LittleEndian.Uint32(p[1:]), Columns: int(binary.LittleEndian.Uint16(p[5:])), Params: int(binary.LittleEndian.Uint16(p[7:]))}
	if len(p) >= 12 {
		s.Warnings = binary.LittleEndian.Uint16(p[10:])
	}
	read := func(n int) (defs [][]byte, err error) {
		for range n {
			p, err := w.readPacket()
			if err != nil {
				return nil, err
			}
			defs = append(defs, p)
		}
		if n > 0 && w.caps&capDeprecateEOF == 0 {
			if p, err := w.readPacket(); err != nil || p[0] != 0xfe {
				return nil, fmt.Errorf("no EOF after definitions: % x, %w", p, err)
			}
		}
		return defs, nil
	}
	if s.ParamDefs, err = read(s.Params); err != nil {
		return nil, err
	}
	s.Defs, err = read(s.Columns)
	return s, err
}

// Parameter types.
const (
	typeTiny     = 1
	typeShort    = 2
	typeLong     = 3
	typeDouble   = 5
	typeNull     = 6
	typeLongLong = 8
	typeVarchar  = 15
	typeBlob     = 252
	typeString   = 253
)

// longData stands for a parameter that was sent with STMT_SEND_LONG_DATA.
type longData struct{}

// executePacket is the payload of an EXECUTE. Arguments are int64, uint64,
// float64, string, []byte, longData or nil.
func (s *stmt) executePacket(flags byte, sendTypes bool, args ...any) []byte {
	b := binary.LittleEndian.AppendUint32(nil, s.ID)
	b = append(b, flags)
	b = binary.LittleEndian.AppendUint32(b, 1)
	if s.Params == 0 {
		return b
	}
	nulls := make([]byte, (s.Params+7)/8)
	var types, values []byte
	for i, a := range args {
		switch v := a.(type) {
		case nil:
			nulls[i/8] |= 1 << (i % 8)
			types = append(types, typeNull, 0)
		case int64:
			types, values = append(types, typeLongLong, 0), binary.LittleEndian.AppendUint64(values, uint64(v))
		case uint64:
			types, values = append(types, typeLongLong, 0x80), binary.LittleEndian.AppendUint64(values, v)
		case int32:
			types, values = append(types, typeLong, 0), binary.LittleEndian.AppendUint32(values, uint32(v))
		case int8:
			types, values = append(types, typeTiny, 0), append(values, byte(v))
		case float64:
			var f [8]byte
			_, _ = binary.Encode(f[:], binary.LittleEndian, v)
			types, values = append(types, typeDouble, 0), append(values, f[:]...)
		case string:
			types, values = append(types, typeString, 0), appendLenenc(values, []byte(v))
		case []byte:
			types, values = append(types, typeBlob, 0), appendLenenc(values, v)
		case longData:
			types = append(types, typeBlob, 0)
		default:
			panic(fmt.Sprintf("argument of type %T", a))
		}
	}
	b = append(b, nulls...)
	if !sendTypes {
		return append(append(b, 0), values...)
	}
	return append(append(append(b, 1), types...), values...)
}

func appendLenenc(b, v []byte) []byte {
	n := len(v)
	switch {
	case n < 251:
		b = append(b, byte(n))
	case n < 1<<16:
		b = append(b, 0xfc, byte(n), byte(n>>8))
	case n < 1<<24:
		b = append(b, 0xfd, byte(n), byte(n>>8), byte(n>>16))
	default:
		b = binary.LittleEndian.AppendUint64(append(b, 0xfe), uint64(n))
	}
	return append(b, v...)
}

func (w *wire) execute(s *stmt, sendTypes bool, args ...any) ([]result, error) {
	if err := w.send(comStmtExecute, s.executePacket(0, sendTypes, args...)); err != nil {
		return nil, err
	}
	return w.results()
}
