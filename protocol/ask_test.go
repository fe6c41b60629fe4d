package protocol

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"testing"
	"time"
)

// okReply is an OK packet that answers a command.
var okReply = []byte{7, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0}

// TestAReadSendsTheCommandBefore reads replies without a flush, to commands of many sizes, also where the socket takes
// them in parts.
func TestAReadSendsTheCommandBefore(t *testing.T) {
	for name, pair := range pairs {
		t.Run(name, func(t *testing.T) {
			peer, nc := pair(t)
			if s, ok := nc.(interface{ SetWriteBuffer(bytes int) error }); ok {
				if err := s.SetWriteBuffer(4 << 10); err != nil {
					t.Fatal(err)
				}
			}
			if s, ok := peer.(interface{ SetReadBuffer(bytes int) error }); ok {
				if err := s.SetReadBuffer(4 << 10); err != nil {
					t.Fatal(err)
				}
			}
			c := NewConn(nc)
			for _, size := range []int{0, 1, 100, bufferSize - headerSize - 2, bufferSize - headerSize - 1, bufferSize} {
				sql := bytes.Repeat([]byte("x"), size)
				got := make(chan error, 1)
				go func() {
					p := make([]byte, headerSize+1+size)
					_, err := io.ReadFull(peer, p)
					if err == nil && !bytes.Equal(p[headerSize+1:], sql) {
						err = errors.New("the command is another one")
					}
					if err == nil {
						_, err = peer.Write(okReply)
					}
					got <- err
				}()
				if _, err := c.Exec(string(sql)); err != nil {
					t.Fatalf("%d bytes: %v", size, err)
				}
				if err := <-got; err != nil {
					t.Fatalf("%d bytes: %v", size, err)
				}
				if want := uint64(len(okReply)); c.BytesIn != want || c.BytesOut != uint64(headerSize+1+size) {
					t.Errorf("%d bytes: %d in and %d out are counted", size, c.BytesIn, c.BytesOut)
				}
				c.BytesIn, c.BytesOut = 0, 0
				if !c.Clean() {
					t.Errorf("%d bytes: the connection isn't clean", size)
				}
			}
		})
	}
}

// TestACommandThatIsReadForIsBoundedByTheDeadline asks a peer that doesn't answer, and one that has left.
func TestACommandThatIsReadForIsBoundedByTheDeadline(t *testing.T) {
	for name, pair := range pairs {
		t.Run(name, func(t *testing.T) {
			peer, nc := pair(t)
			go func() { _, _ = io.Copy(io.Discard, peer) }() // until the pair is closed
			c := NewConn(nc)
			if err := c.SetDeadline(time.Now().Add(20 * time.Millisecond)); err != nil {
				t.Fatal(err)
			}
			if _, err := c.Exec("SELECT 1"); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("the error is %v", err)
			}
			gone, left := pair(t)
			gone.Close()
			var side *SideError
			if _, err := NewConn(left).Exec("SELECT 1"); !errors.As(err, &side) || side.Side != SideServer {
				t.Errorf("the error is %v", err)
			}
			if err := c.Close(); err != nil {
				t.Error(err)
			}
			if _, err := c.Exec("SELECT 1"); !errors.Is(err, net.ErrClosed) && !errors.Is(err, io.ErrClosedPipe) {
				t.Errorf("after Close the error is %v", err)
			}
		})
	}
}

func TestSettled(t *testing.T) {
	for name, pair := range pairs {
		t.Run(name, func(t *testing.T) {
			peer, nc := pair(t)
			c := NewConn(nc)
			answer := func(p []byte) {
				t.Helper()
				done := make(chan error, 1)
				go func() {
					_, err := io.ReadFull(peer, make([]byte, headerSize+1))
					if err == nil {
						_, err = peer.Write(p)
					}
					done <- err
				}()
				if _, err := c.Exec(""); err != nil {
					t.Fatal(err)
				}
				if err := <-done; err != nil {
					t.Fatal(err)
				}
			}
			answer(okReply)
			for _, how := range []string{"by the read", "by a look at the socket"} {
				if !c.Settled() {
					t.Errorf("after a whole reply it isn't settled, %s", how)
				}
			}
			if err := c.WriteCommand(ComPing); err != nil {
				t.Fatal(err)
			}
			if c.Settled() {
				t.Error("it is settled with a reply to come")
			}
			if name == "pipe" {
				return // what is more than asked for can't be seen there
			}
			peer, nc = pair(t)
			c = NewConn(nc)
			answer(append(bytes.Clone(okReply), 1))
			if c.Settled() {
				t.Error("it is settled with a byte too many")
			}
			peer, nc = pair(t)
			c = NewConn(nc)
			answer(okReply)
			c.Settled()
			peer.Close()
			for c.Settled() { // the end of the stream takes a moment to arrive
				runtime.Gosched()
			}
		})
	}
}
