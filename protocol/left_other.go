//go:build !linux

package protocol

// PeerLeft says whether the peer is known to have closed its side of the connection, which can't be told here.
func (c *Conn) PeerLeft() bool { return false }
