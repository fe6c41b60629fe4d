package protocol

// Mark is a place in what is written to a connection, to which Rewind can go back.
type Mark struct {
	sent uint64
	n    int
	seq  uint8
}

// Mark remembers what has been written so far.
func (c *Conn) Mark() Mark { return Mark{sent: c.BytesOut, n: c.n, seq: c.seq} }

// Rewind takes back what was written since m. It says false, and does nothing, when some of it has gone to the peer.
func (c *Conn) Rewind(m Mark) bool {
	if c.BytesOut != m.sent {
		return false
	}
	c.n, c.seq = m.n, m.seq
	return true
}
