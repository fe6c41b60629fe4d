package parse

import (
	"bytes"
	"strconv"
	"unsafe"
)

// Digest is a scanned text: its norm and the literals that were lifted out. The zero value is ready; reuse it,
// Scan allocates nothing once its buffers have grown.
type Digest struct {
	Mode Mode
	// Norm is the text with comments dropped (hints stay), white space folded, and each literal as ?; for
	// statements without query blocks, and where a literal is part of the grammar, literals stay as they are.
	Norm []byte
	// Args are the lifted literals, and the ? markers of prepared text, in the order of Norm's question marks.
	Args []Value

	sql   []byte
	norm  []byte // Norm and, after its end, the mode: the key of the cache
	buf   []byte // contents of strings with escapes, bytes of hexadecimal literals
	exact bool   // literals were kept
	odd   bool   // only the text as it is can be the norm

	run   int  // start of the text that isn't copied to norm yet
	exec  bool // inside an executable comment that every server runs
	lead  bool // the first word has been seen
	prev  prevToken
	wordA int // the last word
	wordE int
	depth int // open parentheses
	by    int // depth + 1 at which GROUP BY or ORDER BY counts positions; 0 outside
}

// prevToken is what stands before a literal.
type prevToken uint8

const (
	prevOther prevToken = iota
	prevWord
	prevName // a word that can't be a keyword: after a dot, or quoted
	prevOperand
	prevComma
	prevOpen
	prevArrow
)

// Scan reads a text. It can't fail: what isn't SQL becomes a norm whose Statement is Unparsed. Norm is valid until
// the next Scan; the bytes of Args are valid until the next Scan and as long as sql isn't changed.
func (d *Digest) Scan(sql []byte, mode Mode) {
	d.Mode, d.sql = mode, sql
	d.scan(false)
}

// rescan keeps all literals in the norm: Args are the markers alone.
func (d *Digest) rescan() { d.scan(true) }

func (d *Digest) scan(exact bool) {
	d.exact = exact
	if d.Mode&MultibyteUnsafe != 0 && !isASCII(d.sql) {
		// A byte of a character may look like a quote here, so nothing can be said about where strings end.
		d.verbatim()
		return
	}
	d.restart()
	if !d.loop() {
		d.verbatim()
		return
	}
	d.flush(len(d.sql))
	d.seal(trimEnd(d.norm))
}

func (d *Digest) restart() {
	d.norm, d.Args, d.buf = d.norm[:0], d.Args[:0], d.buf[:0]
	d.odd, d.exec, d.lead = false, false, false
	d.run, d.prev, d.wordA, d.wordE, d.depth, d.by = 0, prevOther, 0, 0, 0, 0
}

// verbatim makes the text itself the norm. Parse finds out again why, since it must be a function of the norm.
func (d *Digest) verbatim() {
	d.restart()
	d.exact, d.odd = true, true
	d.norm = append(d.norm, d.sql...)
	d.seal(trimEnd(d.norm))
}

func (d *Digest) seal(norm []byte) {
	d.norm = append(norm, byte(d.Mode))
	d.Norm = d.norm[:len(norm):len(norm)]
}

// key is the norm and the mode.
func (d *Digest) key() []byte { return d.norm }

// trimEnd drops what servers drop: semicolons and white space at the end.
func trimEnd(b []byte) []byte {
	for len(b) > 0 && (isSpace(b[len(b)-1]) || b[len(b)-1] == ';') {
		b = b[:len(b)-1]
	}
	return b
}

func isASCII(s []byte) bool {
	for _, c := range s {
		if c >= 0x80 {
			return false
		}
	}
	return true
}

// flush copies the pending text up to i.
func (d *Digest) flush(i int) {
	d.norm = append(d.norm, d.sql[d.run:i]...)
	d.run = i
}

