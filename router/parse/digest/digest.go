package digest

import "bytes"

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
	norm  []byte // Norm and, after its end, the mode
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

// Rescan reads the text of the last Scan again and keeps all literals in the norm: Args are the markers alone.
func (d *Digest) Rescan() { d.scan(true) }

// Exact reports whether the norm was made with literals kept.
func (d *Digest) Exact() bool { return d.exact }

// Lifted reports whether an Arg is a literal.
func (d *Digest) Lifted() bool {
	for i := range d.Args {
		if d.Args[i].Kind != Marker {
			return true
		}
	}
	return false
}

func (d *Digest) scan(exact bool) {
	d.exact = exact
	if d.Mode&MultibyteUnsafe != 0 && !IsASCII(d.sql) {
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
	d.norm = d.norm[:len(norm)]
	d.norm = append(d.norm, byte(d.Mode))
	d.Norm = d.norm[:len(norm):len(norm)]
}

// Key is the norm and the mode: what a cache of statements goes by. It is valid as long as Norm.
func (d *Digest) Key() []byte { return d.norm }

// trimEnd drops what servers drop: semicolons and white space at the end.
func trimEnd(b []byte) []byte {
	n := len(b)
	for n > 0 && (isSpace(b[n-1]) || b[n-1] == ';') {
		n--
	}
	if bytes.HasSuffix(b[:n], []byte("--")) {
		return b // at the end, they would be a comment
	}
	return b[:n]
}

// IsASCII reports whether a text has ASCII characters alone.
func IsASCII(s []byte) bool {
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
	if i > 0 && s[i-1] == '.' && d.lead && d.prev != prevOperand { // not the dot of 0.
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
	if s[i] == '_' && word(s[i:j], "_BINARY") {
		if end := d.binary(i, j); end != 0 {
			return end
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
