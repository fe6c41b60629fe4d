//go:build unix && !linux

package socket

import (
	"errors"
	"syscall"
)

// Receive reads what the socket has into p, which isn't empty.
func Receive(fd uintptr, p []byte, flags int) (int, syscall.Errno) {
	for {
		n, _, err := syscall.Recvfrom(int(fd), p, flags|syscall.MSG_DONTWAIT)
		if err != syscall.EINTR {
			return max(n, 0), errno(err)
		}
	}
}

// Transmit writes as much of p, which isn't empty, as the socket takes.
func Transmit(fd uintptr, p []byte) (int, syscall.Errno) {
	for {
		n, err := syscall.Write(int(fd), p)
		if err != syscall.EINTR {
			return max(n, 0), errno(err)
		}
	}
}

func errno(err error) syscall.Errno {
	if err == nil {
		return 0
	}
	if e, ok := errors.AsType[syscall.Errno](err); ok {
		return e
	}
	return syscall.EIO
}
