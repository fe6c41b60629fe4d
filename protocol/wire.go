package protocol

import (
	"bytes"
	"encoding/binary"
)

// AppendLenInt appends n as a length-encoded integer.
func AppendLenInt(dst []byte, n uint64) []byte {
	switch {
	case n < 0xfb:
		return append(dst, byte(n))
	case n <= 0xffff:
		return append(dst, 0xfc, byte(n), byte(n>>8))
	case n <= 0xffffff:
		return append(dst, 0xfd, byte(n), byte(n>>8), byte(n>>16))
	default:
		return binary.LittleEndian.AppendUint64(append(dst, 0xfe), n)
	}
}

func appendLenString[S string | []byte](dst []byte, s S) []byte {
	return append(AppendLenInt(dst, uint64(len(s))), s...)
}

// LenInt reads a length-encoded integer and says how many bytes it took; none
// if p is too short or doesn't begin with one.
func LenInt(p []byte) (n uint64, size int) {
	if len(p) == 0 {
		return 0, 0
	}
	switch p[0] {
	case 0xfb, 0xff:
		return 0, 0
	case 0xfc:
		if len(p) < 3 {
			return 0, 0
		}
		return uint64(p[1]) | uint64(p[2])<<8, 3
	case 0xfd:
		if len(p) < 4 {
			return 0, 0
		}
		return uint64(p[1]) | uint64(p[2])<<8 | uint64(p[3])<<16, 4
	case 0xfe:
		if len(p) < 9 {
			return 0, 0
		}
		return binary.LittleEndian.Uint64(p[1:]), 9
	}
	return uint64(p[0]), 1
}

// decoder reads fields off the front of a payload. A field that isn't there
// sets bad, and everything after it reads as zero.
type decoder struct {
	p   []byte
	bad bool
}

func (d *decoder) take(n uint64) []byte {
	if d.bad || n > uint64(len(d.p)) {
		d.bad = true
		return nil
	}
	b := d.p[:n:n]
	d.p = d.p[n:]
	return b
}

func (d *decoder) byte() byte {
	if b := d.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (d *decoder) uint16() uint16 {
	if b := d.take(2); b != nil {
		return binary.LittleEndian.Uint16(b)
	}
	return 0
}

func (d *decoder) uint32() uint32 {
	if b := d.take(4); b != nil {
		return binary.LittleEndian.Uint32(b)
	}
	return 0
}

func (d *decoder) LenInt() uint64 {
	n, size := LenInt(d.p)
	if d.bad || size == 0 {
		d.bad = true
		return 0
	}
	d.p = d.p[size:]
	return n
}

func (d *decoder) lenString() []byte { return d.take(d.LenInt()) }

// nulString reads up to a zero byte, which must be there.
func (d *decoder) nulString() []byte {
	i := bytes.IndexByte(d.p, 0)
	if d.bad || i < 0 {
		d.bad = true
		return nil
	}
	b := d.p[:i:i]
	d.p = d.p[i+1:]
	return b
}

// lastString reads up to a zero byte or, where a sender forgot it, to the end.
func (d *decoder) lastString() []byte {
	if bytes.IndexByte(d.p, 0) >= 0 {
		return d.nulString()
	}
	return d.take(uint64(len(d.p)))
}
