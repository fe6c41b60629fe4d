package rewrite

import (
	"bytes"
	"errors"
	"slices"
	"strconv"
	"unicode/utf8"

	"shardway/router/parse/digest"
)

// Norm is a statement's norm as tokens. The texts that have the norm have the same tokens, but for the literals.
type Norm struct {
	Mode   digest.Mode
	Tokens []digest.Token // the last one is the end
	text   []byte
}

// NewNorm reads a norm as digest makes it. It is false for one that can't be taken apart: what digest can't read, and
// texts in which executable comments make servers differ.
func NewNorm(norm string, mode digest.Mode) (*Norm, bool) {
	src := digest.Split([]byte(norm), mode, true)
	if src.Bad != "" || src.Perhaps {
		return nil, false
	}
	return &Norm{Mode: mode, Tokens: src.Tokens, text: src.Text}, true
}

// Name is the identifier that a token is, without quotes.
func (n *Norm) Name(token int) string {
	src := digest.Source{Text: n.text}
	return src.Name(n.Tokens[token])
}

// All are the tokens of the whole statement, without the semicolons at its end.
func (n *Norm) All() Range {
	end := len(n.Tokens) - 1
	for end > 0 && n.Tokens[end-1].Up == ";" {
		end--
	}
	return Range{0, end}
}

// token is one of the tokens; the end where i is behind it.
func (n *Norm) token(i int) *digest.Token { return &n.Tokens[min(i, len(n.Tokens)-1)] }

// Range are the tokens of a Norm from From up to but without To.
type Range struct{ From, To int }

// Empty reports whether there are none.
func (r Range) Empty() bool { return r.To <= r.From }

// Same reports whether two ranges are the same expression when the digest's Args are args. Names are compared as servers
// compare those of columns; parameters that aren't bound yet are never the same.
func (n *Norm) Same(a, b Range, args []digest.Value) bool {
	if a.To-a.From != b.To-b.From {
		return false
	}
	for i := range a.To - a.From {
		x, y := &n.Tokens[a.From+i], &n.Tokens[b.From+i]
		if x.Kind != y.Kind {
			return false
		}
		switch x.Kind {
		case digest.TokMarker:
			v, w := n.arg(a.From+i), n.arg(b.From+i)
			if v != w && (v >= len(args) || w >= len(args) || !equal(&args[v], &args[w])) {
				return false
			}
		case digest.TokWord, digest.TokQuoted:
			if !bytes.EqualFold(n.text[x.A:x.B], n.text[y.A:y.B]) {
				return false
			}
		default:
			if !bytes.Equal(n.text[x.A:x.B], n.text[y.A:y.B]) {
				return false
			}
		}
	}
	return true
}

// arg is which of the digest's Args a marker is.
func (n *Norm) arg(token int) int {
	arg := 0
	for i := range token {
		if n.Tokens[i].Kind == digest.TokMarker {
			arg++
		}
	}
	return arg
}

// Marker is which of the digest's Args a token is; false for a token that is none.
func (n *Norm) Marker(token int) (arg int, ok bool) {
	if n.token(token).Kind != digest.TokMarker {
		return 0, false
	}
	return n.arg(token), true
}

// Literal reports whether a token is a literal that is part of the norm.
func (n *Norm) Literal(token int) bool {
	kind := n.token(token).Kind
	return kind == digest.TokString || kind == digest.TokNumber
}

// equal reports whether two literals are written alike, but for quotes and white space.
func equal(v, w *digest.Value) bool {
	return v.Kind != digest.Marker && v.Kind == w.Kind && v.I == w.I && v.U == w.U && v.Numeric == w.Numeric && bytes.Equal(v.S, w.S) && (v.Kind != digest.Float || v.F == w.F)
}

// Column reads a range as the name of a column; false for anything else.
func (n *Norm) Column(r Range) (Column, bool) {
	var names []string
	for i := r.From; i < r.To; i++ {
		t := n.Tokens[i]
		if (i-r.From)%2 == 1 {
			if t.Up != "." {
				return Column{}, false
			}
			continue
		}
		if !t.IsName() {
			return Column{}, false
		}
		names = append(names, (&digest.Source{Text: n.text}).Name(t))
	}
	switch {
	case (r.To-r.From)%2 == 0:
		return Column{}, false
	case len(names) == 1:
		return Column{Name: names[0]}, true
	case len(names) == 2:
		return Column{Table: names[0], Name: names[1]}, true
	case len(names) == 3:
		return Column{DB: names[0], Table: names[1], Name: names[2]}, true
	default:
		return Column{}, false
	}
}

