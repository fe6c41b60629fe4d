package gather

import (
	"bytes"
	"errors"
	"io"
	"slices"

	"shardway/protocol"
)

// Plans are the rows of several EXPLAINs, one after the other, with the columns of the first.
type Plans struct {
	Columns, Rows [][]byte
}

// Ask reads an EXPLAIN's rows from a server. The error is as an Incoming's.
func (p *Plans) Ask(c *protocol.Conn, sql string) error {
	err := c.WriteCommand(protocol.ComQuery, []byte(sql))
	if err == nil {
		err = c.Flush()
	}
	if err != nil {
		return &protocol.SideError{Side: protocol.SideServer, Err: err}
	}
	var in protocol.Incoming
	if err := in.Begin(c); err != nil {
		return err
	}
	if p.Columns == nil {
		for _, def := range in.Columns {
			p.Columns = append(p.Columns, slices.Clone(def))
		}
	}
	for {
		row, err := in.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		p.Rows = append(p.Rows, bytes.Clone(row))
	}
}
