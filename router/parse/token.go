package parse

import (
	"bytes"
	"slices"
	"strings"
)

// token is a lexical element of a norm.
type token struct {
	kind tokenKind
	a, b int    // text[a:b]
	up   string // words: upper case; operators: themselves; else ""
}

type tokenKind uint8

const (
	tokWord   tokenKind = iota // a keyword or an unquoted identifier
	tokQuoted                  // a quoted identifier
	tokString
	tokNumber
	tokVar    // @x, @@x
	tokMarker // ?
	tokOp
	tokEnd
)

// source is a norm on its way to the parser. Its text is changed in place only, by text of the same length, so that
// positions, and with them the numbers of the markers, stay what they are in the norm.
type source struct {
	text      []byte
	orig      []byte // the norm itself
	unbridged []byte // text before it was bridged; nil when it wasn't
	mode      Mode
	toks      []token
	hints     Hints
	markers   []int  // positions of the ? in text
	perhaps   bool   // had an executable comment that only some servers run
	bad       string // why the text can't be read; "" if it can
	bridged   bool
	apart     []*source         // expressions that a bridge took out of the text, each as a SELECT of its own
	renamed   map[string]string // names changed for the parser, and what they were
	rowAlias  []string          // the row alias of INSERT … AS new(a, b), and its columns
	extra     Flags             // flags that bridges found
}

// maxTokens bounds how deep expressions can be nested without parentheses (1+1+…, NOT NOT …): the tokens that are
// open at any place, that is without those before the last comma of each level.
const maxTokens = 50_000

// maxNorm bounds what is parsed at all, in bytes.
const maxNorm = 8 << 20

// scan splits a norm into tokens. Comments that only some servers run are opened if open, else dropped.
func scanTokens(norm []byte, mode Mode, open bool) *source {
	src := &source{text: slices.Clone(norm), orig: norm, mode: mode}
	if len(norm) > maxNorm {
		src.bad = "the statement is longer than 8 MiB without its literals"
		return src
	}
	src.toks = make([]token, 0, len(norm)/4+4)
	src.lex(open)
	src.toks = append(src.toks, token{kind: tokEnd, a: len(src.text), b: len(src.text)})
	return src
}

func (src *source) lex(open bool) {
	s := src.text
	exec := 0 // end of nothing; 1 inside an executable comment
	levels := []int{0}
	total := 0
	for i := 0; i < len(s); {
		c := s[i]
		start := i
		switch classes[c] {
		case cSpace:
			i++
			continue
		case cIdent:
			i = src.lexWord(i, skipWord(s, i))
		case cDigit:
			end, kind := skipNumber(s, i)
			if kind == Marker {
				i = src.lexWord(i, end)
			} else {
				i = end
				src.add(tokNumber, start, i)
			}
		case cDot:
			i = src.lexDot(i)
		case cQuote:
			kind := tokString
			end, _, ok := skipString(s, i, src.mode&NoBackslashEscapes == 0)
			if c == '"' && src.mode&AnsiQuotes != 0 {
				kind = tokQuoted
				end, ok = skipQuoted(s, i)
			}
			if !ok {
				src.fail("a string has no end")
				return
			}
			i = end
			src.add(kind, start, i)
		case cTick:
			end, ok := skipQuoted(s, i)
			if !ok {
				src.fail("a quoted identifier has no end")
				return
			}
			i = end
			src.add(tokQuoted, start, i)
		case cAt:
			end, ok := skipVariable(s, i)
			if !ok {
				src.fail("a variable's name has no end")
				return
			}
			i = end
			src.add(tokVar, start, i)
		case cMarker:
			src.markers = append(src.markers, i)
			i++
			src.add(tokMarker, start, i)
		case cHash:
			i = skipLineComment(s, i)
			src.dropComment(start, start+1, i, i)
			continue
		case cMinus:
			if isDashComment(s, i) {
				i = skipLineComment(s, i)
				src.dropComment(start, start+2, i, i)
				continue
			}
			i = src.lexOp(i)
		case cSlash:
			if i+1 < len(s) && s[i+1] == '*' {
				if i = src.lexComment(i, open, &exec); i < 0 {
					return
				}
				continue
			}
			i = src.lexOp(i)
		case cStar:
			if exec > 0 && i+1 < len(s) && s[i+1] == '/' {
				if glued(s, i) {
					src.fail(gluedWhy)
					return
				}
				exec = 0
				src.blank(i, i+2)
				i += 2
				continue
			}
			i = src.lexOp(i)
		case cOpen:
			levels = append(levels, 0)
			if len(levels) > maxDepth {
				src.fail("parentheses are nested more than 1000 deep")
				return
			}
			i = src.lexOp(i)
		case cClose:
			if n := len(levels); n > 1 {
				total -= levels[n-1]
				levels = levels[:n-1]
			}
			i = src.lexOp(i)
		case cComma:
			total -= levels[len(levels)-1]
			levels[len(levels)-1] = 0
			i = src.lexOp(i)
		default:
			if c == 0 {
				src.fail("the text holds a zero byte")
				return
			}
			i = src.lexOp(i)
		}
		levels[len(levels)-1]++
		if total++; total > maxTokens {
			src.fail("expressions are nested too deep")
			return
		}
	}
	if exec > 0 {
		src.fail("a comment has no end")
	}
}

