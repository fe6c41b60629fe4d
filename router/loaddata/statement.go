package loaddata

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Statement is a LOAD DATA LOCAL INFILE.
type Statement struct {
	File   string   // as the server will ask for it
	Fields []string // where the fields of a row go: a column, or "@x" for a variable; nil for the table's own columns
	Sets   []string // the columns that SET computes
	Format Format
}

// Format says how a file is written.
type Format struct {
	FieldEnd string // FIELDS TERMINATED BY; not empty
	Enclosed int    // the character of ENCLOSED BY, -1 for none
	Escaped  int    // of ESCAPED BY, -1 for none
	LineEnd  string // LINES TERMINATED BY; not empty
	Skip     int    // IGNORE n LINES
	Charset  string // lower case; "" for character_set_database
}

// Mode is the part of a session's sql_mode that changes how the text is read.
type Mode struct{ ANSIQuotes, NoBackslashEscapes bool }

// Parse reads a statement's text. Its error says what of it can't be split.
func Parse(sql string, mode Mode) (*Statement, error) {
	p := parser{rest: sql, mode: mode}
	p.next()
	s, err := p.statement()
	if p.err != nil {
		return nil, p.err
	}
	return s, err
}

// kind is what a token is.
type kind byte

const (
	end    kind = iota
	word        // a word or a number, unquoted
	quoted      // an identifier in quotes
	text        // a string
	sign        // any other character
)

// token is a piece of the text.
type token struct {
	kind kind
	text string // unquoted and unescaped
}

type parser struct {
	rest string
	mode Mode
	tok  token
	err  error
}

func (p *parser) fail(format string, args ...any) {
	if p.err == nil {
		p.err = fmt.Errorf(format, args...)
	}
	p.tok, p.rest = token{}, ""
}

// next reads the next token.
func (p *parser) next() {
	p.space()
	if p.rest == "" {
		p.tok = token{}
		return
	}
	switch c := p.rest[0]; {
	case c == '\'' || c == '"' && !p.mode.ANSIQuotes:
		p.tok = token{text, p.quoted(c, !p.mode.NoBackslashEscapes)}
	case c == '`' || c == '"':
		p.tok = token{quoted, p.quoted(c, false)}
	case letter(c):
		n := 1
		for n < len(p.rest) && letter(p.rest[n]) {
			n++
		}
		p.tok = token{word, p.rest[:n]}
		p.rest = p.rest[n:]
		// X'0A' and b'1', and a string with an introducer, aren't worth reading.
		if p.rest != "" && (p.rest[0] == '\'' || p.rest[0] == '"' && !p.mode.ANSIQuotes) && p.tok.text[0] != '@' {
			switch w := strings.ToUpper(p.tok.text); {
			case w == "X":
				p.hex(p.quoted(p.rest[0], false))
			case w == "B" || w == "N" || w[0] == '_':
				p.fail("it has the literal %s'…', which isn't read here: write it as a plain string", p.tok.text)
			}
		} else if hex, ok := strings.CutPrefix(p.tok.text, "0x"); ok {
			p.hex(hex)
		}
	default:
		p.tok = token{sign, p.rest[:1]}
		p.rest = p.rest[1:]
	}
}

func letter(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '$' || c >= 0x80
}

// hex makes a token of a hexadecimal literal.
func (p *parser) hex(digits string) {
	var b []byte
	for i := 0; i+1 < len(digits); i += 2 {
		n, err := strconv.ParseUint(digits[i:i+2], 16, 8)
		if err != nil {
			break
		}
		b = append(b, byte(n))
	}
	if 2*len(b) != len(digits) {
		p.fail("0x%s is no hexadecimal literal", digits)
		return
	}
	p.tok = token{text, string(b)}
}

// space reads past white space and comments.
func (p *parser) space() {
	for {
		p.rest = strings.TrimLeft(p.rest, " \t\n\v\f\r")
		switch {
		case strings.HasPrefix(p.rest, "/*!"), strings.HasPrefix(p.rest, "/*M!"):
			p.fail("it has a part in /*! … */, which only some servers read")
		case strings.HasPrefix(p.rest, "/*"):
			_, rest, found := strings.Cut(p.rest[2:], "*/")
			if !found {
				p.fail("it has a comment that doesn't end")
			}
			p.rest = rest
			continue
		case strings.HasPrefix(p.rest, "#"), strings.HasPrefix(p.rest, "-- "), strings.HasPrefix(p.rest, "--\t"), strings.HasPrefix(p.rest, "--\n"):
			_, p.rest, _ = strings.Cut(p.rest, "\n")
			continue
		}
		return
	}
}