// Template is a statement with holes for the client's tokens. Its methods that add to it return it.
type Template struct {
	norm  *Norm
	parts []part
}

// part is one of a range of the client's tokens, a text, and numbers that are known when the statement is run.
type part struct {
	Range
	text   string
	window bool
	number int  // of Fill.Numbers, counted from 1; 0: none
	name   bool // the range as a name
}

// New is a Template without anything in it.
func New(n *Norm) *Template { return &Template{norm: n} }

// Copy adds tokens of the client's.
func (t *Template) Copy(r Range) *Template {
	if r.Empty() {
		return t
	}
	if n := len(t.parts); n > 0 && t.parts[n-1].To == r.From && !t.parts[n-1].Empty() && !t.parts[n-1].name {
		t.parts[n-1].To = r.To // with the comment between them, if there is one
		return t
	}
	t.parts = append(t.parts, part{Range: r})
	return t
}

// Text adds text of Shardway's own.
func (t *Template) Text(s string) *Template {
	if n := len(t.parts); n > 0 && t.parts[n-1].text != "" {
		last := &t.parts[n-1]
		last.text = string(append((&part{text: s}).space([]byte(last.text), 0), s...))
		return t
	}
	t.parts = append(t.parts, part{text: s})
	return t
}

// As adds an alias that is the text of a range: the name that a server gives to a column that is written so.
func (t *Template) As(r Range) *Template {
	t.parts = append(t.parts, part{Range: r, name: true})
	return t
}

// maxName is how long in bytes a column's name can be.
const maxName = 256

// appendName appends text as a quoted name.
func appendName(dst, text []byte) []byte {
	if len(text) > maxName {
		n := maxName
		for n > 0 && !utf8.RuneStart(text[n]) {
			n--
		}
		text = text[:n]
	}
	dst = append(dst, "AS `"...)
	return append(append(dst, bytes.ReplaceAll(text, []byte("`"), []byte("``"))...), '`')
}

// Join adds what another Template of the same Norm has.
func (t *Template) Join(o *Template) *Template {
	t.parts = append(t.parts, o.parts...)
	return t
}

// Window adds the number that Fill.Window is.
func (t *Template) Window() *Template {
	t.parts = append(t.parts, part{window: true})
	return t
}

// Number adds the number Fill.Numbers[i].
func (t *Template) Number(i int) *Template {
	t.parts = append(t.parts, part{number: i + 1})
	return t
}

// Fill is what a Template's holes are filled with. Use one Fill for all Templates of a statement: it remembers where the
// text's tokens are.
type Fill struct {
	SQL     []byte   // the client's text, as it was digested
	Window  uint64   // how many rows a shard must send: LIMIT and OFFSET together
	Numbers []uint64 // for rows that are inserted

	norm *Norm
	at   []digest.Token // by token of the norm: its place in text
	text []byte         // SQL, or SQL without what opens and closes executable comments
}

// ParamWindow stands among the parameters of Template.Prepared for Fill.Window, an unsigned integer.
const ParamWindow = -1

// ParamNumber stands among the parameters of Template.Prepared for Fill.Numbers[i]; Numbered is the i of one, and false
// for all others.
func ParamNumber(i int) int { return ParamWindow - 1 - i }

// Numbered is the opposite of ParamNumber.
func Numbered(param int) (i int, ok bool) {
	i = ParamWindow - 1 - param
	return i, i >= 0
}

var errNoNumber = errors.New("shardway: a statement's rows have more numbers than were drawn for them")

var errNotItsText = errors.New("shardway: a statement's text isn't the one that its plan was made from")

// Append appends the statement to dst. It fails only when f.SQL isn't a text with the Template's norm. Markers of
// prepared statements stay: use Prepared for them.
func (t *Template) Append(dst []byte, f *Fill) ([]byte, error) {
	if err := f.read(t.norm); err != nil {
		return dst, err
	}
	start := len(dst)
	for i := range t.parts {
		p := &t.parts[i]
		dst = p.space(dst, start)
		switch {
		case p.window:
			dst = strconv.AppendUint(dst, f.Window, 10)
		case p.number > 0:
			if p.number > len(f.Numbers) {
				return dst, errNoNumber
			}
			dst = strconv.AppendUint(dst, f.Numbers[p.number-1], 10)
		case p.text != "":
			dst = append(dst, p.text...)
		case p.name:
			dst = appendName(dst, f.text[f.at[p.From].A:f.at[p.To-1].B])
		default:
			dst = append(dst, f.text[f.at[p.From].A:f.at[p.To-1].B]...)
		}
	}
	return dst, nil
}