// gap writes white space in place of sql[i:j], and the copy goes on at j. Line ends stay where literals stay, so that
// the parser's line numbers are those of the text.
func (d *Digest) gap(i, j int) {
	d.flush(i)
	if d.exact {
		for _, c := range d.sql[i:j] {
			if c == '\n' {
				d.norm = append(d.norm, '\n')
			}
		}
		d.norm = append(d.norm, ' ')
	} else if n := len(d.norm); n > 0 && d.norm[n-1] != ' ' {
		d.norm = append(d.norm, ' ')
	}
	d.run = j
}

// loop scans the text; false when the norm must be the text itself.
func (d *Digest) loop() bool {
	s := d.sql
	for i := 0; i < len(s); {
		c := s[i]
		switch classes[c] {
		case cIdent:
			j := i + 1
			for j < len(s) && isIdent(s[j]) {
				j++
			}
			if i = d.word(i, j); i < 0 {
				return false
			}
		case cSpace:
			j := i + 1
			if j < len(s) && classes[s[j]] != cSpace && c == ' ' && (i > d.run || len(d.norm) > 0 && d.norm[len(d.norm)-1] != ' ') {
				i = j
				continue
			}
			j = skipSpace(s, j)
			if !d.exact {
				d.gap(i, j)
			}
			i = j
		case cDigit:
			end, kind := skipNumber(s, i)
			if kind == Marker {
				if i = d.word(i, end); i < 0 {
					return false
				}
				continue
			}
			d.number(i, end, kind)
			i = end
		case cQuote:
			if i = d.quote(i); i < 0 {
				return false
			}
		case cTick:
			end, ok := skipQuoted(s, i)
			if !ok {
				return false
			}
			d.prev, i = prevName, end
		case cDot:
			i = d.dot(i)
		case cMinus:
			if isDashComment(s, i) {
				end := skipLineComment(s, i)
				if !d.comment(i, i+2, end, end) {
					return false
				}
				i = end
				continue
			}
			if i+1 < len(s) && s[i+1] == '>' {
				d.prev = prevArrow
				if i += 2; i < len(s) && s[i] == '>' {
					i++
				}
				continue
			}
			d.prev = prevOther
			i++
		case cSlash:
			if i+1 < len(s) && s[i+1] == '*' {
				if i = d.block(i); i < 0 {
					return false
				}
				continue
			}
			d.prev = prevOther
			i++
		case cHash:
			end := skipLineComment(s, i)
			if !d.comment(i, i+1, end, end) {
				return false
			}
			i = end
		case cAt:
			end, ok := skipVariable(s, i)
			if !ok {
				return false
			}
			d.prev, i = prevName, end
		case cMarker:
			d.Args = append(d.Args, Value{Kind: Marker, Start: i, End: i + 1})
			d.prev = prevOperand
			i++
		case cOpen:
			d.prev = prevOpen
			if d.depth++; d.depth > maxDepth {
				return false
			}
			i++
		case cClose:
			if d.depth--; d.by > d.depth+1 {
				d.by = 0
			}
			d.prev = prevOperand
			i++
		case cComma:
			d.prev = prevComma
			i++
		case cStar:
			if d.exec && i+1 < len(s) && s[i+1] == '/' {
				if glued(s, i) {
					return false
				}
				d.exec = false
				i = d.blank(i, i+2)
				continue
			}
			d.prev = prevOther
			i++
		default:
			if c == 0 {
				return false // servers differ on where a text with NUL ends
			}
			d.prev = prevOther
			i++
		}
	}
	return !d.exec
}

// blank replaces sql[i:j] and the white space after it by a gap, and returns where to go on.
func (d *Digest) blank(i, j int) int {
	if !d.exact {
		j = skipSpace(d.sql, j)
	}
	d.gap(i, j)
	return j
}

