package parse

import (
	"bytes"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"sync"
	"unicode/utf8"

	"github.com/pingcap/tidb/pkg/parser"
	"github.com/pingcap/tidb/pkg/parser/ast"
	"github.com/pingcap/tidb/pkg/parser/mysql"
)

// Parse reads a norm as Digest makes it; any other text will do as well, with its literals as constants. It never
// fails: what can't be read is a Statement of kind Unparsed. A long chain of operators or too many parentheses are
// refused as Unparsed before they are parsed.
//
// An executable comment that only some servers run (/*M! */, or /*! */ with a version from 50700 on) is read both
// ways; when that makes any difference the statement is Unparsed.
func Parse(norm string, mode Mode) *Statement {
	text := []byte(norm)
	if mode&MultibyteUnsafe != 0 && !isASCII(text) {
		return unparsed(&source{text: text, mode: mode}, "the client's character set can hide quotes inside characters, so the text isn't read; send it as utf8mb4")
	}
	src := scanTokens(text, mode, true)
	st := parseSource(src)
	if src.perhaps {
		st.Flags |= FlagExecutable
		other := parseSource(scanTokens(text, mode, false))
		other.Flags |= FlagExecutable
		if !reflect.DeepEqual(st, other) {
			st = unparsed(scanTokens(text, mode, true), "an executable comment that only some servers run changes what the statement means; write the statement without it")
			st.Flags |= FlagExecutable
		}
	}
	return st
}

// parseSource reads a text that has been split into tokens.
func parseSource(src *source) *Statement {
	if src.bad != "" {
		return unparsed(src, src.bad)
	}
	if !utf8.Valid(src.text) {
		return unparsed(src, "a name isn't valid utf8")
	}
	st := src.statement(0)
	st.Hints = src.hints
	st.Params = len(src.markers)
	st.finish()
	return st
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
	st.Qualifiers = tidy(st.Qualifiers)
	st.Words = tidy(st.Words)
	if st.Why != "" || st.Kind != Select && st.Kind != Show && st.Kind != Describe && st.Kind != Explain {
		st.Flags &^= FlagRead
	} else {
		st.Flags |= FlagRead
	}
}

// tidy returns names in lower case, sorted, each once.
func tidy(names []string) []string {
	if len(names) == 0 {
		return nil
	}
	for i, n := range names {
		names[i] = lower(n)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// unparsed returns the Statement of a text that can't be read.
func unparsed(src *source, why string) *Statement {
	st := &Statement{Kind: Unparsed, ParseError: why, Why: "it can't be parsed: " + why, Hints: src.hints, Params: len(src.markers)}
	st.Words = words(src.plain())
	st.Qualifiers = tidy(qualifiers(src.plain()))
	return st
}

// nameSet collects names, without allocating for those it has.
type nameSet map[string]struct{}

func (m nameSet) add(name []byte) {
	if _, ok := m[string(name)]; !ok {
		m[string(name)] = struct{}{}
	}
}

func (m nameSet) list() []string { return tidy(slices.Collect(maps.Keys(m))) }

// words returns every identifier-like word of a text, also in strings and comments.
func words(s []byte) []string {
	set := make(nameSet)
	for i := 0; i < len(s); {
		if !isIdent(s[i]) {
			i++
			continue
		}
		j := skipWord(s, i)
		set.add(s[i:j])
		i = j
	}
	// A quoted identifier may hold anything.
	var buf []byte
	for _, q := range [...]byte{'`', '"'} {
		for i := 0; i < len(s); i++ {
			if s[i] != q {
				continue
			}
			end, ok := skipQuoted(s, i)
			if !ok {
				break
			}
			buf = appendUnescaped(buf[:0], s[i+1:end-1], q, false)
			set.add(buf)
			i = end - 1
		}
	}
	return set.list()
}

// qualifiers returns every name in a text that is followed by a dot.
func qualifiers(s []byte) []string {
	set := make(nameSet)
	for i, c := range s {
		if c != '.' {
			continue
		}
		j := i
		for j > 0 && isSpace(s[j-1]) {
			j--
		}
		if j > 0 && (s[j-1] == '`' || s[j-1] == '"') {
			if k := bytes.LastIndexByte(s[:j-1], s[j-1]); k >= 0 {
				set.add(s[k+1 : j-1])
			}
			continue
		}
		k := j
		for k > 0 && isIdent(s[k-1]) {
			k--
		}
		if k < j && !isDigit(s[k]) || k < j-1 {
			set.add(s[k:j])
		}
	}
	return set.list()
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
	p.SetSQLMode(parserMode(src.mode))
	p.SetMariaDB(true)
	text := src.text
	if first > 0 {
		text = slices.Clone(text)
		(&source{text: text}).blank(0, src.toks[first].a)
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
		{AnsiQuotes, mysql.ModeANSIQuotes},
		{NoBackslashEscapes, mysql.ModeNoBackslashEscapes},
		{PipesAsConcat, mysql.ModePipesAsConcat},
		{HighNotPrecedence, mysql.ModeHighNotPrecedence},
		{IgnoreSpace, mysql.ModeIgnoreSpace},
	} {
		if m&f.ours != 0 {
			mode |= f.theirs
		}
	}
	return mode
}
