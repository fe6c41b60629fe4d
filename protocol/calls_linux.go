package protocol

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The two system calls of each packet's way. They return at once, whether or not the
// socket is ready, and the runtime isn't told of them: it would take a thread that is
// descheduled meanwhile, as it often is by the peer that a write wakes, for one that
// blocks, and wake another one in its place. Measured with 16 clients on two cores
// that was a quarter of Shardway's CPU time.

// receive reads what the socket has into p, which isn't empty.
func receive(fd uintptr, p []byte, flags int) (int, syscall.Errno) {
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

// transmit writes as much of p, which isn't empty, as the socket takes.
func transmit(fd uintptr, p []byte) (int, syscall.Errno) {
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
