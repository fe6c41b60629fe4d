//go:build !linux

package protocol

import (
	"syscall"
	"time"
)

func userTimeout(time.Duration) func(string, string, syscall.RawConn) error { return nil }
