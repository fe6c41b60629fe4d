package digest

// The lexical rules here are those of the servers' own scanners; where MySQL and MariaDB differ, or where a form is
// so rare that it isn't worth a rule, the scanner keeps the text as it is, which is always right.

// Classes of bytes.
const (
	cOp byte = iota // a one-byte operator
	cSpace
	cIdent // letters, _, $ and every byte of a multi-byte character
	cDigit
	cQuote // ' and "
	cTick
	cDot
	cMinus
	cSlash
	cHash
	cAt
	cMarker
	cOpen
	cClose
	cStar
	cComma
	cSemi
)

var classes = makeClasses()

func makeClasses() (t [256]byte) {
	for c := range 256 {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c == '_', c == '$', c >= 0x80:
			t[c] = cIdent
		case c >= '0' && c <= '9':
			t[c] = cDigit
		case c == ' ', c >= '\t' && c <= '\r':
			t[c] = cSpace
		}
	}
	for c, class := range map[byte]byte{
		'\'': cQuote, '"': cQuote, '`': cTick, '.': cDot, '-': cMinus, '/': cSlash, '#': cHash,
		'@': cAt, '?': cMarker, '(': cOpen, ')': cClose, '*': cStar, ',': cComma, ';': cSemi,
	} {
		t[c] = class
	}
	return t
}

func isSpace(c byte) bool { return classes[c] == cSpace }
func isDigit(c byte) bool { return classes[c] == cDigit }
func isIdent(c byte) bool { k := classes[c]; return k == cIdent || k == cDigit }

func skipSpace(s []byte, i int) int {
	for i < len(s) && classes[s[i]] == cSpace {
		i++
	}
	return i
}

// skipString returns the end of the string that starts with a quote at i, and whether it has doubled quotes or
// escapes. ok is false when it has no end.
func skipString(s []byte, i int, escapes bool) (end int, special, ok bool) {
	q := s[i]
	for i++; i < len(s); i++ {
		switch c := s[i]; {
		case c == q:
			if i+1 < len(s) && s[i+1] == q {
				special = true
				i++
				continue
			}
			return i + 1, special, true
		case c == '\\' && escapes:
			special = true
			i++
		}
	}
	return len(s), special, false
}

// skipQuoted returns the end of the quoted identifier that starts at i.
func skipQuoted(s []byte, i int) (end int, ok bool) {
	end, _, ok = skipString(s, i, false)
	return end, ok
}

// appendUnescaped appends the contents of a string: body is what stands between the quotes q.
func appendUnescaped(dst, body []byte, q byte, escapes bool) []byte {
	for i := 0; i < len(body); i++ {
		c := body[i]
		switch {
		case c == q && i+1 < len(body) && body[i+1] == q:
			i++
		case c == '\\' && escapes && i+1 < len(body):
			i++
			switch c = body[i]; c {
			case '0':
				c = 0
			case 'b':
				c = '\b'
			case 'n':
				c = '\n'
			case 'r':
				c = '\r'
			case 't':
				c = '\t'
			case 'Z':
				c = 26
			case '%', '_':
				dst = append(dst, '\\')
			}
		}
		dst = append(dst, c)
	}
	return dst
}

// glued reports whether a comment that starts at i follows two minus signs: without it they would start a comment
// themselves.
func glued(s []byte, i int) bool { return i >= 2 && s[i-1] == '-' && s[i-2] == '-' }

// skipLineComment returns the end of a comment that lasts until the end of its line.
func skipLineComment(s []byte, i int) int {
	for i < len(s) && s[i] != '\n' {
		i++
	}
	return i
}

// isDashComment reports whether the minus at i starts a comment: two of them and then white space, a control
// character or the end.
func isDashComment(s []byte, i int) bool {
	if i+1 >= len(s) || s[i+1] != '-' {
		return false
	}
	return i+2 == len(s) || s[i+2] <= ' ' || s[i+2] == 0x7f
}

