//go:build unix

package protocol

import (
	"io"
	"net"
	"os"
	"syscall"

	"shardway/protocol/socket"
)

// rawOf gives the descriptor of a socket whose readiness can be waited for
// without a buffer at hand.
func rawOf(nc net.Conn) syscall.RawConn {
	switch nc.(type) {
	case *net.TCPConn, *net.UnixConn:
	default:
		return nil
	}
	raw, err := nc.(syscall.Conn).SyscallConn()
	if err != nil {
		return nil
	}
	return raw
}

// readRaw is called when the socket may be readable. It borrows a buffer, where the
// connection has none, and gives it back if there was nothing to read after all;
// then it waits on. A command that is still buffered is sent first. Its answer can't
// be there at once, and will wake who waits: the poller has been asked before.
func (c *Conn) readRaw(fd uintptr) bool {
	if c.asked {
		return c.askRaw(fd)
	}
	in := c.in
	if in == nil {
		in = buffers.Get().(*[bufferSize]byte)
		c.r, c.w = 0, 0
	}
	n, err := socket.Receive(fd, in[c.w:], 0)
	if n > 0 {
		c.in, c.rawN, c.drained = in, n, n < len(in)-c.w
		c.w += n
		return true
	}
	if c.in == nil {
		buffers.Put(in)
	}
	switch {
	case err == syscall.EAGAIN:
		return false
	case err != 0:
		c.rawErr = os.NewSyscallError("read", err)
	default:
		c.rawErr = io.EOF
	}
	return true
}

// askRaw sends what is buffered. It leaves asked set if not all of it could be sent.
func (c *Conn) askRaw(fd uintptr) (ended bool) {
	n, err := socket.Transmit(fd, c.out[:c.n])
	c.BytesOut += uint64(n)
	switch {
	case err != 0 && err != syscall.EAGAIN:
		c.rawErr = os.NewSyscallError("write", err)
		c.lost, c.asked, c.n = true, false, 0
		return true
	case n < c.n:
		c.n = copy(c.out[:], c.out[n:c.n])
		return true
	}
	c.n, c.asked = 0, false
	return false
}

// writeRaw is called when the socket may take more.
func (c *Conn) writeRaw(fd uintptr) bool {
	for len(c.rawOut) > 0 {
		n, err := socket.Transmit(fd, c.rawOut)
		switch err {
		case 0:
			c.rawOut = c.rawOut[n:]
		case syscall.EAGAIN:
			return false
		default:
			c.rawErr = os.NewSyscallError("write", err)
			return true
		}
	}
	return true
}

// quiet says that the peer has neither closed nor sent anything.
func (c *Conn) quiet() bool {
	c.waiting = false
	if c.rawPeek == nil {
		c.rawPeek = c.peekRaw
	}
	return c.raw.Control(c.rawPeek) == nil && c.waiting
}

// peekRaw looks whether there is anything to read.
func (c *Conn) peekRaw(fd uintptr) {
	_, err := socket.Receive(fd, c.early[:1], syscall.MSG_PEEK)
	c.waiting = err == syscall.EAGAIN
}