// Prepared appends the statement with a question mark for each parameter, and says for each which of the client's
// parameters it is, counted from 0 over the markers of its text alone, or ParamWindow.
func (t *Template) Prepared(dst []byte, f *Fill) (text []byte, params []int, err error) {
	if err := f.read(t.norm); err != nil {
		return dst, nil, err
	}
	marker := f.markers()
	start := len(dst)
	for i := range t.parts {
		p := &t.parts[i]
		dst = p.space(dst, start)
		switch {
		case p.window:
			dst = append(dst, '?')
			params = append(params, ParamWindow)
		case p.number > 0:
			dst = append(dst, '?')
			params = append(params, ParamNumber(p.number-1))
		case p.text != "":
			dst = append(dst, p.text...)
		case p.name:
			dst = appendName(dst, f.text[f.at[p.From].A:f.at[p.To-1].B])
		default:
			dst = append(dst, f.text[f.at[p.From].A:f.at[p.To-1].B]...)
			for j := p.From; j < p.To; j++ {
				if marker[j] >= 0 {
					params = append(params, marker[j])
				}
			}
		}
	}
	return dst, params, nil
}

// space parts p from what is before it.
func (p *part) space(dst []byte, start int) []byte {
	n := len(dst)
	if n == start || dst[n-1] == '(' || p.text != "" && (p.text[0] == ',' || p.text[0] == ')') {
		return dst
	}
	return append(dst, ' ')
}

// String is the Template with its norm's text: literals are question marks.
func (t *Template) String() string {
	var dst []byte
	const start = 0
	for i := range t.parts {
		p := &t.parts[i]
		dst = p.space(dst, start)
		switch {
		case p.window:
			dst = append(dst, "…"...)
		case p.number > 0:
			dst = append(dst, "№"...)
		case p.text != "":
			dst = append(dst, p.text...)
		case p.name:
			dst = appendName(dst, t.norm.text[t.norm.Tokens[p.From].A:t.norm.Tokens[p.To-1].B])
		default:
			dst = append(dst, t.norm.text[t.norm.Tokens[p.From].A:t.norm.Tokens[p.To-1].B]...)
		}
	}
	return string(dst)
}

// markers numbers the client's own question marks, by token; -1 for all other tokens.
func (f *Fill) markers() []int {
	list := make([]int, len(f.at))
	n := 0
	for i := range f.at {
		list[i] = -1
		if f.at[i].Kind == digest.TokMarker {
			list[i] = n
			n++
		}
	}
	return list
}

// read finds the norm's tokens in the client's text.
func (f *Fill) read(n *Norm) error {
	if f.norm == n {
		return nil
	}
	src := digest.Split(f.SQL, n.Mode, true)
	if src.Bad != "" {
		return errNotItsText
	}
	if f.at = align(n, src); f.at == nil {
		return errNotItsText
	}
	f.norm, f.text = n, f.SQL
	if executable(f.SQL) {
		f.text = src.Text // a range of tokens may hold one end of a comment alone
	}
	return nil
}

// align is the place of each token of the norm in a text that has it; nil when it hasn't. One token of the norm is two
// of the text where a string with the word _binary was lifted.
func align(n *Norm, src *digest.Source) []digest.Token {
	at := slices.Grow([]digest.Token(nil), len(n.Tokens))
	j := 0
	for i := range n.Tokens {
		if j == len(src.Tokens) {
			return nil
		}
		tok := src.Tokens[j]
		want := &n.Tokens[i]
		switch {
		case want.Kind == digest.TokEnd:
			for src.Tokens[j].Up == ";" {
				j++ // the norm ends before the semicolons
			}
			tok = src.Tokens[j]
			if tok.Kind != digest.TokEnd {
				return nil
			}
		case want.Kind != digest.TokMarker:
			if tok.Kind != want.Kind || !bytes.Equal(src.Text[tok.A:tok.B], n.text[want.A:want.B]) {
				return nil
			}
		case tok.Up == "_BINARY" && tok.Kind == digest.TokWord:
			j++
			tok = digest.Token{Kind: digest.TokString, A: tok.A, B: src.Tokens[j].B}
		case tok.Kind != digest.TokMarker && tok.Kind != digest.TokString && tok.Kind != digest.TokNumber:
			return nil
		}
		at = append(at, tok)
		j++
	}
	return at
}

// executable reports whether a text may hold an executable comment.
func executable(sql []byte) bool {
	return bytes.Contains(sql, []byte("/*!")) || bytes.Contains(sql, []byte("/*M!"))
}
