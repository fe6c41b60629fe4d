package parse

// Parse reads a norm. It never fails: what can't be read is a Statement of kind Unparsed.
func Parse(norm string, mode Mode) *Statement {
	return &Statement{Kind: Unparsed, ParseError: "unread"}
}
