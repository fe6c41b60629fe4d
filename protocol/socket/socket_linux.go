package socket

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The runtime isn't told of these calls. They return at once, whether or not the
// socket is ready, but the peer that a write wakes often runs first on the same CPU:
// the runtime would take the thread for one that blocks, and wake another one in its
// place. Measured with 16 clients on two cores that was a seventh of Shardway's CPU
// time.

// Receive reads what the socket has into p, which isn't empty. Its error is EAGAIN
// where there is nothing.
func Receive(fd uintptr, p []byte, flags int) (int, syscall.Errno) {
	for {
		n, _, err := unix.RawSyscall6(unix.SYS_RECVFROM, fd, uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)), uintptr(flags|unix.MSG_DONTWAIT), 0, 0)
		switch err {
		case 0:
			return int(n), 0
		case unix.EINTR:
		default:
			return 0, err
		}
	}
}

// Transmit writes as much of p, which isn't empty, as the socket takes. Its error is
// EAGAIN where it takes nothing. p should be short: other goroutines may wait
// for the thread meanwhile.
func Transmit(fd uintptr, p []byte) (int, syscall.Errno) {
	for {
		n, _, err := unix.RawSyscall6(unix.SYS_SENDTO, fd, uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)), unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, 0, 0)
		switch err {
		case 0:
			return int(n), 0
		case unix.EINTR:
		default:
			return 0, err
		}
	}
}
