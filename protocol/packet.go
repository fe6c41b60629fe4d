package protocol

import (
	"errors"
	"io"
)

// ReadPacket reads one whole payload, joined where it was split. It is valid
// until the next read. A payload of more than MaxPacket bytes is read past
// and reported as *Error 1153: both sides are still in step. An *Error 1156
// says that packets are out of order: the connection is of no more use. At a
// clean end of the stream the error is io.EOF.
func (c *Conn) ReadPacket() ([]byte, error) {
	c.big = nil
	n, err := c.header()
	if err != nil {
		return nil, err
	}
	if n < maxChunk && n <= bufferSize && n <= c.maxPacket {
		if err := c.ensure(n); err != nil {
			return nil, unexpected(err)
		}
		p := c.in[c.r : c.r+n : c.r+n]
		c.r += n
		return p, nil
	}
	return c.readBig(n)
}

// header reads a packet's header and checks that it is the next in order.
func (c *Conn) header() (int, error) {
	if err := c.ensure(headerSize); err != nil {
		return 0, err
	}
	h := c.in[c.r : c.r+headerSize]
	n := int(h[0]) | int(h[1])<<8 | int(h[2])<<16
	if c.zip != nil {
		c.seq = h[3] // the transport's own number counts, and servers let the two fall apart
	} else if h[3] != c.seq {
		return 0, c.outOfOrder(n, h[3])
	}
	c.seq++
	c.r += headerSize
	return n, nil
}

// outOfOrder makes the error for a packet whose number isn't the next. A
// server that gives a connection up says so out of turn; what it said is then
// the error.
func (c *Conn) outOfOrder(n int, seq uint8) error {
	c.lost = true
	if n >= 3 && n < 1024 && c.ensure(headerSize+n) == nil {
		if p := c.in[c.r+headerSize : c.r+headerSize+n]; p[0] == headerERR {
			if e, err := decodeError(p); err == nil {
				return e
			}
		}
	}
	return Errorf(codeOutOfOrder, "08S01", "packets out of order: number %d came where %d was due", seq, c.seq)
}

// readBig reads a payload that doesn't fit the buffer, of which the first
// packet has n bytes. Memory grows with what has arrived, not with what the
// header promises.
func (c *Conn) readBig(n int) ([]byte, error) {
	const step = 1 << 20
	total := 0
	for {
		total += n
		if total > c.maxPacket {
			c.big = nil
			if err := c.skip(n); err != nil {
				return nil, err
			}
		}
		for left := n; left > 0 && total <= c.maxPacket; {
			k := min(left, max(step, len(c.big)))
			from := len(c.big)
			if cap(c.big)-from < k {
				grown := make([]byte, from, from+k)
				copy(grown, c.big)
				c.big = grown
			}
			c.big = c.big[:from+k]
			if err := c.readFull(c.big[from:]); err != nil {
				return nil, err
			}
			left -= k
		}
		if n < maxChunk {
			break
		}
		var err error
		if n, err = c.header(); err != nil {
			return nil, unexpected(err)
		}
	}
	if total > c.maxPacket {
		return nil, Errorf(codePacketTooLarge, "08S01",
			"a packet of %d bytes is larger than the limit of %d", total, c.maxPacket)
	}
	p := c.big
	if p == nil {
		p = []byte{}
	}
	return p, nil
}

func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// ReadCommand waits for the client's next command, with no buffer held while
// there is none. The payload comes without the command's byte and is valid
// until the next read. What isn't flushed is flushed first. The error is
// io.EOF when the client has left, *Error 1153 as with ReadPacket, or *Error
// 1835 for a packet without a command; after these two the session may go on.
func (c *Conn) ReadCommand() (Command, []byte, error) {
	if c.n > 0 {
		if err := c.Flush(); err != nil {
			return 0, nil, err
		}
	}
	c.Idle()
	c.seq = 0
	p, err := c.ReadPacket()
	if err != nil {
		return 0, nil, err
	}
	if len(p) == 0 {
		return 0, nil, malformed("a command of no bytes")
	}
	cmd, payload := Command(p[0]), p[1:]
	if cmd == ComQuery && c.caps.Has(CapQueryAttributes) {
		payload, err = c.takeAttributes(payload)
	}
	return cmd, payload, err
}

// WritePacket buffers one payload, split where it has to be. The buffer is
// sent when it is full, and the payload isn't referred to afterwards.
func (c *Conn) WritePacket(payload []byte) error {
	c.parts[0] = payload
	err := c.writeParts(len(payload), c.parts[:1])
	c.parts[0] = nil
	return err
}

