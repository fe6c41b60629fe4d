package protocol

import (
	"net"
	"syscall"
	"time"
)

const tcpUserTimeout = 18 // TCP_USER_TIMEOUT, which package syscall lacks

// userTimeout limits how long the kernel keeps sending what nobody
// acknowledges, so that a peer that vanished is noticed.
func userTimeout(d time.Duration) func(string, string, syscall.RawConn) error {
	if d <= 0 {
		return nil
	}
	return func(network, _ string, raw syscall.RawConn) error {
		if network == "unix" {
			return nil
		}
		var err error
		if e := raw.Control(func(fd uintptr) {
			err = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpUserTimeout, int(d.Milliseconds()))
		}); e != nil {
			return e
		}
		return err
	}
}

// SetUserTimeout ends a TCP connection whose peer acknowledges nothing, or reads nothing of what waits for it, for so
// long. On other connections, and on systems without TCP_USER_TIMEOUT, it does nothing.
func (c *Conn) SetUserTimeout(d time.Duration) error {
	if _, tcp := c.base.(*net.TCPConn); !tcp || c.raw == nil || d <= 0 {
		return nil
	}
	return userTimeout(d)("tcp", "", c.raw)
}
