package protocol

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"runtime"
	"testing"

	"github.com/klauspost/compress/zstd"
)

var algorithms = []Compression{CompressZlib, CompressZstd}

// noise is n bytes that don't compress, zeros that do, or both.
func noise(n int, seed uint64) []byte {
	r := rand.New(rand.NewPCG(seed, 1))
	b := make([]byte, n)
	for i := range b {
		if seed%3 == 0 || seed%3 == 1 && i%100 < 50 {
			b[i] = byte(r.Uint32())
		}
	}
	return b
}

// packed is what a transport sends for a text.
func packed(t testing.TB, a Compression, parts ...[]byte) []byte {
	t.Helper()
	m := &memory{}
	z := &compressed{Conn: m, algorithm: a}
	for _, p := range parts {
		if n, err := z.Write(p); n != len(p) || err != nil {
			t.Fatal(n, err)
		}
	}
	return m.out.Bytes()
}

func TestCompressedBytesComeBackAsTheyWere(t *testing.T) {
	for _, a := range algorithms {
		for i, size := range []int{1, minCompress - 1, minCompress, 1000, bufferSize, maxCompress, maxCompress + 1, 3*maxCompress + 7} {
			want := noise(size, uint64(i))
			sent := packed(t, a, want)
			z := &compressed{Conn: &memory{in: sent, piece: 1 + 97*i}, algorithm: a}
			got := make([]byte, size)
			if _, err := io.ReadFull(z, got); err != nil || !bytes.Equal(got, want) {
				t.Errorf("%s of %d bytes: %v", a, size, err)
			}
			if z.pending() {
				t.Errorf("%s of %d bytes: something is left", a, size)
			}
			if _, err := z.Read(got); !errors.Is(err, io.EOF) {
				t.Errorf("%s of %d bytes: then %v", a, size, err)
			}
		}
	}
}

func TestCompressedPacketsThatLieAreErrors(t *testing.T) {
	for _, a := range algorithms {
		whole := packed(t, a, noise(5000, 1))
		read := func(in []byte) error {
			z := &compressed{Conn: &memory{in: in}, algorithm: a}
			_, err := io.Copy(io.Discard, struct{ io.Reader }{z})
			return err
		}
		for n := 1; n < len(whole); n += 101 {
			if err := read(whole[:n]); !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("%s cut at %d: %v", a, n, err)
			}
		}
		for _, change := range []func(p []byte){
			func(p []byte) { p[4]++ },                           // stands for more than it holds
			func(p []byte) { p[4]-- },                           // and for less
			func(p []byte) { p[0], p[1], p[2] = 0, 0, 0 },       // holds nothing
			func(p []byte) { clear(p[compressHeader:]) },        // garbage
			func(p []byte) { p[4], p[5], p[6] = 255, 255, 255 }, // 16 MiB
			func(p []byte) { p[compressHeader+20] ^= 0xff },     // damaged
		} {
			p := bytes.Clone(whole)
			change(p)
			if err := read(p); err == nil && a == CompressZlib {
				t.Errorf("%s: % x is read", a, p[:12])
			}
		}
	}
}

// TestABombTakesNoMemory reads a packet of a few hundred bytes that stands for 16 MiB.
func TestABombTakesNoMemory(t *testing.T) {
	zeros := make([]byte, maxChunk)
	e, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
	if err != nil {
		t.Fatal(err)
	}
	body := e.EncodeAll(zeros, nil)
	bomb := append([]byte{byte(len(body)), byte(len(body) >> 8), byte(len(body) >> 16), 0, 0xff, 0xff, 0xff}, body...)
	w := &writer{}
	if err := w.compress(CompressZlib, zeros); err != nil {
		t.Fatal(err)
	}
	body = w.out.Bytes()
	zbomb := append([]byte{byte(len(body)), byte(len(body) >> 8), byte(len(body) >> 16), 0, 0xff, 0xff, 0xff}, body...)
	for a, in := range map[Compression][]byte{CompressZstd: bomb, CompressZlib: zbomb} {
		c := NewConn(&memory{in: in})
		c.caps = a.Capability()
		c.startCompression()
		c.SetMaxPacket(1 << 20)
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		// The zeros are packets of no bytes, all numbered 0; the first is a command without a byte.
		for {
			if _, _, err := c.ReadCommand(); err != nil {
				var e *Error
				if !errors.As(err, &e) {
					break
				}
			}
		}
		runtime.ReadMemStats(&after)
		if grown := int64(after.HeapInuse) - int64(before.HeapInuse); grown > 24<<20 {
			t.Errorf("%s: a packet of %d bytes took %d bytes of memory", a, len(in), grown)
		}
	}
}

func TestCompressedLoginAndCommands(t *testing.T) {
	for _, a := range algorithms {
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
				text := noise(size, uint64(i))
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
				row := noise(size, uint64(i+1))
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

func FuzzCompressed(f *testing.F) {
	for _, a := range algorithms {
		f.Add(packed(f, a, noise(3000, 1), []byte("short")), a == CompressZstd)
	}
	f.Fuzz(func(t *testing.T, data []byte, isZstd bool) {
		a := CompressZlib
		if isZstd {
			a = CompressZstd
		}
		z := &compressed{Conn: &memory{in: data}, algorithm: a}
		n, err := io.Copy(io.Discard, io.LimitReader(z, 1<<24))
		if err == nil && n > 0 && len(data) < compressHeader {
			t.Errorf("% x gave %d bytes", data, n)
		}
		// And back.
		if len(data) > 0 {
			z := &compressed{Conn: &memory{in: packed(t, a, data)}, algorithm: a}
			got := make([]byte, len(data))
			if _, err := io.ReadFull(z, got); err != nil || !bytes.Equal(got, data) {
				t.Errorf("%d bytes came back wrong: %v", len(data), err)
			}
		}
	})
}

var _ net.Conn = (*compressed)(nil)