// WriteCommand begins a new exchange: it buffers the command with the parts
// as one payload, which are not joined in memory, and the connection then
// awaits the command's reply. Several commands may be written before the
// reply to the first is read. The read of a reply flushes first, at less cost than
// Flush.
func (c *Conn) WriteCommand(cmd Command, payload ...[]byte) error {
	if cmd == ComQuery {
		return c.writeCommand(cmd, c.attributesOf(nil), payload)
	}
	return c.writeCommand(cmd, nil, payload)
}

// writeCommand writes the command, then its attributes and the rest.
func (c *Conn) writeCommand(cmd Command, attributes []byte, payload [][]byte) error {
	c.seq, c.drained = 0, false
	if c.zip != nil { // each command begins a packet of the transport
		if err := c.Flush(); err != nil {
			return err
		}
		c.zip.Restart()
	}
	total := 1 + len(attributes)
	for _, p := range payload {
		total += len(p)
	}
	if err := c.writeHeader(min(total, maxChunk)); err != nil {
		return err
	}
	c.out[c.n] = byte(cmd) // writeHeader leaves room for it
	c.n++
	if err := c.write(attributes); err != nil {
		return err
	}
	if err := c.writeRest(total, 1+len(attributes), payload); err != nil {
		return err
	}
	if !cmd.silent() {
		c.replies = append(c.replies, c.seq)
		c.asked = c.n > 0
	}
	return nil
}

func (c *Conn) writeParts(total int, parts [][]byte) error {
	if err := c.writeHeader(min(total, maxChunk)); err != nil {
		return err
	}
	return c.writeRest(total, 0, parts)
}

// writeRest writes the parts of a payload of total bytes of which done are
// written, the first packet's header too.
func (c *Conn) writeRest(total, done int, parts [][]byte) error {
	left := min(total, maxChunk) - done // of the packet begun
	for _, p := range parts {
		for {
			if left == 0 && len(p) > 0 {
				left = min(total-done, maxChunk)
				if err := c.writeHeader(left); err != nil {
					return err
				}
			}
			k := min(left, len(p))
			if k == 0 {
				break
			}
			if err := c.write(p[:k]); err != nil {
				return err
			}
			p = p[k:]
			left -= k
			done += k
		}
	}
	if total > 0 && total%maxChunk == 0 {
		return c.writeHeader(0)
	}
	return nil
}

// writeHeader begins a packet of n bytes, and leaves room for one of them.
func (c *Conn) writeHeader(n int) error {
	if c.out == nil {
		c.out = buffers.Get().(*[bufferSize]byte)
	}
	if bufferSize-c.n <= headerSize {
		if err := c.Flush(); err != nil {
			return err
		}
	}
	h := c.out[c.n : c.n+headerSize]
	h[0], h[1], h[2], h[3] = byte(n), byte(n>>8), byte(n>>16), c.seq
	c.n += headerSize
	c.seq++
	return nil
}

// write buffers bytes as they are. As many as would fill an empty buffer are
// sent from where they lie.
func (c *Conn) write(p []byte) error {
	if c.out == nil {
		c.out = buffers.Get().(*[bufferSize]byte)
	}
	if len(p) < bufferSize-c.n {
		c.n += copy(c.out[c.n:], p)
		return nil
	}
	if c.n > 0 {
		k := copy(c.out[c.n:], p)
		c.n += k
		p = p[k:]
		if err := c.Flush(); err != nil {
			return err
		}
	}
	if len(p) >= bufferSize {
		return c.send(p)
	}
	c.n = copy(c.out[:], p)
	return nil
}

// Flush sends what is buffered.
func (c *Conn) Flush() error {
	if c.n == 0 {
		return nil
	}
	n := c.n
	c.n, c.asked = 0, false
	err := c.send(c.out[:n])
	if c.zipNext && err == nil {
		c.zipNext = false
		c.startCompression()
	}
	return err
}

func (c *Conn) send(p []byte) error {
	n, err := 0, error(nil)
	if c.direct() && len(p) <= bufferSize {
		n, err = c.sendDirect(p)
	} else {
		n, err = c.nc.Write(p)
	}
	c.BytesOut += uint64(n)
	if err != nil {
		c.lost = true
	}
	return err
}

func (c *Conn) sendDirect(p []byte) (int, error) {
	c.rawOut, c.rawErr = p, nil
	err := c.raw.Write(c.rawWrite)
	if err == nil {
		err = c.rawErr
	}
	n := len(p) - len(c.rawOut)
	c.rawOut = nil
	return n, err
}
