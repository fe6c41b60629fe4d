package protocol

import (
	"bytes"
	"errors"
	"io"
	"os"
	"runtime"
	"slices"
	"testing"
	"time"
)

// edges are the payload sizes at which packets begin to be split, and some
// around the buffers.
var edges = []int{
	0, 1, bufferSize - 5, bufferSize - 4, bufferSize - 3, bufferSize, bufferSize + 1, 2 * bufferSize,
	1<<24 - 2, 1<<24 - 1, 1 << 24, 1<<25 - 2, 1<<25 - 1, 1 << 25,
}

func pattern(n int) []byte {
	const period = 65521 // fits no power of two, so that a shift shows
	b := make([]byte, n)
	for i := range min(n, period) {
		b[i] = byte(i * 7 / 3)
	}
	for done := period; done < n; done *= 2 {
		copy(b[done:], b[:done])
	}
	return b
}

func TestPacketsAreSplitAndJoinedAtTheirEdges(t *testing.T) {
	for _, n := range edges {
		p := pattern(n)
		m := &memory{}
		m.out.Grow(n + 16)
		c := NewConn(m)
		if err := c.WritePacket(p); err != nil {
			t.Fatal(err)
		}
		if err := c.Flush(); err != nil {
			t.Fatal(err)
		}
		want := frame(0, p)
		if !bytes.Equal(m.out.Bytes(), want) {
			t.Fatalf("%d bytes: written otherwise than framed by hand", n)
		}
		if int(c.seq) != n/maxChunk+1 {
			t.Errorf("%d bytes: next number is %d", n, c.seq)
		}
		// Twice, so that a read too far shows.
		c = NewConn(&memory{in: slices.Concat(want, frame(uint8(n/maxChunk+1), p)), piece: 1 << 16})
		for range 2 {
			got, err := c.ReadPacket()
			if err != nil || !bytes.Equal(got, p) {
				t.Fatalf("%d bytes: read %d, %v", n, len(got), err)
			}
		}
		if _, err := c.ReadPacket(); !errors.Is(err, io.EOF) {
			t.Errorf("%d bytes: then %v", n, err)
		}
	}
}

func TestCommandsAreSplitAtTheirEdges(t *testing.T) {
	for _, n := range edges {
		if n == 0 {
			continue
		}
		p := pattern(n)
		p[0] = byte(ComQuery)
		m := &memory{}
		m.out.Grow(n + 16)
		c := NewConn(m)
		third := (n - 1) / 3
		if err := c.WriteCommand(ComQuery, p[1:1+third], p[1+third:], nil); err != nil {
			t.Fatal(err)
		}
		if err := c.Flush(); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(m.out.Bytes(), frame(0, p)) {
			t.Fatalf("%d bytes: written otherwise than framed by hand", n)
		}
		c = NewConn(&memory{in: m.out.Bytes()})
		cmd, got, err := c.ReadCommand()
		if err != nil || cmd != ComQuery || !bytes.Equal(got, p[1:]) {
			t.Fatalf("%d bytes: read %d, %v", n, len(got), err)
		}
	}
}

func TestForwardRowsAtTheirEdges(t *testing.T) {
	for _, n := range edges {
		if n < 16 {
			continue
		}
		row := appendLenString(nil, pattern(n))
		row = row[:n] // its own length doesn't matter, the packet's does
		if row[0] == 0xfe && n < maxChunk {
			continue
		}
		for _, caps := range []Capability{0, both} {
			payloads := reply(caps, result{columns: 1, rows: [][]byte{row, {1, 'b'}, row}, end: OK{Status: 2}})
			in := frame(1, payloads...)
			out := &memory{}
			out.out.Grow(len(in))
			src, dst := NewConn(&memory{in: in, piece: 100000}), NewConn(out)
			src.caps, dst.caps, src.seq, dst.seq = caps, caps, 1, 201
			got, err := src.Forward(dst, ReplyQuery, nil)
			if err != nil || got.Rows != 3 {
				t.Fatalf("%d bytes: %+v, %v", n, got, err)
			}
			_ = dst.Flush()
			if !bytes.Equal(out.out.Bytes(), frame(201, payloads...)) {
				t.Fatalf("%d bytes: the client got something else", n)
			}
		}
	}
}

