package protocol

// WriteColumns buffers the beginning of a result for a client: the number of columns, their definitions as they
// are, and what comes before the first row. WriteRow for each row and WriteEOF follow.
func (c *Conn) WriteColumns(defs [][]byte, status Status) error {
	if err := c.WritePacket(AppendLenInt(c.scratch[:0], uint64(len(defs)))); err != nil {
		return err
	}
	for _, def := range defs {
		if err := c.WritePacket(def); err != nil {
			return err
		}
	}
	return c.writeColumnsEnd(status, 0)
}

// WriteColumnsOf is WriteColumns for definitions as a server's connection gave them, which the client gets in its own form:
// with MariaDB's extended metadata or without.
func (c *Conn) WriteColumnsOf(server *Conn, defs [][]byte, status Status) error {
	extended := c.caps.Has(CapExtendedMetadata)
	if server.caps.Has(CapExtendedMetadata) == extended {
		return c.WriteColumns(defs, status)
	}
	converted := make([][]byte, len(defs))
	for i, def := range defs {
		var err error
		if converted[i], err = convertDefinition(nil, def, extended); err != nil {
			return err
		}
	}
	return c.WriteColumns(converted, status)
}

// WriteRow is WritePacket for what is written often.
func (c *Conn) WriteRow(row []byte) error {
	n := len(row)
	if c.out == nil || headerSize+n >= bufferSize-c.n {
		return c.WritePacket(row)
	}
	p := c.out[c.n:]
	p[0], p[1], p[2], p[3] = byte(n), byte(n>>8), byte(n>>16), c.seq
	copy(p[headerSize:], row)
	c.n += headerSize + n
	c.seq++
	return nil
}

// Mark is a place in what is written to a client, to go back to.
type Mark struct {
	sent uint64
	n    int
	seq  uint8
}

// Mark gives the place where the next packet will be written.
func (c *Conn) Mark() Mark { return Mark{sent: c.BytesOut, n: c.n, seq: c.seq} }

// Sent says whether anything that was written after the mark has been sent, or may have been.
func (c *Conn) Sent(m Mark) bool { return c.lost || c.BytesOut-m.sent > uint64(m.n) }

// Rewind takes back what was written after the mark. It says false, and does nothing, if some of it was sent.
func (c *Conn) Rewind(m Mark) bool {
	if c.Sent(m) {
		return false
	}
	c.n, c.seq = m.n-int(c.BytesOut-m.sent), m.seq
	return true
}
