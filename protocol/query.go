package protocol

import (
	"errors"
	"slices"
)

// Result is a small result that Query has read, every value as text; nil is
// NULL. It is the caller's own.
type Result struct {
	Columns []string
	Types   []Column // the same columns with their types
	Rows    [][]*string
	OK      OK
}

// Get gives the text of a value by its column's name, and whether it is there
// and not NULL.
func (r *Result) Get(row int, column string) (string, bool) {
	i := slices.Index(r.Columns, column)
	if i < 0 || row >= len(r.Rows) || r.Rows[row][i] == nil {
		return "", false
	}
	return *r.Rows[row][i], true
}

// Exec runs a statement and reads past what it returns. The error is an
// *Error when the server answered one, and the connection goes on; else it is
// a *SideError.
func (c *Conn) Exec(sql string) (Reply, error) {
	if err := c.ask(sql); err != nil {
		return Reply{}, err
	}
	reply, err := c.Forward(nil, ReplyQuery, nil)
	if err == nil && reply.Err != nil {
		err = reply.Err
	}
	return reply, err
}

func (c *Conn) ask(sql string) error {
	if err := c.WriteCommand(ComQuery, []byte(sql)); err != nil {
		return c.lose(err)
	}
	return nil
}

// Query runs a statement that returns rows and reads them all; more than one
// result gives the last one's rows. Errors are as with Exec.
func (c *Conn) Query(sql string) (*Result, error) {
	if err := c.ask(sql); err != nil {
		return nil, err
	}
	c.beginReply()
	for {
		r, err := c.readResult()
		var e *answered
		switch {
		case errors.As(err, &e):
			return nil, e.err
		case err != nil:
			return nil, c.lose(err)
		case !r.OK.Status.Has(StatusMoreResults):
			c.Idle()
			return r, nil
		}
	}
}

// answered is an error that the server answered, to tell it from an *Error of
// this package's own.
type answered struct{ err *Error }

func (a *answered) Error() string { return a.err.Error() }

func (c *Conn) readResult() (*Result, error) {
	r := &Result{}
	p, err := c.readReply()
	if err != nil {
		return nil, err
	}
	if p[0] == headerOK {
		o, err := parseOK(p, c.caps)
		if err != nil {
			return nil, err
		}
		c.status = o.status
		r.OK, err = o.decode()
		return r, err
	}
	n, size := LenInt(p)
	if size != len(p) || n == 0 || n > 0xffff {
		return nil, malformed("a column count of %d in %d bytes", n, len(p))
	}
	defs, err := c.readDefinitions(int(n))
	if err != nil {
		return nil, err
	}
	for _, def := range defs {
		column, err := columnOf(def)
		if err != nil {
			return nil, err
		}
		r.Columns = append(r.Columns, column.Name)
		r.Types = append(r.Types, column)
	}
	for {
		p, err := c.readReply()
		if err != nil {
			return nil, err
		}
		if p[0] == headerEOF && (len(p) < 9 || c.caps.Has(CapDeprecateEOF) && len(p) < maxChunk) {
			f := forward{src: c}
			o, err := f.parse(p, headerEOF)
			if err != nil {
				return nil, err
			}
			c.status = o.status
			r.OK, err = o.decode()
			return r, err
		}
		row, err := textRow(p, int(n))
		if err != nil {
			return nil, err
		}
		r.Rows = append(r.Rows, row)
	}
}

// readReply reads a packet that isn't empty and isn't an ERR packet.
func (c *Conn) readReply() ([]byte, error) {
	p, err := c.ReadPacket()
	if err != nil {
		return nil, err
	}
	if len(p) == 0 {
		return nil, malformed("a packet of no bytes in a reply")
	}
	if p[0] == headerERR {
		e, err := decodeError(p)
		if err != nil {
			return nil, err
		}
		return nil, &answered{err: e}
	}
	return p, nil
}

// columnOf reads a column's definition.
func columnOf(def []byte) (Column, error) {
	d := decoder{p: def}
	for range 4 { // catalog, schema, table, original table
		d.lenString()
	}
	column := Column{Name: string(d.lenString())}
	d.lenString() // original name
	d.LenInt()    // of what follows
	column.Collation, column.Length = d.uint16(), d.uint32()
	column.Type = d.byte()
	flags := d.uint16()
	column.Unsigned, column.NotNull = flags&flagUnsigned != 0, flags&flagNotNull != 0
	column.Decimals = d.byte()
	if d.bad {
		return Column{}, malformed("a column definition of %d bytes ends early", len(def))
	}
	return column, nil
}

// textRow copies the values of a row in text.
func textRow(p []byte, columns int) ([]*string, error) {
	row := make([]*string, columns)
	d := decoder{p: p}
	for i := range row {
		if len(d.p) > 0 && d.p[0] == 0xfb {
			d.byte()
			continue
		}
		s := string(d.lenString())
		row[i] = &s
	}
	if d.bad || len(d.p) > 0 {
		return nil, malformed("a row of %d bytes doesn't hold %d values", len(p), columns)
	}
	return row, nil
}
