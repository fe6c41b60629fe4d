//go:build !unix

package protocol

import (
	"net"
	"syscall"
)

func rawOf(net.Conn) syscall.RawConn { return nil }

func (c *Conn) readRaw(uintptr) bool { return true }

func (c *Conn) writeRaw(uintptr) bool { return true }

func (c *Conn) quiet() bool { return true }
