package digest

import (
	"strconv"
	"unsafe"
)

// prefixed handles a string glued to the word sql[i:j]: x'1F', b'01', n'text', _utf8mb4'text'. It returns 0 when the
// word is no such prefix, and -1 when the string has no end.
func (d *Digest) prefixed(i, j int) int {
	s := d.sql
	first := s[i] | 0x20
	if j-i != 1 && s[i] != '_' || j-i == 1 && first != 'x' && first != 'b' && first != 'n' {
		return 0
	}
	end, special, ok := skipString(s, j, d.Mode&NoBackslashEscapes == 0)
	if !ok {
		return -1
	}
	d.prev = prevOperand
	body := s[j+1 : end-1]
	if d.exact || special || s[j] != '\'' || j-i != 1 || first == 'n' || d.stringFollows(end) {
		return end
	}
	if first == 'x' && (len(body)%2 != 0 || !allHex(body)) || first == 'b' && !allBits(body) {
		return end
	}
	d.bytes(body, first, i, end)
	return end
}

// binary handles a string after the word _binary at sql[i:j], which drivers write before bytes that they put into the
// text: the bytes are lifted as those of X'1F' are, since they may be large and needn't be valid text. It returns 0
// when no string follows, or one that stays.
func (d *Digest) binary(i, j int) int {
	s := d.sql
	q := skipSpace(s, j)
	if d.exact || q == len(s) || classes[s[q]] != cQuote || s[q] == '"' && d.Mode&AnsiQuotes != 0 ||
		d.prev == prevArrow || d.prev == prevOperand || d.prev == prevName || d.prev == prevWord && keepsString(d.lastWord()) {
		return 0
	}
	escapes := d.Mode&NoBackslashEscapes == 0
	end, special, ok := skipString(s, q, escapes)
	if !ok {
		return -1
	}
	if d.stringFollows(end) {
		return 0
	}
	v := Value{Kind: Bytes, S: s[q+1 : end-1]}
	if special {
		from := len(d.buf)
		d.buf = appendUnescaped(d.buf, v.S, s[q], escapes)
		v.S = d.buf[from:len(d.buf):len(d.buf)]
	}
	d.prev = prevOperand
	d.lift(i, end, v)
	return end
}

func allHex(b []byte) bool {
	for _, c := range b {
		if !isHex(c) {
			return false
		}
	}
	return true
}

func allBits(b []byte) bool {
	for _, c := range b {
		if c != '0' && c != '1' {
			return false
		}
	}
	return true
}

// bytes lifts a hexadecimal (x) or bit (b) literal whose digits are body.
func (d *Digest) bytes(body []byte, base byte, i, j int) {
	from := len(d.buf)
	per := 2
	if base == 'b' {
		per = 8
	}
	head := len(body) % per // the first byte has fewer digits
	for k := 0; k < len(body); {
		n := per
		if k == 0 && head != 0 {
			n = head
		}
		var v byte
		for _, c := range body[k : k+n] {
			if base == 'b' {
				v = v<<1 | (c - '0')
			} else {
				v = v<<4 | hexDigit(c)
			}
		}
		d.buf = append(d.buf, v)
		k += n
	}
	d.lift(i, j, Value{Kind: Bytes, S: d.buf[from:len(d.buf):len(d.buf)], Numeric: base == 'b' || d.sql[i] == '0'})
}

func hexDigit(c byte) byte {
	if c <= '9' {
		return c - '0'
	}
	return c&0xdf - 'A' + 10
}

// lift writes a question mark for sql[i:j].
func (d *Digest) lift(i, j int, v Value) {
	v.Start, v.End = i, j
	d.Args = append(d.Args, v)
	d.flush(i)
	d.norm = append(d.norm, '?')
	d.run = j
}

func (d *Digest) lastWord() []byte { return d.sql[d.wordA:d.wordE] }

// dot handles a dot: of a qualified name, or the start of a number.
func (d *Digest) dot(i int) int {
	s := d.sql
	if i+1 == len(s) || !isDigit(s[i+1]) {
		d.prev = prevOther
		return i + 1
	}
	if i > 0 && isIdent(s[i-1]) && (d.prev == prevWord || d.prev == prevName) {
		d.prev = prevName
		return skipWord(s, i+1) // a name that starts with a digit: t.1a
	}
	end, kind := skipNumber(s, i)
	d.number(i, end, kind)
	return end
}

