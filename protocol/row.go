package protocol

// QueryRow runs a query that answers one row, and appends the row as it came to dst: each value as SplitRow reads it.
// It is Query for what is asked often: once dst is large enough nothing is allocated. Errors are as with Exec; more
// or fewer rows than one are one of the server's side.
func (c *Conn) QueryRow(dst []byte, sql []byte) ([]byte, error) {
	err := c.WriteCommand(ComQuery, sql)
	if err != nil {
		return dst, c.lose(err)
	}
	c.beginReply()
	dst, err = c.readRow(dst)
	if e, ok := err.(*answered); ok { //nolint:errorlint // readReply makes it, and nobody wraps it
		return dst, e.err
	}
	if err != nil {
		return dst, c.lose(err)
	}
	c.Idle()
	return dst, nil
}

func (c *Conn) readRow(dst []byte) ([]byte, error) {
	p, err := c.readReply()
	if err != nil {
		return dst, err
	}
	columns, size := LenInt(p)
	if size != len(p) || columns == 0 || columns > 0xffff {
		return dst, malformed("a column count of %d in %d bytes where a row was asked for", columns, len(p))
	}
	skip := int(columns)
	if !c.caps.Has(CapDeprecateEOF) {
		skip++
	}
	for range skip {
		if _, err := c.readReply(); err != nil {
			return dst, err
		}
	}
	for rows := 0; ; rows++ {
		if p, err = c.readReply(); err != nil {
			return dst, err
		}
		if p[0] == headerEOF && (len(p) < 9 || c.caps.Has(CapDeprecateEOF) && len(p) < maxChunk) {
			f := forward{src: c}
			o, err := f.parse(p, headerEOF)
			if err != nil {
				return dst, err
			}
			c.status = o.status
			if rows != 1 || o.status.Has(StatusMoreResults) {
				return dst, malformed("%d rows where one was asked for", rows)
			}
			return dst, nil
		}
		if rows == 0 {
			dst = append(dst, p...)
		}
	}
}

// SplitRow takes the first value off a row of QueryRow; NULL is nil. ok is false when there is none.
func SplitRow(row []byte) (value, rest []byte, ok bool) {
	if len(row) == 0 {
		return nil, nil, false
	}
	d := decoder{p: row}
	if row[0] == 0xfb {
		d.byte()
		return nil, d.p, true
	}
	value = d.lenString()
	return value, d.p, !d.bad
}
