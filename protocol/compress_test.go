package protocol

import (
	"bytes"
	"errors"
	"testing"
)

func TestCompressedLoginAndCommands(t *testing.T) {
	for _, a := range []Compression{CompressZlib, CompressZstd} {
		func() {
			l, addr := listen(t, "tcp")
			result := serveLogin(t, l, &Login{Auth: testUsers, Capabilities: DefaultCapabilities | CapCompress | CapZstd})
			c, _, err := Dial(t.Context(), DialOptions{Addr: addr, User: "app", Password: "secret", Compression: a})
			got := <-result
			if err != nil || got.err != nil {
				t.Fatal(err, got.err)
			}
			defer c.Close()
			if c.Compression() != a || got.server.Compression() != a {
				t.Fatalf("%s: %s and %s", a, c.Compression(), got.server.Compression())
			}
			for i, size := range []int{10, 100, bufferSize, maxChunk + 1000} {
				text := bytes.Repeat([]byte{byte(i), 1, 2, 3, 4, 5, 6, 7}, size/8+1)
				sent := make(chan error, 1)
				go func() {
					err := c.WriteCommand(ComStmtClose, []byte("abcd"))
					if err == nil {
						err = c.WriteCommand(ComQuery, text)
					}
					if err == nil {
						err = c.Flush()
					}
					sent <- err
				}()
				if cmd, _, err := got.server.ReadCommand(); err != nil || cmd != ComStmtClose {
					t.Fatal(cmd, err)
				}
				cmd, payload, err := got.server.ReadCommand()
				if err != nil || cmd != ComQuery || !bytes.Equal(payload, text) {
					t.Fatalf("%s of %d bytes: %v, %d bytes, %v", a, size, cmd, len(payload), err)
				}
				if err := <-sent; err != nil {
					t.Fatal(err)
				}
				row := bytes.Repeat([]byte{9, byte(i)}, size/2+1)
				go func() {
					err := got.server.WriteRows(&Rows{Columns: []Column{{Name: "a", Type: TypeBlob}}, Rows: [][]any{{row}}}, false, StatusAutocommit)
					if err == nil {
						err = got.server.Flush()
					}
					sent <- err
				}()
				c.beginReply()
				r, err := c.readResult()
				if err != nil || len(r.Rows) != 1 || *r.Rows[0][0] != string(row) {
					t.Fatalf("%s of %d bytes: %v", a, size, err)
				}
				if err := <-sent; err != nil {
					t.Fatal(err)
				}
				c.Idle()
				if !c.Clean() {
					t.Errorf("%s: the connection isn't clean", a)
				}
			}
		}()
	}
}

func TestACompressedPacketThatLiesEndsTheSession(t *testing.T) {
	// It stands for 100 bytes, and is garbage.
	c := NewConn(&memory{in: append([]byte{20, 0, 0, 0, 100, 0, 0}, make([]byte, 20)...)})
	c.caps = CapCompress
	c.startCompression()
	_, _, err := c.ReadCommand()
	if e, ok := errors.AsType[*Error](err); err == nil || ok {
		t.Errorf("got %v (%v), want an error that ends the connection", err, e)
	}
}