// quoted reads what stands in quotes.
func (p *parser) quoted(quote byte, escapes bool) string {
	var b strings.Builder
	for i := 1; i < len(p.rest); i++ {
		c := p.rest[i]
		switch {
		case c == quote && i+1 < len(p.rest) && p.rest[i+1] == quote:
			i++
		case c == quote:
			p.rest = p.rest[i+1:]
			return b.String()
		case c == '\\' && escapes && i+1 < len(p.rest):
			i++
			c = p.rest[i]
			switch c {
			case '%', '_':
				b.WriteByte('\\')
			default:
				c = unescape(c)
			}
		}
		b.WriteByte(c)
	}
	p.fail("it has a quote that doesn't end")
	return ""
}

// unescape is the character that a backslash before c means, in SQL and in files.
func unescape(c byte) byte {
	switch c {
	case '0':
		return 0
	case 'b':
		return '\b'
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	case 'Z':
		return 26
	default:
		return c
	}
}

// is says whether the token is that word.
func (p *parser) is(w string) bool { return p.tok.kind == word && strings.EqualFold(p.tok.text, w) }

// accept reads past one of the words and says whether it was there.
func (p *parser) accept(words ...string) bool {
	if !slices.ContainsFunc(words, p.is) {
		return false
	}
	p.next()
	return true
}

func (p *parser) acceptSign(c string) bool {
	if p.tok.kind != sign || p.tok.text != c {
		return false
	}
	p.next()
	return true
}

func (p *parser) expect(words ...string) {
	for _, w := range words {
		if !p.accept(w) {
			p.fail("%s is missing", strings.Join(words, " "))
			return
		}
	}
}

func (p *parser) string(what string) string {
	if p.tok.kind != text {
		p.fail("%s has no string", what)
		return ""
	}
	s := p.tok.text
	p.next()
	return s
}

func (p *parser) name(what string) string {
	if p.tok.kind != word && p.tok.kind != quoted {
		p.fail("%s is missing", what)
		return ""
	}
	s := p.tok.text
	p.next()
	return s
}

func (p *parser) statement() (*Statement, error) {
	p.expect("LOAD", "DATA")
	p.accept("LOW_PRIORITY", "CONCURRENT")
	p.expect("LOCAL", "INFILE")
	s := &Statement{Format: Format{FieldEnd: "\t", Enclosed: -1, Escaped: '\\', LineEnd: "\n"}}
	if p.mode.NoBackslashEscapes {
		s.Format.Escaped = -1
	}
	s.File = p.string("INFILE")
	p.accept("REPLACE", "IGNORE")
	p.expect("INTO", "TABLE")
	p.name("the table's name")
	if p.acceptSign(".") {
		p.name("the table's name")
	}
	if p.accept("PARTITION") {
		p.fields()
	}
	if p.accept("CHARACTER") {
		p.expect("SET")
		s.charset(p)
	} else if p.accept("CHARSET") {
		s.charset(p)
	}
	if p.accept("FIELDS", "COLUMNS") {
		p.fieldsClause(&s.Format)
	}
	if p.accept("LINES") {
		p.linesClause(&s.Format)
	}
	if p.accept("IGNORE") {
		n, err := strconv.Atoi(p.tok.text)
		if p.tok.kind != word || err != nil || n < 0 {
			p.fail("IGNORE has no number of lines")
		}
		p.next()
		if !p.accept("LINES", "ROWS") {
			p.fail("LINES is missing after IGNORE")
		}
		s.Format.Skip = n
	}
	if p.tok.kind == sign && p.tok.text == "(" {
		if s.Fields = p.fields(); len(s.Fields) == 0 {
			s.Fields = nil
		}
	}
	if p.accept("SET") {
		s.sets(p)
	}
	p.acceptSign(";")
	if p.err == nil && p.tok.kind != end {
		return nil, fmt.Errorf("%q isn't expected there", p.tok.text)
	}
	return s, s.Format.check()
}

func (s *Statement) charset(p *parser) {
	if p.tok.kind == text {
		s.Format.Charset = strings.ToLower(p.string("CHARACTER SET"))
		return
	}
	s.Format.Charset = strings.ToLower(p.name("the character set"))
}

