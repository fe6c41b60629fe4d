package protocol

import "shardway/protocol/compress"

// Compression is how connections are compressed.
type Compression = compress.Algorithm

// The kinds of compression.
const (
	CompressNone = compress.None
	CompressZlib = compress.Zlib
	CompressZstd = compress.Zstd
)

// zstdLevel is the level that a client asks its server for: the servers' default.
const zstdLevel = 3

// CompressionCapability is what says at login that a kind of compression can be used.
func CompressionCapability(a Compression) Capability {
	switch a {
	case CompressZlib:
		return CapCompress
	case CompressZstd:
		return CapZstd
	default:
		return 0
	}
}

// compressionOf is the compression of a connection with these capabilities. Servers prefer zlib where a client has
// both.
func compressionOf(caps Capability) Compression {
	switch {
	case caps.Has(CapCompress):
		return CompressZlib
	case caps.Has(CapZstd):
		return CompressZstd
	default:
		return CompressNone
	}
}

// startCompression lets everything from now on go through what the login agreed on. Bytes that came before belong to
// it.
func (c *Conn) startCompression() {
	a := compressionOf(c.caps)
	if a == CompressNone {
		return
	}
	nc := c.nc
	if c.r != c.w {
		nc = &prefixed{Conn: nc, rest: append([]byte(nil), c.in[c.r:c.w]...)}
		c.r = c.w
	}
	c.zip = compress.New(nc, a)
	c.nc, c.drained = c.zip, false
	c.Idle()
}

// Compression is the one in use.
func (c *Conn) Compression() Compression {
	if c.zip == nil {
		return CompressNone
	}
	return c.zip.Algorithm()
}
