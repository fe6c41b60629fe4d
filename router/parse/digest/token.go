package digest

import (
	"bytes"
	"slices"
	"strings"
)

// Token is a lexical element of a norm.
type Token struct {
	Kind TokenKind
	A, B int    // its place in the text: Text[A:B]
	Up   string // words: upper case; operators: themselves; else ""
}

// IsName reports whether a token can be an identifier.
func (t Token) IsName() bool { return t.Kind == TokWord || t.Kind == TokQuoted }

// TokenKind is the type of a token.
type TokenKind uint8

// The kinds of tokens.
const (
	TokWord   TokenKind = iota // a keyword or an unquoted identifier
	TokQuoted                  // a quoted identifier
	TokString                  // a string, with its introducer or prefix
	TokNumber                  // a number, also a hexadecimal or bit literal
	TokVar                     // @x, @@x
	TokMarker                  // ?
	TokOp                      // an operator or another sign
	TokEnd                     // the end of the text; always the last token
)

// Source is a norm as tokens, on its way to a parser. Its text is changed in place only, by text of the same length,
// so that positions, and with them the numbers of the markers, stay what they are in the norm. It isn't safe for
// concurrent use.
type Source struct {
	Text    []byte // without comments and hints: spaces stand in their places
	Orig    []byte // the norm itself
	Mode    Mode
	Tokens  []Token
	Hints   Hints
	Markers []int  // positions of the ? in Text
	Perhaps bool   // had an executable comment that only some servers run
	Bad     string // why the text can't be read; "" if it can
}

// maxTokens bounds how deep expressions can be nested without parentheses (1+1+…, NOT NOT …): the tokens that are
// open at any place, that is without those before the last comma of each level.
const maxTokens = 50_000

// maxNorm bounds what is parsed at all, in bytes.
const maxNorm = 8 << 20

// Split splits a norm into tokens. What it can't read it says in Bad. Comments that only some servers run are opened if open, else dropped.
func Split(norm []byte, mode Mode, open bool) *Source {
	src := &Source{Text: slices.Clone(norm), Orig: norm, Mode: mode}
	if len(norm) > maxNorm {
		src.Bad = "the statement is longer than 8 MiB without its literals"
		return src
	}
	src.Tokens = make([]Token, 0, len(norm)/4+4)
	src.lex(open)
	src.Tokens = append(src.Tokens, Token{Kind: TokEnd, A: len(src.Text), B: len(src.Text)})
	return src
}