func (src *source) fail(why string) {
	if src.bad == "" {
		src.bad = why
	}
}

func (src *source) add(kind tokenKind, a, b int) {
	src.toks = append(src.toks, token{kind: kind, a: a, b: b})
}

// lexWord adds the word text[i:j], with a string that belongs to it.
func (src *source) lexWord(i, j int) int {
	s := src.text
	if j < len(s) && classes[s[j]] == cQuote && (s[j] == '\'' || src.mode&AnsiQuotes == 0) &&
		(s[i] == '_' || j-i == 1 && bytes.IndexByte([]byte("xXbBnN"), s[i]) >= 0) {
		end, _, ok := skipString(s, j, src.mode&NoBackslashEscapes == 0)
		if !ok {
			src.fail("a string has no end")
		}
		src.add(tokString, i, end)
		return end
	}
	src.toks = append(src.toks, token{kind: tokWord, a: i, b: j, up: strings.ToUpper(string(s[i:j]))})
	return j
}

func (src *source) lexDot(i int) int {
	s := src.text
	if i+1 < len(s) && isDigit(s[i+1]) {
		if i == 0 || !isIdent(s[i-1]) {
			end, _ := skipNumber(s, i)
			src.add(tokNumber, i, end)
			return end
		}
		src.toks = append(src.toks, token{kind: tokOp, a: i, b: i + 1, up: "."})
		return src.lexWord(i+1, skipWord(s, i+1))
	}
	return src.lexOp(i)
}

// lexOp adds the operator at i. Only those that matter here are longer than a byte.
func (src *source) lexOp(i int) int {
	s := src.text
	n := 1
	for _, op := range [...]string{"->>", "->", ":=", "||", "&&", "<=>", "<=", ">=", "<>", "!="} {
		if len(s)-i >= len(op) && string(s[i:i+len(op)]) == op {
			n = len(op)
			break
		}
	}
	src.toks = append(src.toks, token{kind: tokOp, a: i, b: i + n, up: string(s[i : i+n])})
	return i + n
}

// lexComment handles the comment at i and returns where to go on, or -1.
func (src *source) lexComment(i int, open bool, exec *int) int {
	s := src.text
	if glued(s, i) {
		src.fail(gluedWhy)
		return -1
	}
	kind, body := executable(s, i)
	if kind == execPerhaps {
		src.perhaps = true
		if !open {
			// Servers that don't run it skip it with the comments in it.
			end, ok := skipNested(s, i)
			if !ok {
				src.fail("a comment has no end")
				return -1
			}
			src.blank(i, end)
			return end
		}
	}
	if kind != execNot {
		if *exec > 0 {
			src.fail("an executable comment in another")
			return -1
		}
		*exec = 1
		src.blank(i, body)
		return body
	}
	end, ok := skipBlockComment(s, i)
	if !ok {
		src.fail("a comment has no end")
		return -1
	}
	if s[i+2] == '+' {
		if !balanced(s[i:end]) {
			src.fail("an optimizer hint holds a quote without its pair")
			return -1
		}
		src.blank(i, end) // says nothing about routing
		return end
	}
	src.dropComment(i, i+2, end-2, end)
	return end
}

