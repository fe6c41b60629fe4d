//go:build !linux

package protocol

import (
	"syscall"
	"time"
)

func userTimeout(time.Duration) func(string, string, syscall.RawConn) error { return nil }

// SetUserTimeout does nothing on this system.
func (c *Conn) SetUserTimeout(time.Duration) error { return nil }
