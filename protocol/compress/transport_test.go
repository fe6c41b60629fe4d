package compress

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"runtime"
	"testing"
)

var algorithms = []Algorithm{Zlib, Zstd}

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
func packed(t testing.TB, a Algorithm, parts ...[]byte) []byte {
	t.Helper()
	m := &memory{}
	z := &Transport{Conn: m, algorithm: a}
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
			z := &Transport{Conn: &memory{in: sent, piece: 1 + 97*i}, algorithm: a}
			got := make([]byte, size)
			if _, err := io.ReadFull(z, got); err != nil || !bytes.Equal(got, want) {
				t.Errorf("%s of %d bytes: %v", a, size, err)
			}
			if z.Pending() {
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
			z := &Transport{Conn: &memory{in: in}, algorithm: a}
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
			func(p []byte) { clear(p[headerSize:]) },            // garbage
			func(p []byte) { p[4], p[5], p[6] = 255, 255, 255 }, // 16 MiB
			func(p []byte) { p[headerSize+20] ^= 0xff },         // damaged
		} {
			p := bytes.Clone(whole)
			change(p)
			if err := read(p); err == nil && a == Zlib {
				t.Errorf("%s: % x is read", a, p[:12])
			}
		}
	}
}

func FuzzCompressed(f *testing.F) {
	for _, a := range algorithms {
		f.Add(packed(f, a, noise(3000, 1), []byte("short")), a == Zstd)
	}
	f.Fuzz(func(t *testing.T, data []byte, isZstd bool) {
		a := Zlib
		if isZstd {
			a = Zstd
		}
		z := &Transport{Conn: &memory{in: data}, algorithm: a}
		n, err := io.Copy(io.Discard, io.LimitReader(z, 1<<24))
		if err == nil && n > 0 && len(data) < headerSize {
			t.Errorf("% x gave %d bytes", data, n)
		}
		// And back.
		if len(data) > 0 {
			z := &Transport{Conn: &memory{in: packed(t, a, data)}, algorithm: a}
			got := make([]byte, len(data))
			if _, err := io.ReadFull(z, got); err != nil || !bytes.Equal(got, data) {
				t.Errorf("%d bytes came back wrong: %v", len(data), err)
			}
		}
	})
}

var _ net.Conn = (*Transport)(nil)

// memory reads from in, piece bytes at a time, and writes to out.
type memory struct {
	net.Conn
	in    []byte
	piece int
	out   bytes.Buffer
}

func (m *memory) Read(b []byte) (int, error) {
	if len(m.in) == 0 {
		return 0, io.EOF
	}
	if m.piece > 0 {
		b = b[:min(len(b), m.piece)]
	}
	n := copy(b, m.in)
	m.in = m.in[n:]
	return n, nil
}

func (m *memory) Write(b []byte) (int, error) { return m.out.Write(b) }

// TestABombTakesNoMemory reads a packet of a few hundred bytes that stands for 16 MiB.
func TestABombTakesNoMemory(t *testing.T) {
	zeros := make([]byte, 1<<24-1)
	for _, a := range algorithms {
		w := &writer{}
		if err := w.compress(a, zeros); err != nil {
			t.Fatal(err)
		}
		body := w.out.Bytes()
		bomb := append([]byte{byte(len(body)), byte(len(body) >> 8), byte(len(body) >> 16), 0, 0xff, 0xff, 0xff}, body...)
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		n, err := io.Copy(io.Discard, struct{ io.Reader }{New(&memory{in: bomb}, a)})
		runtime.ReadMemStats(&after)
		if n != int64(len(zeros)) || err != nil {
			t.Errorf("%s: %d bytes, %v", a, n, err)
		}
		if grown := int64(after.TotalAlloc) - int64(before.TotalAlloc); grown > 8<<20 {
			t.Errorf("%s: a packet of %d bytes took %d bytes of memory", a, len(bomb), grown)
		}
	}
}
