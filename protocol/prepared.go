package protocol

import (
	"encoding/binary"
	"slices"
)

// Prepared is the reply to STMT_PREPARE. The definitions of parameters and
// columns are raw payloads.
type Prepared struct {
	ID                    uint32
	Params, Columns       int
	Warnings              uint16
	ParamDefs, ColumnDefs [][]byte
	Extended              bool // the definitions have MariaDB's extended metadata
}

// parsePrepared reads the first packet of the reply.
func parsePrepared(p []byte) (*Prepared, error) {
	d := decoder{p: p}
	d.byte()
	s := &Prepared{ID: d.uint32(), Columns: int(d.uint16()), Params: int(d.uint16())}
	if d.bad {
		return nil, malformed("a STMT_PREPARE reply of %d bytes ends early", len(p))
	}
	d.byte()
	s.Warnings = d.uint16() // old servers leave it away
	return s, nil
}

// ReadPrepared reads the reply to a STMT_PREPARE that was written before:
// either the statement or the server's ERR packet. The definitions are
// copies. The error is a *SideError.
func (c *Conn) ReadPrepared() (*Prepared, *Error, error) {
	c.beginReply()
	p, err := c.ReadPacket()
	if err != nil {
		return nil, nil, c.lose(err)
	}
	if len(p) > 0 && p[0] == headerERR {
		e, err := decodeError(p)
		if err != nil {
			return nil, nil, c.lose(err)
		}
		return nil, e, nil
	}
	if len(p) == 0 || p[0] != headerOK {
		return nil, nil, c.lose(malformed("a STMT_PREPARE reply that is neither OK nor ERR"))
	}
	s, err := parsePrepared(p)
	if err != nil {
		return nil, nil, c.lose(err)
	}
	if s.ParamDefs, err = c.readDefinitions(s.Params); err == nil {
		s.ColumnDefs, err = c.readDefinitions(s.Columns)
	}
	if err != nil {
		return nil, nil, c.lose(err)
	}
	s.Extended = c.caps.Has(CapExtendedMetadata)
	c.Idle()
	return s, nil, nil
}

// lose notes that the connection is out of step, and why.
func (c *Conn) lose(err error) error {
	c.lost = true
	return &SideError{Side: SideServer, Err: unexpected(err)}
}

// readDefinitions copies n column definitions and reads past what ends them.
func (c *Conn) readDefinitions(n int) ([][]byte, error) {
	if n == 0 {
		return nil, nil
	}
	var defs [][]byte
	for range n {
		p, err := c.ReadPacket()
		if err != nil {
			return nil, err
		}
		if len(p) == 0 || p[0] == headerEOF || p[0] == headerERR {
			return nil, malformed("%d column definitions where %d were due", len(defs), n)
		}
		defs = append(defs, slices.Clone(p))
	}
	if c.caps.Has(CapDeprecateEOF) {
		return defs, nil
	}
	p, err := c.ReadPacket()
	if err != nil {
		return nil, err
	}
	if len(p) == 0 || p[0] != headerEOF || len(p) >= 9 {
		return nil, malformed("more column definitions than the %d that were due", n)
	}
	o, err := parseEOF(p)
	if err != nil {
		return nil, err
	}
	c.status = o.status
	return defs, nil
}

// WritePrepared buffers the reply to a client's STMT_PREPARE, under the id
// that the client is to know the statement by.
func (c *Conn) WritePrepared(id uint32, p *Prepared) error {
	b := append(c.scratch[:0], headerOK)
	b = binary.LittleEndian.AppendUint32(b, id)
	b = binary.LittleEndian.AppendUint16(b, uint16(p.Columns))
	b = binary.LittleEndian.AppendUint16(b, uint16(p.Params))
	b = append(b, 0, byte(p.Warnings), byte(p.Warnings>>8))
	if err := c.WritePacket(b); err != nil {
		return err
	}
	extended := c.caps.Has(CapExtendedMetadata)
	for _, defs := range [2][][]byte{p.ParamDefs, p.ColumnDefs} {
		for _, d := range defs {
			if extended != p.Extended {
				var err error
				if d, err = convertDefinition(nil, d, extended); err != nil {
					return c.lose(err)
				}
			}
			if err := c.WritePacket(d); err != nil {
				return err
			}
		}
		if len(defs) > 0 {
			if err := c.writeColumnsEnd(StatusAutocommit, 0); err != nil {
				return err
			}
		}
	}
	return nil
}
