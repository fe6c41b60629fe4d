package parse

import (
	"slices"

	"shardway/router/parse/digest"
)

// cursor walks over tokens.
type cursor struct {
	src *source
	i   int
}

func (c *cursor) peek() digest.Token    { return c.src.Tokens[c.i] }
func (c *cursor) at(n int) digest.Token { return c.src.Tokens[min(c.i+n, len(c.src.Tokens)-1)] }
func (c *cursor) end() bool             { return c.peek().Kind == digest.TokEnd }
func (c *cursor) is(w string) bool      { return c.peek().Up == w }

func (c *cursor) next() digest.Token {
	t := c.peek()
	if t.Kind != digest.TokEnd {
		c.i++
	}
	return t
}

// accept skips the words if they all come next.
func (c *cursor) accept(words ...string) bool {
	for n, w := range words {
		if c.at(n).Up != w {
			return false
		}
	}
	c.i += len(words)
	return true
}

// acceptAny skips the next word if it is one of words.
func (c *cursor) acceptAny(words ...string) (string, bool) {
	if up := c.peek().Up; up != "" && slices.Contains(words, up) {
		c.i++
		return up, true
	}
	return "", false
}

// group skips a parenthesised group, if one comes next, and reports whether it did.
func (c *cursor) group() bool {
	start := c.i
	c.i = c.src.GroupEnd(start)
	return c.i > start
}

// qualifiers notes each name before a dot in what is left.
func (c *cursor) qualifiers(st *Statement) {
	for i := c.i; c.src.Tokens[i].Kind != digest.TokEnd; i++ {
		if t := c.src.Tokens[i]; t.IsName() && c.src.Tokens[i+1].Up == "." {
			st.Qualifiers = append(st.Qualifiers, c.src.Name(t))
		}
	}
}

// table reads a table's name, a or a.b.
func (c *cursor) table() (Table, bool) {
	t := Table{Source: -1}
	if !c.peek().IsName() {
		return t, false
	}
	t.Name = c.src.Name(c.next())
	if c.is(".") && c.at(1).IsName() {
		c.i++
		t.DB, t.Name = t.Name, c.src.Name(c.next())
	}
	return t, true
}