// skipBlockComment returns the end of the ordinary comment that starts with a slash at i.
func skipBlockComment(s []byte, i int) (end int, ok bool) {
	for i += 2; i+1 < len(s); i++ {
		if s[i] == '*' && s[i+1] == '/' {
			return i + 2, true
		}
	}
	return len(s), false
}

// execComment says how servers treat the executable comment that starts with a slash at i.
type execComment uint8

const (
	execNot     execComment = iota // an ordinary comment
	execAlways                     // every server runs its text
	execPerhaps                    // some servers run its text: it depends on the product and its version
)

// olderThanAll is a version that no supported server is older than, and below which MariaDB runs MySQL's comments.
const olderThanAll = 50700

// executable classifies a comment and returns where the text in it starts.
func executable(s []byte, i int) (kind execComment, body int) {
	body = i + 2
	if body < len(s) && s[body] == 'M' && body+1 < len(s) && s[body+1] == '!' {
		for body += 2; body < len(s) && isDigit(s[body]); body++ {
		}
		return execPerhaps, body
	}
	if body >= len(s) || s[body] != '!' {
		return execNot, body
	}
	body++
	n, version := 0, 0
	for n < 6 && body+n < len(s) && isDigit(s[body+n]) {
		version = version*10 + int(s[body+n]-'0')
		n++
	}
	switch {
	case n < 5:
		return execAlways, body
	case n == 5 && version < olderThanAll:
		return execAlways, body + n
	default:
		return execPerhaps, body + n
	}
}

// skipNumber scans the number that starts at i, with a digit, or with a dot before a digit. kind is Marker when it
// isn't a number but a word that starts with digits, and end is then the end of the word.
func skipNumber(s []byte, i int) (end int, kind ValueKind) {
	start := i
	if s[i] == '0' && i+2 < len(s) && (s[i+1] == 'x' || s[i+1] == 'b') {
		j := i + 2
		for j < len(s) && (s[i+1] == 'x' && isHex(s[j]) || s[j] == '0' || s[j] == '1') {
			j++
		}
		if j > i+2 && (j == len(s) || !isIdent(s[j])) {
			return j, Bytes
		}
		return skipWord(s, i), Marker
	}
	for i < len(s) && isDigit(s[i]) {
		i++
	}
	kind = Int
	if i < len(s) && s[i] == '.' {
		kind = Decimal
		for i++; i < len(s) && isDigit(s[i]); i++ {
		}
	}
	if i < len(s) && (s[i] == 'e' || s[i] == 'E') {
		j := i + 1
		if j < len(s) && (s[j] == '+' || s[j] == '-') {
			j++
		}
		if j < len(s) && isDigit(s[j]) {
			for ; j < len(s) && isDigit(s[j]); j++ {
			}
			return j, Float
		}
	}
	if kind == Int && i < len(s) && isIdent(s[i]) {
		return skipWord(s, start), Marker
	}
	return i, kind
}

func isHex(c byte) bool {
	return isDigit(c) || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}

func skipWord(s []byte, i int) int {
	for i < len(s) && isIdent(s[i]) {
		i++
	}
	return i
}

// skipVariable returns the end of the variable whose @ is at i: @a.b, @`a b`, @'a', @@x, @@session.x up to its dot.
func skipVariable(s []byte, i int) (end int, ok bool) {
	i++
	if i < len(s) && s[i] == '@' {
		i++
		if i < len(s) && s[i] == '`' {
			return skipQuoted(s, i)
		}
		return skipWord(s, i), true
	}
	if i < len(s) && (s[i] == '`' || s[i] == '\'' || s[i] == '"') {
		return skipQuoted(s, i)
	}
	for i < len(s) && (isIdent(s[i]) || s[i] == '.') {
		i++
	}
	return i, true
}

// word reports whether w is the keyword kw, which is in upper case.
func word(w []byte, kw string) bool {
	if len(w) != len(kw) {
		return false
	}
	for i, c := range w {
		if c >= 'a' && c <= 'z' {
			c -= 'a' - 'A'
		}
		if c != kw[i] {
			return false
		}
	}
	return true
}
