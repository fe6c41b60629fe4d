package parse

import (
	"fmt"
	"reflect"
	"slices"
	"sync"
	"unicode/utf8"

	"github.com/pingcap/tidb/pkg/parser"
	"github.com/pingcap/tidb/pkg/parser/ast"
	"github.com/pingcap/tidb/pkg/parser/mysql"

	"shardway/router/parse/bridge"
	"shardway/router/parse/digest"
)

// Parse reads a norm as Digest makes it; any other text will do as well, with its literals as constants. It never
// fails: what can't be read is a Statement of kind Unparsed. A long chain of operators or too many parentheses are
// refused as Unparsed before they are parsed.
//
// An executable comment that only some servers run (/*M! */, or /*! */ with a version from 50700 on) is read both
// ways; when that makes any difference the statement is Unparsed.
func Parse(norm string, mode Mode) *Statement {
	text := []byte(norm)
	if mode&digest.MultibyteUnsafe != 0 && !digest.IsASCII(text) {
		return unparsed(&source{Source: &digest.Source{Text: text, Mode: mode}}, "the client's character set can hide quotes inside characters, so the text isn't read; send it as utf8mb4")
	}
	src := split(text, mode, true)
	st := parseSource(src)
	if src.Perhaps {
		st.Flags |= FlagExecutable
		other := parseSource(split(text, mode, false))
		other.Flags |= FlagExecutable
		if !reflect.DeepEqual(st, other) {
			st = unparsed(split(text, mode, true), "an executable comment that only some servers run changes what the statement means; write the statement without it")
			st.Flags |= FlagExecutable
		}
	}
	st.apart = &apart{text: norm, mode: mode}
	return st
}

// source is a norm on its way to the parser.
type source struct {
	*digest.Source
	unbridged []byte         // Text before it was bridged; nil when it wasn't
	bridged   *bridge.Result // what a bridge took out of the text; nil when the parser reads it as written
	asked     *asked         // what Brings wants to know; nil otherwise
}

func split(norm []byte, mode Mode, open bool) *source {
	return &source{Source: digest.Split(norm, mode, open)}
}

// plain returns the text as it was before it was bridged, without comments.
func (src *source) plain() []byte {
	if src.unbridged != nil {
		return src.unbridged
	}
	return src.Text
}

// parseSource reads a text that has been split into tokens.
func parseSource(src *source) *Statement {
	if src.Bad != "" {
		return unparsed(src, src.Bad)
	}
	if !utf8.Valid(src.Text) {
		return unparsed(src, "a name isn't valid utf8")
	}
	vars := src.userVars()
	st := src.statement(0)
	st.Hints = src.Hints
	st.Params = len(src.Markers)
	if st.Is(FlagSetsUserVar) {
		st.UserVars = vars
	}
	st.finish()
	return st
}

// userVars are the names of the user variables in the text.
func (src *source) userVars() (names []string) {
	for _, t := range src.Tokens {
		if t.Kind == digest.TokVar && t.B > t.A+1 && src.Text[t.A+1] != '@' {
			names = append(names, src.userVar(t))
		}
	}
	return digest.Tidy(names)
}

// userVar is the name of the user variable that a token is, as written.
func (src *source) userVar(t digest.Token) string {
	return src.Name(digest.Token{Kind: quotedKind(src.Str(t)[1:]), A: t.A + 1, B: t.B})
}

// finish puts the lists in order.
func (st *Statement) finish() {
	for i := range st.Blocks {
		for j := range st.Blocks[i].Tables {
			if db := st.Blocks[i].Tables[j].DB; db != "" {
				st.Qualifiers = append(st.Qualifiers, db)
			}
		}
	}
	st.Qualifiers = digest.Tidy(st.Qualifiers)
	st.Words = digest.Tidy(st.Words)
	if st.Why != "" || st.Kind != Select && st.Kind != Show && st.Kind != Describe && st.Kind != Explain {
		st.Flags &^= FlagRead
	} else {
		st.Flags |= FlagRead
	}
}

// unparsed returns the Statement of a text that can't be read.
func unparsed(src *source, why string) *Statement {
	st := &Statement{Kind: Unparsed, ParseError: why, Why: "it can't be parsed: " + why, Hints: src.Hints, Params: len(src.Markers)}
	st.Words = digest.Words(src.plain())
	st.Qualifiers = digest.Qualifiers(src.plain())
	return st
}

// read parses the statement at the token first; where the parser can't, it tries again with the text bridged.
func (src *source) read(first int) (ast.StmtNode, error) {
	node, err := src.tree(first)
	if err == nil {
		return node, nil
	}
	src.unbridged = slices.Clone(src.Text)
	bridged, ok := bridge.Build(src.Source, first)
	if !ok {
		return nil, err
	}
	node, again := src.tree(first)
	if again != nil {
		return nil, err
	}
	src.bridged = bridged
	return node, nil
}

// parsers holds parsers, which aren't safe for concurrent use and not cheap to make.
var parsers = sync.Pool{New: func() any { return parser.New() }}

// tree parses the text from the token at first on. The parser panics on some texts; that is an error here.
func (src *source) tree(first int) (node ast.StmtNode, err error) {
	p, ok := parsers.Get().(*parser.Parser)
	if !ok {
		return nil, fmt.Errorf("no parser")
	}
	defer func() {
		if r := recover(); r != nil {
			node, err = nil, fmt.Errorf("the parser can't read it (%v)", r)
			return // the parser's state is unknown: it isn't used again
		}
		p.Reset()
		parsers.Put(p)
	}()
	p.SetSQLMode(parserMode(src.Mode))
	p.SetMariaDB(true)
	text := src.Text
	if first > 0 {
		text = slices.Clone(text)
		(&digest.Source{Text: text}).Blank(0, src.Tokens[first].A)
	}
	nodes, _, err := p.ParseSQL(string(text), parser.CharsetConnection(""), parser.CollationConnection(""))
	if err != nil {
		return nil, err
	}
	if len(nodes) != 1 {
		return nil, fmt.Errorf("%d statements", len(nodes))
	}
	return nodes[0], nil
}

func parserMode(m Mode) mysql.SQLMode {
	var mode mysql.SQLMode
	for _, f := range [...]struct {
		ours   Mode
		theirs mysql.SQLMode
	}{
		{digest.AnsiQuotes, mysql.ModeANSIQuotes},
		{digest.NoBackslashEscapes, mysql.ModeNoBackslashEscapes},
		{digest.PipesAsConcat, mysql.ModePipesAsConcat},
		{digest.HighNotPrecedence, mysql.ModeHighNotPrecedence},
		{digest.IgnoreSpace, mysql.ModeIgnoreSpace},
	} {
		if m&f.ours != 0 {
			mode |= f.theirs
		}
	}
	return mode
}