// word handles sql[i:j], a keyword or an identifier, and what is glued to it. It returns where to go on, or -1.
func (d *Digest) word(i, j int) int {
	s := d.sql
	if i > 0 && s[i-1] == '.' && d.lead {
		d.prev = prevName
		return j
	}
	if !d.lead {
		d.lead = true
		if !d.exact && !liftable(s[i:j]) {
			d.restart()
			d.exact = true
			return 0
		}
	}
	if j < len(s) && classes[s[j]] == cQuote && (s[j] == '\'' || d.Mode&AnsiQuotes == 0) {
		if end := d.prefixed(i, j); end != 0 {
			return end
		}
	}
	d.prev, d.wordA, d.wordE = prevWord, i, j
	switch j - i {
	case 2:
		if (s[i]|0x20) == 'b' && (s[i+1]|0x20) == 'y' {
			d.by = d.depth + 1
		}
	case 3, 5, 6: // FOR, LIMIT, HAVING end a list of positions
		if d.by == d.depth+1 && (word(s[i:j], "LIMIT") || word(s[i:j], "HAVING") || word(s[i:j], "FOR")) {
			d.by = 0
		}
	}
	return j
}

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
				v = v<<1 | c - '0'
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

// liftable says for which first words the literals are lifted.
func liftable(w []byte) bool {
	switch len(w) {
	case 4:
		return word(w, "WITH") || word(w, "CALL")
	case 5:
		return word(w, "TABLE") || word(w, "VALUE")
	case 6:
		return word(w, "SELECT") || word(w, "INSERT") || word(w, "UPDATE") || word(w, "DELETE") || word(w, "VALUES")
	case 7:
		return word(w, "REPLACE")
	}
	return false
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

// block handles a comment that starts with a slash at i. It returns where to go on, or -1.
func (d *Digest) block(i int) int {
	s := d.sql
	if glued(s, i) {
		return -1
	}
	switch kind, body := executable(s, i); {
	case kind == execPerhaps, kind == execAlways && d.exec:
		return -1
	case kind == execAlways:
		d.exec = true
		return d.blank(i, body)
	}
	end, ok := skipBlockComment(s, i)
	if !ok {
		return -1
	}
	if s[i+2] == '+' && d.prev == prevWord && takesHint(d.lastWord()) {
		if !balanced(s[i:end]) {
			return -1
		}
		return end // an optimizer hint stays
	}
	if !d.comment(i, i+2, end-2, end) {
		return -1
	}
	if !d.exact {
		end = skipSpace(s, end)
		d.run = end
	}
	return end
}

func takesHint(w []byte) bool {
	switch len(w) {
	case 6:
		return word(w, "SELECT") || word(w, "INSERT") || word(w, "UPDATE") || word(w, "DELETE")
	case 7:
		return word(w, "REPLACE")
	}
	return false
}

// balanced reports whether quotes in a hint come in pairs, so that its end is surely its end.
func balanced(hint []byte) bool {
	return bytes.Count(hint, []byte{'`'})%2 == 0 && bytes.Count(hint, []byte{'"'})%2 == 0 && bytes.Count(hint, []byte{'\''})%2 == 0
}

const hintPrefix = "shardway:"

// comment drops sql[i:j], whose text is sql[a:b]; hints stay, in one form.
func (d *Digest) comment(i, a, b, j int) bool {
	if glued(d.sql, i) {
		return false
	}
	text := bytes.TrimSpace(d.sql[a:b])
	if len(text) < len(hintPrefix) || !word(text[:len(hintPrefix)], "SHARDWAY:") {
		d.gap(i, j)
		return true
	}
	if bytes.Contains(text, []byte("*/")) {
		return false
	}
	d.flush(i)
	if n := len(d.norm); n > 0 && !isSpace(d.norm[n-1]) {
		d.norm = append(d.norm, ' ')
	}
	d.norm = append(d.norm, "/* "...)
	d.norm = append(d.norm, text...)
	d.norm = append(d.norm, " */"...)
	if d.run = j; !d.exact || j < len(d.sql) && !isSpace(d.sql[j]) {
		d.norm = append(d.norm, ' ')
	}
	return true
}

// maxDepth bounds the nesting of parentheses: a text beyond it isn't parsed.
const maxDepth = 1000
