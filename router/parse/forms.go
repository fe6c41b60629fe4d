package parse

// statement reads the statement that starts at the token first.
func (src *source) statement(first int) *Statement {
	st := &Statement{}
	t := src.toks[first]
	if t.kind == tokEnd {
		st.Kind = Empty
		return st
	}
	if src.several(first) {
		st.Kind, st.Why = Several, "several statements"
		st.Words, st.Qualifiers = words(src.text), qualifiers(src.text)
		return st
	}
	return src.data(first)
}

// several reports whether another statement follows a semicolon.
func (src *source) several(first int) bool {
	for i, t := range src.toks[first:] {
		if t.up == ";" && src.toks[first+i+1].kind != tokEnd {
			return true
		}
	}
	return false
}

// data reads a statement that the parser reads.
func (src *source) data(first int) *Statement {
	node, err := src.tree(first)
	if err != nil {
		return unparsed(src, err.Error())
	}
	a := &analyzer{src: src, st: &Statement{}}
	if !a.statement(node) {
		return unparsed(src, "unknown statement")
	}
	return a.st
}
