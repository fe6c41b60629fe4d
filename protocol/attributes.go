package protocol

// QueryAttributes are the query attributes of the client's last QUERY, as they
// lie before its text, nil for none. They are valid as long as its payload.
func (c *Conn) QueryAttributes() []byte { return c.attrs }

// WriteQuery is WriteCommand for a QUERY with query attributes, which a server
// without CapQueryAttributes doesn't get.
func (c *Conn) WriteQuery(attributes, text []byte) error {
	c.parts[0] = text
	err := c.writeCommand(ComQuery, c.attributesOf(attributes), c.parts[:1])
	c.parts[0] = nil
	return err
}

const (
	// maxAttributes bounds the query attributes of one statement in bytes.
	maxAttributes = 64 << 10

	// countAvailable is the flag of a STMT_EXECUTE that tells how many values
	// there are.
	countAvailable = 0x08
)

// attributesOf gives what stands before the text of a QUERY to this server.
func (c *Conn) attributesOf(attributes []byte) []byte {
	switch {
	case !c.caps.Has(CapQueryAttributes):
		return nil
	case len(attributes) == 0:
		return append(c.scratch[:0], 0, 1) // no attributes, one set of them
	}
	return attributes
}

// takeAttributes puts the query attributes of a QUERY aside and returns its
// text. An error is an *Error; the session may go on.
func (c *Conn) takeAttributes(p []byte) ([]byte, error) {
	c.attrs = nil
	if len(p) >= 2 && p[0] == 0 && p[1] == 1 {
		return p[2:], nil
	}
	d := decoder{p: p}
	n, sets := d.LenInt(), d.LenInt()
	switch {
	case d.bad || sets != 1:
		return nil, malformed("a QUERY of %d bytes without its number of query attributes", len(p))
	case n == 0:
		return d.p, nil
	case n > 0xffff:
		return nil, malformed("a QUERY with %d query attributes", n)
	}
	e := Execute{NullBitmap: d.take((n + 7) / 8), TypesSent: d.byte() == 1}
	if !e.TypesSent {
		return nil, malformed("query attributes without their types")
	}
	types := d.namedTypes(int(n))
	e.Values = d.p
	if d.bad {
		return nil, malformed("the query attributes of a QUERY of %d bytes are cut", len(p))
	}
	if _, err := e.DecodeParams(types, nil, nil); err != nil {
		return nil, err
	}
	text := e.Values[e.used:]
	if c.attrs = p[:len(p)-len(text)]; len(c.attrs) > maxAttributes {
		c.attrs = nil
		return nil, malformed("query attributes of more than %d bytes", maxAttributes)
	}
	return text, nil
}

// namedTypes reads n types that have names, and returns the types alone.
func (d *decoder) namedTypes(n int) []byte {
	var types []byte
	for range n {
		types = append(types, d.take(2)...)
		d.lenString()
		if d.bad {
			return nil
		}
	}
	return types
}
