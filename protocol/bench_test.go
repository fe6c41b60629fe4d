package protocol

import (
	"io"
	"testing"
)

// pointSelect is what a server answers a point select with.
func pointSelect() []byte {
	def := (&Column{Name: "c", Type: TypeVarString}).Definition(nil)
	row := appendLenString(nil, string(make([]byte, 120)))
	return frame(1, []byte{1}, def, row, []byte{headerEOF, 0, 0, 2, 0, 0, 0})
}

// repeat reads the same bytes for ever.
type repeat struct {
	b  []byte
	at int
}

func (r *repeat) Read(p []byte) (int, error) {
	n := copy(p, r.b[r.at:])
	r.at = (r.at + n) % len(r.b)
	return n, nil
}

// BenchmarkForwardMemory is one query relayed without system calls.
func BenchmarkForwardMemory(b *testing.B) {
	query := frame(0, append([]byte{byte(ComQuery)}, "SELECT c FROM sbtest1 WHERE id = 500"...))
	client := NewConn(&memory{stream: &repeat{b: query}, sink: io.Discard})
	server := NewConn(&memory{stream: &repeat{b: pointSelect()}, sink: io.Discard})
	client.SetCapabilities(DefaultCapabilities)
	server.SetCapabilities(DefaultCapabilities)
	relayLoop(b, client, server, b.N)
}

// BenchmarkForwardLoopback is one query relayed over TCP, with a client and a
// server that cost as little as they can.
func BenchmarkForwardLoopback(b *testing.B) {
	clientEnd, client := tcpPair(b)
	serverEnd, server := tcpPair(b)
	query := frame(0, append([]byte{byte(ComQuery)}, "SELECT c FROM sbtest1 WHERE id = 500"...))
	reply := pointSelect()
	go func() {
		buf := make([]byte, 4096)
		for {
			if _, err := serverEnd.Read(buf); err != nil {
				return
			}
			if _, err := serverEnd.Write(reply); err != nil {
				return
			}
		}
	}()
	go func() {
		buf := make([]byte, len(reply))
		for range b.N {
			if _, err := clientEnd.Write(query); err != nil {
				return
			}
			if _, err := io.ReadFull(clientEnd, buf); err != nil {
				return
			}
		}
	}()
	c, s := NewConn(client), NewConn(server)
	c.SetCapabilities(DefaultCapabilities)
	s.SetCapabilities(DefaultCapabilities)
	relayLoop(b, c, s, b.N)
}

func relayLoop(b *testing.B, client, server *Conn, n int) {
	b.ReportAllocs()
	var relay Relay
	b.ResetTimer()
	for range n {
		cmd, payload, err := client.ReadCommand()
		if err != nil {
			b.Fatal(err)
		}
		if err := server.WriteCommand(cmd, payload); err != nil {
			b.Fatal(err)
		}
		if err := server.Flush(); err != nil {
			b.Fatal(err)
		}
		reply, err := server.Forward(client, ReplyQuery, &relay)
		if err != nil || reply.Rows != 1 {
			b.Fatal(reply, err)
		}
		if err := client.Flush(); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkForwardRows is a long result: ns per row.
func BenchmarkForwardRows(b *testing.B) {
	def := (&Column{Name: "c", Type: TypeVarString}).Definition(nil)
	row := appendLenString(nil, string(make([]byte, 120)))
	payloads := [][]byte{{1}, def}
	for range 10000 {
		payloads = append(payloads, row)
	}
	reply := frame(1, append(payloads, []byte{headerEOF, 0, 0, 2, 0, 0, 0})...)
	mem := &memory{}
	src, dst := NewConn(mem), NewConn(&memory{sink: io.Discard})
	src.SetCapabilities(DefaultCapabilities)
	dst.SetCapabilities(DefaultCapabilities)
	b.SetBytes(int64(len(reply)))
	b.ReportAllocs()
	for b.Loop() {
		mem.in, src.seq, dst.seq = reply, 1, 1
		if r, err := src.Forward(dst, ReplyQuery, nil); err != nil || r.Rows != 10000 {
			b.Fatal(r, err)
		}
	}
}
