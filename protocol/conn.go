package protocol

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"shardway/protocol/compress"
)

// bufferSize is the size of a connection's read and write buffers: what
// servers gather themselves (net_buffer_length) before they send.
const bufferSize = 16 << 10

// defaultMaxPacket is what NewConn allows ReadPacket to hold: 64 MiB, the
// servers' default.
const defaultMaxPacket = 64 << 20

// buffers are shared by all connections of the process; a connection borrows
// them while it has something to read or to write.
var buffers = sync.Pool{New: func() any { return new([bufferSize]byte) }}

// Conn is one MySQL connection, either side. One goroutine owns it; Close,
// the deadlines and Interrupt alone may be called from others.
//
// Writes are buffered: nothing is sent before Flush, unless the buffer fills.
type Conn struct {
	// BytesIn and BytesOut count what went over the socket, without TLS's own
	// overhead. The owner may read them and set them back.
	BytesIn, BytesOut uint64

	base net.Conn // as given to NewConn: what Close and the deadlines act on
	nc   net.Conn // base, or TLS over it, or compression over either
	tls  *tls.Conn
	zip  *compress.Transport // nil while nothing is compressed
	// zipNext says that compression begins after the next Flush.
	zipNext bool
	raw     syscall.RawConn // of base; nil where it is no socket

	remote net.Addr // of the client, as a PROXY header told it; nil without one
	headed uint64   // bytes of that header

	// What a read that waits for the first byte of an idle connection needs,
	// made once so that waiting allocates nothing.
	rawRead func(fd uintptr) bool
	rawN    int
	rawErr  error
	// The same for writing: what is left of a write.
	rawWrite func(fd uintptr) bool
	rawOut   []byte
	// The same for a look at whether there is anything to read.
	rawPeek func(fd uintptr)
	waiting bool
	// drained says that the last read took all that the socket had.
	drained bool

	in      *[bufferSize]byte // nil while there is nothing unread
	r, w    int               // in[r:w] is unread
	out     *[bufferSize]byte // nil while there is nothing unflushed
	n       int               // out[:n] is unflushed
	asked   bool              // it ends with a command that is going to be answered
	big     []byte            // a packet that doesn't fit in
	early   [headerSize]byte  // read by an idle connection that is no plain socket
	scratch [64]byte          // for small packets that are written
	parts   [1][]byte         // the argument of writeParts, so that it is not made each time

	seq       uint8   // of the next packet, in either direction
	replies   []uint8 // the sequence ids that the replies awaited begin with
	repliesAt [4]uint8
	lost      bool // out of step with the peer: never clean again
	maxPacket int
	caps      Capability
	attrs     []byte // query attributes of the client's last QUERY
	status    Status // last told by the server
	more      Status // StatusMoreResults while another reply follows to the same command
	salt      []byte // of the last authentication, for CHANGE_USER
	closed    atomic.Bool
}

// NewConn speaks MySQL over nc, which it owns from now on.
func NewConn(nc net.Conn) *Conn {
	c := &Conn{base: nc, nc: nc, maxPacket: defaultMaxPacket}
	c.replies = c.repliesAt[:0]
	c.raw = rawOf(nc)
	if c.raw != nil {
		c.rawRead, c.rawWrite = c.readRaw, c.writeRaw
	}
	return c
}

// Capabilities are those that both sides agreed on at login.
func (c *Conn) Capabilities() Capability { return c.caps }

// SetCapabilities replaces what login agreed on.
func (c *Conn) SetCapabilities(caps Capability) { c.caps = caps }

// SetMoreResults says whether the replies that are written or relayed to this
// client from now on are followed by another one to the same command: of a
// text of several statements, all replies but the last.
func (c *Conn) SetMoreResults(more bool) {
	c.more = 0
	if more {
		c.more = StatusMoreResults
	}
}

// Status is what the server told last on this connection, in an OK or EOF
// packet.
func (c *Conn) Status() Status { return c.status }

// SetMaxPacket limits in bytes what ReadPacket and ReadCommand hold; zero or
// less means 64 MiB. What Forward relays has no limit.
func (c *Conn) SetMaxPacket(n int) {
	if n <= 0 {
		n = defaultMaxPacket
	}
	c.maxPacket = n
}

// SetDeadline ends reads and writes at t with an error that is
// os.ErrDeadlineExceeded; the zero time takes the deadline away.
func (c *Conn) SetDeadline(t time.Time) error { return c.base.SetDeadline(t) }

// SetReadDeadline is SetDeadline for reads.
func (c *Conn) SetReadDeadline(t time.Time) error { return c.base.SetReadDeadline(t) }

// SetWriteDeadline is SetDeadline for writes.
func (c *Conn) SetWriteDeadline(t time.Time) error { return c.base.SetWriteDeadline(t) }

// Interrupt makes reads and writes fail from now on, those that wait already
// and those to come, until a deadline is set again.
func (c *Conn) Interrupt() { _ = c.base.SetDeadline(time.Unix(1, 0)) }

// LocalAddr is this side's address.
func (c *Conn) LocalAddr() net.Addr { return c.base.LocalAddr() }

// RemoteAddr is the peer's address, that of the client itself where a load
// balancer told it in a PROXY header.
func (c *Conn) RemoteAddr() net.Addr {
	if c.remote != nil {
		return c.remote
	}
	return c.base.RemoteAddr()
}

// TLS describes the encryption, nil on a plain connection.
func (c *Conn) TLS() *tls.ConnectionState {
	if c.tls == nil {
		return nil
	}
	s := c.tls.ConnectionState()
	return &s
}