// rowStream is a reply of rows that are never held in memory.
type rowStream struct {
	rows, size int
	seq        uint8
	left       int // of the packet begun
	chunks     int // of the row begun
	pending    []byte
	state      int
}

func (s *rowStream) Read(p []byte) (int, error) {
	for len(s.pending) == 0 && s.left == 0 {
		switch {
		case s.state == 0:
			s.pending = frame(1, []byte{1}, (&Column{Name: "c"}).Definition(nil))
			s.seq, s.state = 3, 1
		case s.rows == 0 && s.state == 1:
			s.pending = frame(s.seq, []byte{headerEOF, 0, 0, 2, 0, 0, 0})
			s.state = 2
		case s.state == 2:
			return 0, io.EOF
		default:
			n := min(s.size-s.chunks*maxChunk, maxChunk)
			s.pending = []byte{byte(n), byte(n >> 8), byte(n >> 16), s.seq}
			s.seq++
			s.left = n
			if s.chunks++; n < maxChunk {
				s.rows, s.chunks = s.rows-1, 0
			}
		}
	}
	if len(s.pending) > 0 {
		n := copy(p, s.pending)
		s.pending = s.pending[n:]
		return n, nil
	}
	n := min(len(p), s.left)
	clear(p[:n])
	s.left -= n
	return n, nil
}

func TestForwardStreamsLargeRows(t *testing.T) {
	src := NewConn(&memory{stream: &rowStream{rows: 4, size: 40 << 20}})
	dst := NewConn(&memory{sink: io.Discard})
	src.caps, dst.caps, src.seq, dst.seq = both, both, 1, 1
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	got, err := src.Forward(dst, ReplyQuery, nil)
	runtime.ReadMemStats(&after)
	if err != nil || got.Rows != 4 || !got.FirstByte || dst.BytesOut < 4*40<<20-bufferSize {
		t.Fatalf("%+v, %v, %d bytes", got, err, dst.BytesOut)
	}
	// Two buffers, and what other goroutines of the test binary allocate.
	if used := after.TotalAlloc - before.TotalAlloc; used > 256<<10 {
		t.Errorf("relaying 160 MiB allocated %d bytes", used)
	}
}

func TestPacketsOverTheLimitAreReadPast(t *testing.T) {
	for _, n := range []int{1001, bufferSize, 1 << 20, 1<<24 - 1, 1<<24 + 5} {
		p := append([]byte{byte(ComQuery)}, make([]byte, n-1)...)
		c := NewConn(&memory{in: append(frame(0, p), frame(0, []byte{byte(ComPing)})...)})
		c.SetMaxPacket(1000)
		_, _, err := c.ReadCommand()
		if !errors.Is(err, &Error{Code: 1153}) {
			t.Fatalf("%d bytes: %v", n, err)
		}
		if want := uint8(n/maxChunk + 1); c.seq != want {
			t.Errorf("%d bytes: the error's number would be %d, want %d", n, c.seq, want)
		}
		if cmd, _, err := c.ReadCommand(); err != nil || cmd != ComPing {
			t.Errorf("%d bytes: then %v, %v", n, cmd, err)
		}
	}
	p := append([]byte{byte(ComQuery)}, make([]byte, 999)...)
	c := NewConn(&memory{in: frame(0, p)})
	c.SetMaxPacket(1000)
	if _, got, err := c.ReadCommand(); err != nil || len(got) != 999 {
		t.Errorf("a packet of just the limit: %d bytes, %v", len(got), err)
	}
}

func TestALargeHeaderAllocatesLittle(t *testing.T) {
	c := NewConn(&memory{in: []byte{0xff, 0xff, 0xff, 0, 1, 2, 3}})
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := c.ReadPacket()
	runtime.ReadMemStats(&after)
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Fatal(err)
	}
	if used := after.TotalAlloc - before.TotalAlloc; used > 2<<20 {
		t.Errorf("a header that promises 16 MiB allocated %d bytes", used)
	}
}

