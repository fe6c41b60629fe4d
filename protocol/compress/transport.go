package compress

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"

	"github.com/klauspost/compress/zlib"
	"github.com/klauspost/compress/zstd"
)

// Algorithm names what a Transport compresses with.
type Algorithm string

// The algorithms. MariaDB has zlib alone.
const (
	None Algorithm = "none"
	Zlib Algorithm = "zlib"
	Zstd Algorithm = "zstd"
)

const (
	headerSize = 7
	bufferSize = 16 << 10
	// minCompress is the least that is worth it: servers leave shorter packets as they are too.
	minCompress = 50
	// maxCompress is how much is compressed at a time.
	maxCompress = 64 << 10
	// maxWindow bounds the memory that a zstd packet can ask for: no packet holds more.
	maxWindow = 1 << 24
)

// Transport is a connection that compresses, as the protocol does after the login: the bytes of MySQL's own packets are
// cut into packets with a header of their own, whatever their borders. What is read is decompressed bit by bit, so
// that a packet that promises 16 MiB takes no more memory than another.
type Transport struct {
	net.Conn
	algorithm Algorithm
	seq       uint8 // of the next packet, in either direction

	stored int       // bytes left of a packet that isn't compressed
	body   *body     // the packet that is being decompressed, nil for none
	plain  io.Reader // over body
	left   int       // bytes that it has yet to give
}

// New compresses over a connection from now on.
func New(nc net.Conn, a Algorithm) *Transport { return &Transport{Conn: nc, algorithm: a} }

// Algorithm is the one in use.
func (z *Transport) Algorithm() Algorithm { return z.algorithm }

// Restart numbers the next packet 0, as a client does with each command.
func (z *Transport) Restart() { z.seq = 0 }

// buffers are shared by all transports of the process.
var buffers = sync.Pool{New: func() any { return new([bufferSize]byte) }}

func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// Pending says whether a part of a packet isn't read yet.
func (z *Transport) Pending() bool { return z.stored > 0 || z.body != nil }

// Read gives bytes of one packet at a time.
func (z *Transport) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	for !z.Pending() {
		if err := z.next(); err != nil {
			return 0, err
		}
	}
	if z.stored > 0 {
		n, err := z.Conn.Read(b[:min(len(b), z.stored)])
		z.stored -= n
		return n, err
	}
	n, err := z.plain.Read(b[:min(len(b), z.left)])
	z.left -= n
	switch {
	case z.left == 0:
		if err := z.finish(); err != nil {
			return n, err
		}
		return n, nil
	case z.body.err != nil:
		return n, z.body.err // the connection's own, such as a deadline
	case err == nil:
		return n, nil
	}
	return n, fmt.Errorf("malformed packet: a compressed packet that can't be read: %w", err)
}

// next reads the header of a packet.
func (z *Transport) next() error {
	var h [headerSize]byte
	if n, err := io.ReadFull(z.Conn, h[:]); err != nil {
		if n > 0 {
			err = unexpected(err)
		}
		return err
	}
	size := int(h[0]) | int(h[1])<<8 | int(h[2])<<16
	full := int(h[4]) | int(h[5])<<8 | int(h[6])<<16
	z.seq = h[3] + 1
	if full == 0 {
		z.stored = size
		return nil
	}
	if size == 0 {
		return fmt.Errorf("malformed packet: a compressed packet of no bytes that stands for %d", full)
	}
	z.body, z.left = &body{from: z.Conn, left: size, buf: buffers.Get().(*[bufferSize]byte)}, full
	var err error
	if z.plain, err = z.algorithm.reader(z.body); err != nil {
		if z.body.err != nil {
			err = z.body.err
		} else {
			err = fmt.Errorf("malformed packet: a compressed packet that can't be read: %w", err)
		}
		z.release()
	}
	return err
}

// finish checks that a packet ends where its header says.
func (z *Transport) finish() error {
	var more [1]byte
	n, err := z.plain.Read(more[:])
	for n == 0 && err == nil {
		n, err = z.plain.Read(more[:])
	}
	whole := n == 0 && errors.Is(err, io.EOF) && z.body.left == 0 && z.body.r == z.body.w
	if broken := z.body.err; broken != nil {
		return broken
	}
	z.release()
	if !whole {
		return errors.New("malformed packet: a compressed packet that doesn't end where it says")
	}
	return nil
}