// number lifts the number sql[i:j], unless it is part of the grammar.
func (d *Digest) number(i, j int, kind ValueKind) {
	prev := d.prev
	d.prev = prevOperand
	if d.exact || d.by == d.depth+1 && (prev == prevComma || prev == prevWord && word(d.lastWord(), "BY")) ||
		prev == prevOpen && d.typeLength() || prev == prevOperand {
		return
	}
	s := d.sql[i:j]
	switch kind {
	case Bytes:
		d.bytes(s[2:], s[1], i, j)
	case Int:
		d.lift(i, j, integer(s))
	case Float:
		f, err := strconv.ParseFloat(unsafe.String(unsafe.SliceData(s), len(s)), 64)
		if err != nil {
			return // out of range: the servers' own message
		}
		d.lift(i, j, Value{Kind: Float, F: f, S: s})
	default:
		d.lift(i, j, Value{Kind: Decimal, S: s})
	}
}

// integer returns the value of decimal digits.
func integer(s []byte) Value {
	digits := s
	for len(digits) > 1 && digits[0] == '0' {
		digits = digits[1:]
	}
	if len(digits) > 20 {
		return Value{Kind: Decimal, S: s}
	}
	var u uint64
	for _, c := range digits {
		next := u*10 + uint64(c-'0')
		if len(digits) == 20 && next < u || u > (1<<64-1)/10 {
			return Value{Kind: Decimal, S: s}
		}
		u = next
	}
	if u > 1<<63-1 {
		return Value{Kind: Uint, U: u}
	}
	return Value{Kind: Int, I: int64(u)}
}

// typeLength reports whether the open parenthesis just read belongs to a type: CAST(a AS DECIMAL(10,2)).
func (d *Digest) typeLength() bool {
	w := d.lastWord()
	switch len(w) {
	case 3:
		return word(w, "DEC")
	case 4:
		return word(w, "CHAR")
	case 5:
		return word(w, "NCHAR") || word(w, "FLOAT")
	case 6:
		return word(w, "BINARY") || word(w, "DOUBLE")
	case 7:
		return word(w, "DECIMAL") || word(w, "VARCHAR") || word(w, "NUMERIC")
	case 8:
		return word(w, "DATETIME")
	}
	return false
}

// quote handles a string, or with ANSI_QUOTES an identifier. It returns where to go on, or -1.
func (d *Digest) quote(i int) int {
	s := d.sql
	if s[i] == '"' && d.Mode&AnsiQuotes != 0 {
		end, ok := skipQuoted(s, i)
		if !ok {
			return -1
		}
		d.prev = prevName
		return end
	}
	escapes := d.Mode&NoBackslashEscapes == 0
	end, special, ok := skipString(s, i, escapes)
	if !ok {
		return -1
	}
	prev := d.prev
	d.prev = prevOperand
	if d.exact || prev == prevArrow || prev == prevOperand || prev == prevName ||
		prev == prevWord && keepsString(d.lastWord()) || d.stringFollows(end) {
		return end
	}
	v := Value{Kind: String, S: s[i+1 : end-1]}
	if special {
		from := len(d.buf)
		d.buf = appendUnescaped(d.buf, v.S, s[i], escapes)
		v.S = d.buf[from:len(d.buf):len(d.buf)]
	}
	d.lift(i, end, v)
	return end
}

// stringFollows reports whether another string follows, which is part of this one.
func (d *Digest) stringFollows(i int) bool {
	i = skipSpace(d.sql, i)
	return i < len(d.sql) && (d.sql[i] == '\'' || d.sql[i] == '"' && d.Mode&AnsiQuotes == 0)
}

// keepsString says after which words a string is part of the grammar.
func keepsString(w []byte) bool {
	if w[0] == '_' {
		return true
	}
	switch len(w) {
	case 1:
		return true // x '1F' and the like
	case 2:
		return word(w, "AS") || word(w, "BY")
	case 3:
		return word(w, "SET")
	case 4:
		return word(w, "DATE") || word(w, "TIME")
	case 6:
		return word(w, "ESCAPE")
	case 7:
		return word(w, "COLLATE") || word(w, "CHARSET") || word(w, "OUTFILE")
	case 8:
		return word(w, "DUMPFILE")
	case 9:
		return word(w, "SEPARATOR") || word(w, "TIMESTAMP")
	}
	return false
}
