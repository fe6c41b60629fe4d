//go:build !unix

package protocol

import (
	"net"
	"syscall"
)

func rawOf(net.Conn) syscall.RawConn { return nil }

func (c *Conn) readRaw(uintptr) bool { return true }

func quiet(syscall.RawConn) bool { return true }