func (z *Transport) release() {
	if z.plain != nil {
		z.algorithm.put(z.plain)
	}
	buffers.Put(z.body.buf)
	z.body, z.plain, z.left = nil, nil, 0
}

// Write sends all of p.
func (z *Transport) Write(p []byte) (int, error) {
	done := 0
	for done < len(p) {
		part := p[done:min(len(p), done+maxCompress)]
		if err := z.send(part); err != nil {
			return done, err
		}
		done += len(part)
	}
	return done, nil
}

func (z *Transport) send(part []byte) error {
	w := writers.Get().(*writer)
	defer writers.Put(w)
	w.out.Reset()
	w.out.Write(make([]byte, headerSize))
	full := 0
	if len(part) >= minCompress {
		if err := w.compress(z.algorithm, part); err != nil {
			return err
		}
		full = len(part)
	}
	if full == 0 || w.out.Len()-headerSize >= len(part) {
		w.out.Truncate(headerSize)
		w.out.Write(part)
		full = 0
	}
	b := w.out.Bytes()
	n := len(b) - headerSize
	b[0], b[1], b[2], b[3] = byte(n), byte(n>>8), byte(n>>16), z.seq
	b[4], b[5], b[6] = byte(full), byte(full>>8), byte(full>>16)
	z.seq++
	_, err := z.Conn.Write(b)
	return err
}

// writer holds what compressing one packet needs.
type writer struct {
	out  bytes.Buffer
	zlib *zlib.Writer
	zstd *zstd.Encoder
}

var writers = sync.Pool{New: func() any { return new(writer) }}

func (w *writer) compress(a Algorithm, p []byte) error {
	if a == Zstd {
		if w.zstd == nil {
			var err error
			if w.zstd, err = zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderCRC(false),
				zstd.WithWindowSize(maxCompress), zstd.WithLowerEncoderMem(true)); err != nil {
				return err
			}
		}
		w.out.Grow(len(p))
		w.out.Write(w.zstd.EncodeAll(p, w.out.AvailableBuffer()))
		return nil
	}
	if w.zlib == nil {
		w.zlib = zlib.NewWriter(&w.out)
	} else {
		w.zlib.Reset(&w.out)
	}
	if _, err := w.zlib.Write(p); err != nil {
		return err
	}
	return w.zlib.Close()
}

// Readers hold tables and windows that are used again.
var zlibReaders, zstdReaders sync.Pool

func (a Algorithm) reader(b *body) (io.Reader, error) {
	if a == Zstd {
		if d, ok := zstdReaders.Get().(*zstd.Decoder); ok {
			return d, d.Reset(b)
		}
		return zstd.NewReader(b, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
	}
	if r, ok := zlibReaders.Get().(io.ReadCloser); ok {
		return r, r.(zlib.Resetter).Reset(b, nil)
	}
	return zlib.NewReader(b)
}

func (a Algorithm) put(r io.Reader) {
	if d, ok := r.(*zstd.Decoder); ok {
		if d.Reset(nil) == nil {
			zstdReaders.Put(d)
		}
		return
	}
	zlibReaders.Put(r)
}

// body is what one packet holds, read through a buffer.
type body struct {
	from net.Conn
	left int // bytes that aren't read yet
	buf  *[bufferSize]byte
	r, w int
	err  error // of the connection
}

func (b *body) fill() error {
	if b.err != nil {
		return b.err
	}
	if b.left == 0 {
		return io.EOF
	}
	n, err := b.from.Read(b.buf[:min(b.left, bufferSize)])
	b.r, b.w = 0, n
	b.left -= n
	if n > 0 {
		return nil
	}
	if b.err = unexpected(err); b.err == nil {
		b.err = io.ErrNoProgress
	}
	return b.err
}

func (b *body) Read(p []byte) (int, error) {
	if b.r == b.w {
		if err := b.fill(); err != nil {
			return 0, err
		}
	}
	n := copy(p, b.buf[b.r:b.w])
	b.r += n
	return n, nil
}

// ReadByte lets readers do without a buffer of their own.
func (b *body) ReadByte() (byte, error) {
	if b.r == b.w {
		if err := b.fill(); err != nil {
			return 0, err
		}
	}
	b.r++
	return b.buf[b.r-1], nil
}