// Close closes the socket. What isn't flushed is lost; buffers go back with
// the garbage, as their owner may be using them. It may be called often.
func (c *Conn) Close() error {
	if c.closed.Swap(true) {
		return nil
	}
	return c.base.Close()
}

// Idle gives the buffers back where nothing is unread or unflushed.
// ReadCommand does so on its own; the owner of a connection that is put aside
// calls it.
func (c *Conn) Idle() {
	if c.in != nil && c.r == c.w {
		buffers.Put(c.in)
		c.in, c.r, c.w = nil, 0, 0
	}
	if c.out != nil && c.n == 0 {
		buffers.Put(c.out)
		c.out = nil
	}
	c.big = nil
}

// Clean says that the connection may serve somebody else: no reply awaited,
// nothing unread or unflushed, and the peer has neither closed nor said
// anything, which one system call finds out.
func (c *Conn) Clean() bool {
	if c.lost || c.r != c.w || c.n != 0 || len(c.replies) != 0 || c.closed.Load() || c.zip != nil && c.zip.Pending() {
		return false
	}
	return c.raw == nil || c.quiet()
}

// Settled is Clean as of the read before. It costs no system call where that read has
// taken all that there was, and nobody has asked since.
func (c *Conn) Settled() bool {
	drained := c.drained
	c.drained = false
	if drained && !c.lost && c.r == c.w && c.n == 0 && len(c.replies) == 0 && !c.closed.Load() {
		return true
	}
	return c.Clean()
}

// upgrade puts TLS over the socket; bytes that came with the packet before
// belong to its handshake.
func (c *Conn) upgrade(t *tls.Conn) {
	c.tls, c.nc, c.drained = t, t, false
	c.Idle()
}

// socket gives what TLS is to run over.
func (c *Conn) socket() net.Conn {
	if c.r == c.w {
		return c.base
	}
	rest := append([]byte(nil), c.in[c.r:c.w]...)
	c.r = c.w
	return &prefixed{Conn: c.base, rest: rest}
}

// prefixed is a connection of which some bytes were read already.
type prefixed struct {
	net.Conn
	rest []byte
}

func (p *prefixed) Read(b []byte) (int, error) {
	if len(p.rest) == 0 {
		return p.Conn.Read(b)
	}
	n := copy(b, p.rest)
	p.rest = p.rest[n:]
	return n, nil
}

// fill reads once more into the buffer, which has room. It takes a buffer
// only when there is something to read, so that one who waits holds none.
func (c *Conn) fill() error {
	if c.in != nil && c.r == c.w {
		c.r, c.w = 0, 0
	}
	if c.direct() && !c.zipNext {
		return c.fillDirect()
	}
	if c.asked {
		if err := c.Flush(); err != nil {
			return err
		}
	}
	if c.in == nil {
		return c.fillIdle()
	}
	n, err := c.nc.Read(c.in[c.w:])
	c.w += n
	c.BytesIn += uint64(n)
	if n > 0 {
		return nil
	}
	return noProgress(err)
}

func noProgress(err error) error {
	if err == nil {
		return io.ErrNoProgress
	}
	return err
}

// direct says that what passes is what the socket carries, so that it can be read
// and written by system calls of the connection's own.
func (c *Conn) direct() bool { return c.raw != nil && c.tls == nil && c.zip == nil }

// fillDirect sends a command that is still buffered, and reads.
func (c *Conn) fillDirect() error {
	c.rawN, c.rawErr = 0, nil
	err := c.raw.Read(c.rawRead)
	if err == nil && c.asked { // the socket didn't take all of it
		if err = c.Flush(); err == nil {
			err = c.raw.Read(c.rawRead)
		}
	}
	if err != nil {
		return err
	}
	c.BytesIn += uint64(c.rawN)
	return c.rawErr
}

func (c *Conn) fillIdle() error {
	n, err := c.nc.Read(c.early[:])
	if n == 0 {
		return noProgress(err)
	}
	c.in = buffers.Get().(*[bufferSize]byte)
	c.r, c.w = 0, copy(c.in[:], c.early[:n])
	c.BytesIn += uint64(n)
	return nil
}

// ensure makes at least n bytes (no more than bufferSize) unread in the
// buffer, from c.r on.
func (c *Conn) ensure(n int) error {
	for c.w-c.r < n {
		if c.in != nil && c.r > 0 && c.r+n > bufferSize {
			c.w = copy(c.in[:], c.in[c.r:c.w])
			c.r = 0
		}
		if err := c.fill(); err != nil {
			if errors.Is(err, io.EOF) && c.w > c.r {
				return io.ErrUnexpectedEOF
			}
			return err
		}
	}
	return nil
}

// readFull reads past the buffer into dst what the buffer hasn't got.
func (c *Conn) readFull(dst []byte) error {
	if c.w > c.r {
		n := copy(dst, c.in[c.r:c.w])
		c.r += n
		dst = dst[n:]
	}
	if len(dst) == 0 {
		return nil
	}
	c.drained = false
	n, err := io.ReadFull(c.nc, dst)
	c.BytesIn += uint64(n)
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return err
}

// skip reads past n bytes.
func (c *Conn) skip(n int) error {
	for n > 0 {
		if c.w == c.r {
			if err := c.fill(); err != nil {
				if errors.Is(err, io.EOF) {
					err = io.ErrUnexpectedEOF
				}
				return err
			}
		}
		k := min(n, c.w-c.r)
		c.r += k
		n -= k
	}
	return nil
}
