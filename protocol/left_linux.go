package protocol

import "golang.org/x/sys/unix"

// PeerLeft says whether the peer has closed its side of the connection, also where something that it sent before
// isn't read yet. It may be called from any goroutine.
func (c *Conn) PeerLeft() bool {
	if c.raw == nil {
		return false
	}
	left := false
	err := c.raw.Control(func(fd uintptr) {
		ask := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLRDHUP}}
		n, err := unix.Poll(ask, 0)
		left = err == nil && n > 0 && ask[0].Revents&(unix.POLLRDHUP|unix.POLLHUP|unix.POLLERR) != 0
	})
	return err != nil || left
}
