//go:build unix

package protocol

import (
	"io"
	"net"
	"os"
	"syscall"
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

// readRaw is called when the socket may be readable. It borrows a buffer and
// gives it back if there was nothing to read after all; then it waits on.
func (c *Conn) readRaw(fd uintptr) bool {
	in := buffers.Get().(*[bufferSize]byte)
	n, err := syscall.Read(int(fd), in[:])
	for err == syscall.EINTR {
		n, err = syscall.Read(int(fd), in[:])
	}
	if n > 0 {
		c.in, c.r, c.w, c.rawN = in, 0, n, n
		return true
	}
	buffers.Put(in)
	switch {
	case err == syscall.EAGAIN:
		return false
	case err != nil:
		c.rawErr = os.NewSyscallError("read", err)
	default:
		c.rawErr = io.EOF
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
	_, _, err := syscall.Recvfrom(int(fd), c.early[:1], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
	c.waiting = err == syscall.EAGAIN || err == syscall.EINTR
}