// skipNested returns the end of a comment that may hold other comments.
func skipNested(s []byte, i int) (int, bool) {
	depth := 0
	for ; i+1 < len(s); i++ {
		switch {
		case s[i] == '/' && s[i+1] == '*':
			depth++
			i++
		case s[i] == '*' && s[i+1] == '/':
			depth--
			i++
			if depth == 0 {
				return i + 1, true
			}
		}
	}
	return len(s), false
}

const gluedWhy = "a comment right after two minus signs; put white space between"

// dropComment blanks the comment text[i:j] after reading the hints in text[a:b].
func (src *source) dropComment(i, a, b, j int) {
	if glued(src.text, i) {
		src.fail(gluedWhy)
		return
	}
	text := bytes.TrimSpace(src.text[a:b])
	if len(text) >= len(hintPrefix) && word(text[:len(hintPrefix)], "SHARDWAY:") {
		src.hints.read(string(text[len(hintPrefix):]))
	}
	src.blank(i, j)
}

// blank overwrites text[i:j] with spaces; line ends stay.
func (src *source) blank(i, j int) {
	for ; i < j; i++ {
		if src.text[i] != '\n' {
			src.text[i] = ' '
		}
	}
}

// put overwrites text[i:j] with new and spaces.
func (src *source) put(i, j int, text string) {
	src.blank(i, j)
	copy(src.text[i:j], text)
}

// plain returns the text as it was before it was bridged, without comments.
func (src *source) plain() []byte {
	if src.unbridged != nil {
		return src.unbridged
	}
	return src.text
}

// str returns a token's text.
func (src *source) str(t token) string { return string(src.text[t.a:t.b]) }

// name returns the identifier that a token is, without quotes.
func (src *source) name(t token) string {
	s := src.text[t.a:t.b]
	if t.kind == tokQuoted || t.kind == tokString && len(s) >= 2 {
		q := s[0]
		return string(appendUnescaped(nil, s[1:len(s)-1], q, false))
	}
	return string(s)
}

// isName reports whether a token can be an identifier.
func (t token) isName() bool { return t.kind == tokWord || t.kind == tokQuoted }

// cursor walks over tokens.
type cursor struct {
	src *source
	i   int
}

func (c *cursor) peek() token      { return c.src.toks[c.i] }
func (c *cursor) at(n int) token   { return c.src.toks[min(c.i+n, len(c.src.toks)-1)] }
func (c *cursor) end() bool        { return c.peek().kind == tokEnd }
func (c *cursor) is(w string) bool { return c.peek().up == w }

func (c *cursor) next() token {
	t := c.peek()
	if t.kind != tokEnd {
		c.i++
	}
	return t
}

// accept skips the words if they all come next.
func (c *cursor) accept(words ...string) bool {
	for n, w := range words {
		if c.at(n).up != w {
			return false
		}
	}
	c.i += len(words)
	return true
}

// acceptAny skips the next word if it is one of words.
func (c *cursor) acceptAny(words ...string) (string, bool) {
	if up := c.peek().up; up != "" && slices.Contains(words, up) {
		c.i++
		return up, true
	}
	return "", false
}

// group skips a parenthesised group, if one comes next, and reports whether it did.
func (c *cursor) group() bool {
	if !c.is("(") {
		return false
	}
	depth := 0
	for !c.end() {
		switch c.next().up {
		case "(":
			depth++
		case ")":
			if depth--; depth == 0 {
				return true
			}
		}
	}
	return true
}

// table reads a table's name, a or a.b.
func (c *cursor) table() (Table, bool) {
	t := Table{Source: -1}
	if !c.peek().isName() {
		return t, false
	}
	t.Name = c.src.name(c.next())
	if c.is(".") && c.at(1).isName() {
		c.i++
		t.DB, t.Name = t.Name, c.src.name(c.next())
	}
	return t, true
}
