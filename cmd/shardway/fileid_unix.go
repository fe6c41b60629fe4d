//go:build unix

package main

import (
	"io/fs"
	"syscall"
)

// fileID is the inode: a file that was put in another's place has another.
func fileID(info fs.FileInfo) uint64 {
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return s.Ino
	}
	return 0
}