func (p *parser) fieldsClause(f *Format) {
	for range 4 {
		switch {
		case p.accept("TERMINATED"):
			p.expect("BY")
			f.FieldEnd = p.string("TERMINATED BY")
		case p.accept("OPTIONALLY"):
			if !p.is("ENCLOSED") {
				p.fail("ENCLOSED is missing")
			}
		case p.accept("ENCLOSED"):
			p.expect("BY")
			f.Enclosed = p.character("ENCLOSED BY")
		case p.accept("ESCAPED"):
			p.expect("BY")
			f.Escaped = p.character("ESCAPED BY")
		}
	}
}

// character reads a string of one character at most; -1 is none.
func (p *parser) character(what string) int {
	s := p.string(what)
	switch len(s) {
	case 0:
		return -1
	case 1:
		return int(s[0])
	}
	p.fail("%s has more than one character", what)
	return -1
}

func (p *parser) linesClause(f *Format) {
	for range 2 {
		switch {
		case p.accept("TERMINATED"):
			p.expect("BY")
			f.LineEnd = p.string("TERMINATED BY")
		case p.accept("STARTING"):
			p.expect("BY")
			if p.string("STARTING BY") != "" {
				p.fail("LINES STARTING BY can't be split")
			}
		}
	}
}

// fields reads a list in parentheses.
func (p *parser) fields() (names []string) {
	if !p.acceptSign("(") {
		p.fail("( is missing")
		return nil
	}
	for !p.acceptSign(")") {
		variable := p.acceptSign("@")
		if variable && p.tok.kind == text {
			p.tok.kind = quoted
		}
		name := p.name("a column")
		if p.err != nil {
			return nil
		}
		for p.acceptSign(".") { // of the table, or of its schema
			name = p.name("a column")
		}
		if variable {
			name = "@" + name
		}
		names = append(names, name)
		p.acceptSign(",")
	}
	return names
}

// sets reads SET: its columns, and that what it computes is of the row alone.
func (s *Statement) sets(p *parser) {
	known := map[string]bool{}
	for _, f := range s.Fields {
		known[strings.ToLower(f)] = true
	}
	for p.err == nil {
		name := p.name("a column after SET")
		for p.acceptSign(".") {
			name = p.name("a column after SET")
		}
		s.Sets = append(s.Sets, name)
		if p.acceptSign(":") {
			p.acceptSign("=")
		} else if !p.acceptSign("=") {
			p.fail("= is missing after SET %s", name)
		}
		depth := 0
		for p.tok.kind != end {
			t := p.tok
			p.next()
			switch {
			case t.kind == sign && t.text == "(":
				depth++
			case t.kind == sign && t.text == ")":
				depth--
			case t.kind == word && (strings.EqualFold(t.text, "SELECT") || strings.EqualFold(t.text, "TABLE")):
				p.fail("SET %s has a subquery, which would see one shard's rows", name)
			case t.kind == sign && t.text == "@":
				if p.acceptSign("@") {
					break
				}
				v := "@" + strings.ToLower(p.tok.text)
				p.next()
				if !known[v] {
					p.fail("SET %s uses the variable %s, which is no field of the file", name, v)
				}
			}
			if depth == 0 && p.tok.kind == sign && (p.tok.text == "," || p.tok.text == ";") {
				break
			}
		}
		if !p.acceptSign(",") {
			return
		}
	}
}

// check says what of a format can't be split.
func (f *Format) check() error {
	switch {
	case f.FieldEnd == "":
		return errors.New("FIELDS TERMINATED BY '' asks for rows of a fixed width, which can't be split")
	case f.LineEnd == "" || f.LineEnd == f.FieldEnd:
		return errors.New("LINES TERMINATED BY isn't a text of its own, so that lines can't be told apart")
	}
	return nil
}

// singleBytes says whether the bytes of a character set can be read one by one: no byte of a character of several is in ASCII.
func singleBytes(charset string) bool {
	switch charset {
	case "ascii", "binary", "latin1", "latin2", "latin5", "latin7", "utf8", "utf8mb3", "utf8mb4", "cp1250", "cp1251", "cp1256", "cp1257",
		"koi8r", "koi8u", "greek", "hebrew", "tis620", "cp850", "cp852", "cp866":
		return true
	}
	return false
}
