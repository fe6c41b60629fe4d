package merge

import (
	"shardway/protocol"
)

// row is a row as a server sent it, with the places of its values.
type row struct {
	raw []byte
	at  []place
}

// place is where the value of a column is: without the length before it. from is less than 0 for NULL; the column ends at
// to in any case, and the next one begins there.
type place struct{ from, to int }

func (p place) null() bool { return p.from < 0 }

// value is a column's value, nil for NULL.
func (r *row) value(column int) []byte {
	p := r.at[column]
	if p.null() {
		return nil
	}
	return r.raw[p.from:p.to]
}

// encoded is a column's value with the length before it: in binary it is empty for NULL.
func (r *row) encoded(column int, header int) []byte {
	if column > 0 {
		header = r.at[column-1].to
	}
	return r.raw[header:r.at[column].to]
}

// layout knows how rows are encoded.
type layout struct {
	columns []column
	binary  bool
	needed  int // columns whose places are to be known, from the first on
}

// header is how many bytes come before the first value.
func (l *layout) header() int {
	if !l.binary {
		return 0
	}
	return 1 + (len(l.columns)+9)/8
}

// split finds the values of a row.
func (l *layout) split(r *row, raw []byte) error {
	r.raw = raw
	if cap(r.at) < l.needed {
		r.at = make([]place, l.needed)
	}
	r.at = r.at[:l.needed]
	if l.binary {
		return l.splitBinary(r)
	}
	return l.splitText(r)
}

func (l *layout) splitText(r *row) error {
	pos, raw := 0, r.raw
	for i := range r.at {
		if pos >= len(raw) {
			return l.short(r)
		}
		switch b := raw[pos]; {
		case b < 0xfb:
			end := pos + 1 + int(b)
			if end > len(raw) {
				return l.short(r)
			}
			r.at[i] = place{pos + 1, end}
			pos = end
		case b == 0xfb:
			pos++
			r.at[i] = place{-1, pos}
		default:
			n, size := protocol.LenInt(raw[pos:])
			if size == 0 || n > uint64(len(raw)-pos-size) {
				return l.short(r)
			}
			r.at[i] = place{pos + size, pos + size + int(n)}
			pos += size + int(n)
		}
	}
	return nil
}

func (l *layout) splitBinary(r *row) error {
	raw := r.raw
	pos := l.header()
	if len(raw) < pos || raw[0] != 0 {
		return l.short(r)
	}
	for i := range r.at {
		bit := i + 2
		if raw[1+bit/8]&(1<<(bit%8)) != 0 {
			r.at[i] = place{-1, pos}
			continue
		}
		n, size := sizeOf(l.columns[i].kind), 0
		if n < 0 {
			length, prefix := protocol.LenInt(raw[pos:])
			if prefix == 0 || length > uint64(len(raw)) {
				return l.short(r)
			}
			n, size = int(length), prefix
		}
		if n > len(raw)-pos-size {
			return l.short(r)
		}
		r.at[i] = place{pos + size, pos + size + n}
		pos += size + n
	}
	return nil
}

func (l *layout) short(r *row) error {
	return malformed("a row of %d bytes doesn't hold %d values", len(r.raw), len(l.columns))
}

// sizeOf is how many bytes a binary value of a type has; -1 where its length comes before it.
func sizeOf(kind byte) int {
	switch kind {
	case protocol.TypeNull:
		return 0
	case protocol.TypeTiny:
		return 1
	case protocol.TypeShort, protocol.TypeYear:
		return 2
	case protocol.TypeLong, protocol.TypeInt24, protocol.TypeFloat:
		return 4
	case protocol.TypeLongLong, protocol.TypeDouble:
		return 8
	default:
		return -1
	}
}

// visible appends the row with its first columns alone, as a client gets it.
func (l *layout) visible(dst []byte, r *row, columns int) []byte {
	end := r.at[columns-1].to
	if !l.binary {
		return append(dst, r.raw[:end]...)
	}
	dst = append(dst, r.raw[:1+(columns+9)/8]...)
	if used := (columns + 2) % 8; used != 0 {
		dst[len(dst)-1] &= 1<<used - 1
	}
	return append(dst, r.raw[l.header():end]...)
}
