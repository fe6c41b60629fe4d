package protocol

import (
	"errors"
	"io"
)

// Incoming is the reply to a query or an EXECUTE that is read row by row, from a server whose rows are not just
// relayed. Begin reads up to the first row; Next reads a row. One value can be used for one reply after another.
type Incoming struct {
	// Columns are the payloads of the result's column definitions; none when the reply is an OK. They are copies, valid
	// until the next Begin or More.
	Columns [][]byte
	// Reply is what was read so far, summed up: of all results, as Forward does it. OK with its Info is complete when
	// Next has said io.EOF.
	Reply Reply

	c    *Conn
	defs []byte // what Columns are parts of
	end  int    // rows whose first byte is 0xfe are as long as this at least
	done bool   // the result's last packet is read
}

// Begin reads the beginning of the reply to the next command that was written to the server c. Like all errors of an
// Incoming, that of Begin is an *Error when the server answered one, and the connection goes on; else it is a
// *SideError, and c is of no more use.
func (in *Incoming) Begin(c *Conn) error {
	*in = Incoming{Columns: in.Columns[:0], c: c, defs: in.defs[:0], end: 9}
	if c.caps.Has(CapDeprecateEOF) {
		in.end = maxChunk
	}
	c.beginReply()
	return in.result()
}

// More says whether the reply goes on after Next has said io.EOF, and reads the beginning of its next result if so.
func (in *Incoming) More() (bool, error) {
	if !in.done || !in.Reply.Status.Has(StatusMoreResults) {
		return false, nil
	}
	in.Columns, in.defs, in.done = in.Columns[:0], in.defs[:0], false
	return true, in.result()
}

// Next reads a row, in the encoding of the command. It is valid until the next read of the connection. At the end of
// the result's rows the error is io.EOF.
func (in *Incoming) Next() ([]byte, error) {
	if in.done {
		return nil, io.EOF
	}
	p, err := in.c.ReadPacket()
	switch {
	case err != nil:
		return nil, in.failed(err)
	case len(p) == 0:
		return nil, in.failed(malformed("a packet of no bytes where a row was due"))
	case p[0] == headerEOF && len(p) < in.end:
		if err := in.finish(p, headerEOF); err != nil {
			return nil, err
		}
		return nil, io.EOF
	case p[0] == headerERR:
		return nil, in.refused(p)
	}
	in.Reply.Rows++
	return p, nil
}

// Buffered is how many bytes were received that are not read yet: none says that the next row may have to be waited for.
func (in *Incoming) Buffered() int { return in.c.w - in.c.r }

// result reads the beginning of a result: up to its first row, or an OK.
func (in *Incoming) result() error {
	c := in.c
	p, err := c.ReadPacket()
	switch {
	case err != nil:
		return in.failed(err)
	case len(p) == 0:
		return in.failed(malformed("a packet of no bytes in a reply"))
	case p[0] == headerOK:
		return in.finish(p, headerOK)
	case p[0] == headerERR:
		return in.refused(p)
	case p[0] == headerLocal:
		return in.failed(malformed("a server asks for a file where rows were due"))
	}
	columns, size := LenInt(p)
	if size != len(p) || columns == 0 || columns > 0xffff {
		return in.failed(malformed("a column count of %d in %d bytes", columns, len(p)))
	}
	in.Reply.ResultSets++
	if err := in.definitions(int(columns)); err != nil || c.caps.Has(CapDeprecateEOF) {
		return err
	}
	p, err = c.ReadPacket()
	switch {
	case err != nil:
		return in.failed(err)
	case len(p) > 0 && p[0] == headerERR:
		return in.refused(p)
	case len(p) == 0 || p[0] != headerEOF || len(p) >= 9:
		return in.failed(malformed("more column definitions than the %d that were due", columns))
	}
	o, err := parseEOF(p)
	if err != nil {
		return in.failed(err)
	}
	if o.status.Has(StatusCursorExists) {
		return in.finish(p, headerEOF) // the rows stay with the cursor
	}
	return nil
}

func (in *Incoming) definitions(n int) error {
	ends := make([]int, 0, n)
	for range n {
		p, err := in.c.ReadPacket()
		switch {
		case err != nil:
			return in.failed(err)
		case len(p) > 0 && p[0] == headerERR:
			return in.refused(p)
		case len(p) == 0 || p[0] == headerEOF:
			return in.failed(malformed("%d column definitions where %d were due", len(ends), n))
		}
		in.defs = append(in.defs, p...)
		ends = append(ends, len(in.defs))
	}
	from := 0
	for _, end := range ends {
		in.Columns = append(in.Columns, in.defs[from:end:end])
		from = end
	}
	return nil
}

// finish takes over the packet that ends a result.
func (in *Incoming) finish(p []byte, header byte) error {
	f := forward{src: in.c}
	o, err := f.parse(p, header)
	if err != nil {
		return in.failed(err)
	}
	in.c.status = o.status
	r := &in.Reply
	r.Status, r.Warnings, r.AffectedRows, r.InsertID, r.Info = o.status, o.warnings, o.affected, o.insertID, string(o.info)
	r.Records = firstNumber(o.info)
	if r.Changes, err = appendChanges(r.Changes, o.track); err != nil {
		return in.failed(err)
	}
	in.done = true
	if !o.status.Has(StatusMoreResults) {
		in.c.Idle()
	}
	return nil
}

// refused takes over the server's ERR packet, which ends the reply.
func (in *Incoming) refused(p []byte) error {
	e, err := decodeError(p)
	if err != nil {
		return in.failed(err)
	}
	in.Reply.Err, in.done = e, true
	in.c.Idle()
	return e
}

func (in *Incoming) failed(err error) error {
	if _, ok := errors.AsType[*SideError](err); ok {
		in.c.lost = true
		return err
	}
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return in.c.lose(err)
}