func TestReadCommandErrors(t *testing.T) {
	tests := []struct {
		name string
		in   []byte
		want error
	}{
		{"the client left", nil, io.EOF},
		{"left in a header", []byte{1, 0}, io.ErrUnexpectedEOF},
		{"left in a payload", []byte{9, 0, 0, 0, 3, 'S'}, io.ErrUnexpectedEOF},
		{"no command", []byte{0, 0, 0, 0}, &Error{Code: 1835}},
		{"out of order", []byte{1, 0, 0, 1, 3}, &Error{Code: 1156}},
	}
	for _, tt := range tests {
		if _, _, err := NewConn(&memory{in: tt.in}).ReadCommand(); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
	}
}

func TestPipelinedCommands(t *testing.T) {
	m := &memory{in: append(frame(0, []byte("\x03one")), frame(0, []byte("\x03two"))...)}
	c := NewConn(m)
	for _, want := range []string{"one", "two"} {
		if _, p, err := c.ReadCommand(); err != nil || string(p) != want {
			t.Fatalf("%q, %v", p, err)
		}
		_ = c.WriteOK(OK{})
	}
	if _, _, err := c.ReadCommand(); !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	if want := append(frame(1, make([]byte, 7)), frame(1, make([]byte, 7))...); !bytes.Equal(m.out.Bytes(), want) {
		t.Errorf("answered %x, want %x", m.out.Bytes(), want)
	}
}

func TestAnIdleConnHoldsNoBuffer(t *testing.T) {
	for name, pair := range pairs {
		t.Run(name, func(t *testing.T) {
			peer, nc := pair(t)
			c := NewConn(nc)
			// Each round waits for the command that the peer sends once it has
			// the answer to the last one; buffers are looked at in between by
			// the owner, which is the only one who may.
			for range 3 {
				go func() {
					_, _ = peer.Write(frame(0, []byte{byte(ComPing)}))
				}()
				if cmd, _, err := c.ReadCommand(); err != nil || cmd != ComPing {
					t.Fatal(cmd, err)
				}
				_ = c.WriteOK(OK{})
				done := make(chan error, 1)
				go func() {
					_, err := io.ReadFull(peer, make([]byte, 11))
					done <- err
				}()
				if err := c.Flush(); err != nil {
					t.Fatal(err)
				}
				if err := <-done; err != nil {
					t.Fatal(err)
				}
				c.Idle()
				if c.in != nil || c.out != nil {
					t.Fatal("buffers are held")
				}
			}
			_ = c.SetReadDeadline(time.Now().Add(10 * time.Millisecond))
			if _, _, err := c.ReadCommand(); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Fatal(err)
			}
			if c.in != nil {
				t.Error("one that waited in vain holds a buffer")
			}
		})
	}
}

func TestInterruptAndClose(t *testing.T) {
	for name, pair := range pairs {
		for _, how := range []string{"interrupt", "close"} {
			t.Run(name+"/"+how, func(t *testing.T) {
				_, nc := pair(t)
				c := NewConn(nc)
				done := make(chan error, 1)
				go func() {
					_, _, err := c.ReadCommand()
					done <- err
				}()
				if how == "close" {
					c.Close()
					c.Close()
				} else {
					c.Interrupt()
				}
				err := <-done
				if how == "interrupt" && !errors.Is(err, os.ErrDeadlineExceeded) || err == nil {
					t.Error(err)
				}
			})
		}
	}
}

func TestClean(t *testing.T) {
	for name, pair := range pairs {
		if name == "pipe" {
			continue // has nothing that could be asked
		}
		t.Run(name, func(t *testing.T) {
			peer, nc := pair(t)
			c := NewConn(nc)
			if !c.Clean() {
				t.Fatal("a fresh connection isn't clean")
			}
			_ = c.WriteCommand(ComPing)
			if c.Clean() {
				t.Fatal("clean with a command unflushed")
			}
			_ = c.Flush()
			if c.Clean() {
				t.Fatal("clean while a reply is awaited")
			}
			if _, err := peer.Write(frame(1, []byte{0, 0, 0, 2, 0, 0, 0})); err != nil {
				t.Fatal(err)
			}
			if _, err := c.Forward(nil, ReplySimple, nil); err != nil || !c.Clean() {
				t.Fatal("not clean after the reply", err)
			}
			peer.Close()
			// The end of the stream takes a moment to arrive.
			for deadline := time.Now().Add(5 * time.Second); c.Clean(); {
				if time.Now().After(deadline) {
					t.Fatal("clean although the peer has closed")
				}
				runtime.Gosched()
			}
		})
	}
}
