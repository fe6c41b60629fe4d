package protocol

import (
	"bytes"
	"errors"
	"io"
	"net"
	"time"
)

// Memory is a client that keeps the reply to one statement, for what Shardway asks on a client's behalf.
type Memory struct {
	// Conn is where the reply is written.
	Conn *Conn
	to   *memoryPipe
}

// ErrMemory is the error of a Memory that is full.
var ErrMemory = errors.New("the reply is larger than what is kept of it")

// NewMemory returns a Memory that keeps a reply of limit bytes at most, 0 for any size.
func NewMemory(limit uint64) *Memory {
	m := &Memory{to: &memoryPipe{limit: limit}}
	m.Conn = NewConn(m.to)
	m.Conn.SetCapabilities(CapProtocol41 | CapTransactions | CapMultiResults | CapDeprecateEOF)
	return m
}

// Full says whether the reply was larger than the limit.
func (m *Memory) Full() bool { return m.to.full }

// Read reads the reply: the payloads of the columns' definitions and of the rows, none when it is an OK. The error is an
// *Error when that was the reply.
func (m *Memory) Read() (columns, rows [][]byte, reply Reply, err error) {
	if err := m.Conn.Flush(); err != nil {
		return nil, nil, reply, err
	}
	c := NewConn(m.to)
	c.SetCapabilities(m.Conn.Capabilities())
	var in Incoming
	if err := in.Begin(c); err != nil {
		return nil, nil, reply, err
	}
	for len(in.Columns) > 0 {
		row, err := in.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, nil, reply, err
		}
		rows = append(rows, bytes.Clone(row))
	}
	for _, def := range in.Columns {
		columns = append(columns, bytes.Clone(def))
	}
	return columns, rows, in.Reply, nil
}

// memoryPipe is a connection whose two ends are one.
type memoryPipe struct {
	buf   bytes.Buffer
	limit uint64
	full  bool
}

func (p *memoryPipe) Read(b []byte) (int, error) { return p.buf.Read(b) }

func (p *memoryPipe) Write(b []byte) (int, error) {
	if p.limit > 0 && uint64(p.buf.Len()+len(b)) > p.limit {
		p.full = true
		return 0, ErrMemory
	}
	return p.buf.Write(b)
}

func (p *memoryPipe) Close() error                     { return nil }
func (p *memoryPipe) LocalAddr() net.Addr              { return memoryAddr{} }
func (p *memoryPipe) RemoteAddr() net.Addr             { return memoryAddr{} }
func (p *memoryPipe) SetDeadline(time.Time) error      { return nil }
func (p *memoryPipe) SetReadDeadline(time.Time) error  { return nil }
func (p *memoryPipe) SetWriteDeadline(time.Time) error { return nil }

type memoryAddr struct{}

func (memoryAddr) Network() string { return "memory" }
func (memoryAddr) String() string  { return "memory" }
