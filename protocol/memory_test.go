package protocol

import (
	"bytes"
	"io"
	"net"
	"time"
)

// memory is a net.Conn that reads what it was given, in pieces, and keeps
// what is written.
type memory struct {
	in     []byte
	piece  int // the most that one Read gives; 0 is all
	stream io.Reader
	out    bytes.Buffer
	sink   io.Writer // takes what is written instead of out
	writes int
	fail   error // of Write
}

func (m *memory) Read(p []byte) (int, error) {
	if m.stream != nil {
		return m.stream.Read(p)
	}
	if len(m.in) == 0 {
		return 0, io.EOF
	}
	if m.piece > 0 && len(p) > m.piece {
		p = p[:m.piece]
	}
	n := copy(p, m.in)
	m.in = m.in[n:]
	return n, nil
}

func (m *memory) Write(p []byte) (int, error) {
	if m.fail != nil {
		return 0, m.fail
	}
	m.writes++
	if m.sink != nil {
		return m.sink.Write(p)
	}
	return m.out.Write(p)
}

func (m *memory) Close() error                     { return nil }
func (m *memory) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (m *memory) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (m *memory) SetDeadline(time.Time) error      { return nil }
func (m *memory) SetReadDeadline(time.Time) error  { return nil }
func (m *memory) SetWriteDeadline(time.Time) error { return nil }

// frame puts payloads into packets whose first has the number seq.
func frame(seq uint8, payloads ...[]byte) []byte {
	size := 0
	for _, p := range payloads {
		size += len(p) + 4*(len(p)/maxChunk+1)
	}
	b := make([]byte, 0, size) // large ones that grow are copied again and again
	for _, p := range payloads {
		for {
			n := min(len(p), maxChunk)
			b = append(b, byte(n), byte(n>>8), byte(n>>16), seq)
			b = append(b, p[:n]...)
			p = p[n:]
			seq++
			if n < maxChunk {
				break
			}
		}
	}
	return b
}

// unframe takes packets apart again, checking that their numbers run on from
// seq.
func unframe(seq uint8, b []byte) (payloads [][]byte, ok bool) {
	var p []byte
	whole := true
	for len(b) > 0 {
		if len(b) < 4 {
			return payloads, false
		}
		n := int(b[0]) | int(b[1])<<8 | int(b[2])<<16
		if b[3] != seq || len(b) < 4+n {
			return payloads, false
		}
		seq++
		p = append(p, b[4:4+n]...)
		b = b[4+n:]
		if whole = n < maxChunk; whole {
			payloads = append(payloads, p)
			p = nil
		}
	}
	return payloads, whole
}