func (src *Source) lex(open bool) {
	s := src.Text
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
				src.add(TokNumber, start, i)
			}
		case cDot:
			i = src.lexDot(i)
		case cQuote:
			kind := TokString
			end, _, ok := skipString(s, i, src.Mode&NoBackslashEscapes == 0)
			if c == '"' && src.Mode&AnsiQuotes != 0 {
				kind = TokQuoted
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
			src.add(TokQuoted, start, i)
		case cAt:
			end, ok := skipVariable(s, i)
			if !ok {
				src.fail("a variable's name has no end")
				return
			}
			i = end
			src.add(TokVar, start, i)
		case cMarker:
			src.Markers = append(src.Markers, i)
			i++
			src.add(TokMarker, start, i)
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
				src.Blank(i, i+2)
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

func (src *Source) fail(why string) {
	if src.Bad == "" {
		src.Bad = why
	}
}

func (src *Source) add(kind TokenKind, a, b int) {
	src.Tokens = append(src.Tokens, Token{Kind: kind, A: a, B: b})
}

// lexWord adds the word text[i:j], with a string that belongs to it.
func (src *Source) lexWord(i, j int) int {
	s := src.Text
	if j < len(s) && classes[s[j]] == cQuote && (s[j] == '\'' || src.Mode&AnsiQuotes == 0) &&
		(s[i] == '_' || j-i == 1 && bytes.IndexByte([]byte("xXbBnN"), s[i]) >= 0) {
		end, _, ok := skipString(s, j, src.Mode&NoBackslashEscapes == 0)
		if !ok {
			src.fail("a string has no end")
		}
		src.add(TokString, i, end)
		return end
	}
	src.Tokens = append(src.Tokens, Token{Kind: TokWord, A: i, B: j, Up: strings.ToUpper(string(s[i:j]))})
	return j
}

func (src *Source) lexDot(i int) int {
	s := src.Text
	if i+1 < len(s) && isDigit(s[i+1]) {
		if i == 0 || !isIdent(s[i-1]) {
			end, _ := skipNumber(s, i)
			src.add(TokNumber, i, end)
			return end
		}
		src.Tokens = append(src.Tokens, Token{Kind: TokOp, A: i, B: i + 1, Up: "."})
		return src.lexWord(i+1, skipWord(s, i+1))
	}
	return src.lexOp(i)
}

// lexOp adds the operator at i. Only those that matter here are longer than a byte.
func (src *Source) lexOp(i int) int {
	s := src.Text
	n := 1
	for _, op := range [...]string{"->>", "->", ":=", "||", "&&", "<=>", "<=", ">=", "<>", "!="} {
		if len(s)-i >= len(op) && string(s[i:i+len(op)]) == op {
			n = len(op)
			break
		}
	}
	src.Tokens = append(src.Tokens, Token{Kind: TokOp, A: i, B: i + n, Up: string(s[i : i+n])})
	return i + n
}

// lexComment handles the comment at i and returns where to go on, or -1.
func (src *Source) lexComment(i int, open bool, exec *int) int {
	s := src.Text
	if glued(s, i) {
		src.fail(gluedWhy)
		return -1
	}
	kind, body := executable(s, i)
	if kind == execPerhaps {
		src.Perhaps = true
		if !open {
			// Servers that don't run it skip it with the comments in it.
			end, ok := skipNested(s, i)
			if !ok {
				src.fail("a comment has no end")
				return -1
			}
			src.Blank(i, end)
			return end
		}
	}
	if kind != execNot {
		if *exec > 0 {
			src.fail("an executable comment in another")
			return -1
		}
		*exec = 1
		src.Blank(i, body)
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
		src.Blank(i, end) // says nothing about routing
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
func (src *Source) dropComment(i, a, b, j int) {
	if glued(src.Text, i) {
		src.fail(gluedWhy)
		return
	}
	text := bytes.TrimSpace(src.Text[a:b])
	if len(text) >= len(hintPrefix) && word(text[:len(hintPrefix)], "SHARDWAY:") {
		src.Hints.read(string(text[len(hintPrefix):]))
	}
	src.Blank(i, j)
}

// Blank overwrites Text[i:j] with spaces; line ends stay.
func (src *Source) Blank(i, j int) {
	for ; i < j; i++ {
		if src.Text[i] != '\n' {
			src.Text[i] = ' '
		}
	}
}

// Put overwrites Text[i:j] with text and spaces.
func (src *Source) Put(i, j int, text string) {
	src.Blank(i, j)
	copy(src.Text[i:j], text)
}

// Str returns a token's text.
func (src *Source) Str(t Token) string { return string(src.Text[t.A:t.B]) }

// Name returns the identifier that a token is, without quotes.
func (src *Source) Name(t Token) string {
	s := src.Text[t.A:t.B]
	if t.Kind == TokQuoted || t.Kind == TokString && len(s) >= 2 {
		q := s[0]
		return string(appendUnescaped(nil, s[1:len(s)-1], q, false))
	}
	return string(s)
}

// GroupEnd returns the token after the parenthesised group that starts at token i; i when none does.
func (src *Source) GroupEnd(i int) int {
	if src.Tokens[i].Up != "(" {
		return i
	}
	depth := 0
	for ; src.Tokens[i].Kind != TokEnd; i++ {
		switch src.Tokens[i].Up {
		case "(":
			depth++
		case ")":
			if depth--; depth == 0 {
				return i + 1
			}
		}
	}
	return i
}

// Fragment returns SELECT Text[i:j] as a source of its own, whose markers are numbered as here. It has no tokens but
// an empty one to start from.
func (src *Source) Fragment(i, j int) *Source {
	const head = "SELECT "
	f := &Source{Mode: src.Mode, Text: append([]byte(head), src.Text[i:j]...)}
	f.Tokens = []Token{{}}
	f.Markers = make([]int, len(src.Markers))
	for n, at := range src.Markers {
		f.Markers[n] = at - i + len(head)
	}
	return f
}

// Marker returns the number of the ? at a position of Text.
func (src *Source) Marker(at int) (int, bool) { return slices.BinarySearch(src.Markers, at) }

// Unquoted is the value of a string literal without an introducer.
func (src *Source) Unquoted(t Token) []byte {
	s := src.Text[t.A:t.B]
	return appendUnescaped(nil, s[1:len(s)-1], s[0], src.Mode&NoBackslashEscapes == 0)
}
