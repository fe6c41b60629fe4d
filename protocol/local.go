package protocol

import (
	"bytes"
	"errors"
)

// local relays a server's request for a file of the client's, and then the
// file: a packet without bytes is its end. Memory is bounded by the buffers,
// and a side that is slow holds the other one back. What the server answers
// comes after it.
func (f *forward) local(n int) error {
	if err := f.need(headerSize + min(n, maxFileName)); err != nil {
		return err
	}
	name := f.src.in[f.pos+headerSize+1 : f.pos+headerSize+min(n, maxFileName)]
	if f.dst == nil || n > maxFileName || !names(f.relay.LocalFile, name) {
		return f.server(malformed("the server asked for a local file, which this statement doesn't load"))
	}
	f.begun, f.relay.LocalFile = true, nil
	if err := f.pass(n); err != nil {
		return err
	}
	if err := f.emit(); err != nil {
		return err
	}
	if err := f.dst.Flush(); err != nil {
		return f.client(err)
	}
	// The client sends its file to the end whatever becomes of the server.
	var failed error
	to := func(err error) {
		if failed == nil {
			failed = err
		}
	}
	joined := false // this packet continues the one before
	for {
		n, err := f.dst.header()
		if err != nil {
			return f.file(err)
		}
		if failed == nil {
			to(f.src.writeHeader(n))
		}
		for left := n; left > 0; {
			if f.dst.r == f.dst.w {
				if err := f.dst.fill(); err != nil {
					return f.file(err)
				}
			}
			k := min(left, f.dst.w-f.dst.r)
			if failed == nil {
				to(f.src.write(f.dst.in[f.dst.r : f.dst.r+k]))
			}
			f.dst.r += k
			left -= k
		}
		if n == 0 && !joined {
			break
		}
		joined = n == maxChunk
	}
	if failed == nil {
		to(f.src.Flush())
	}
	if failed != nil {
		return f.server(failed)
	}
	return nil
}

// maxFileName bounds a request for a file in bytes.
const maxFileName = 8 << 10

// names says whether a statement may mean a file. Names that are written with
// escapes, or that servers convert, can't be compared.
func names(sql, file []byte) bool {
	if len(sql) == 0 {
		return false
	}
	for _, c := range sql {
		if c == '\\' || c >= 0x80 {
			return true
		}
	}
	return bytes.Contains(sql, file) || bytes.Contains(sql, []byte("''")) || bytes.Contains(sql, []byte("\"\""))
}

// file is the error of a client whose file broke off. It is no *Error: nothing
// can be answered to a client that is out of step.
func (f *forward) file(err error) error {
	return f.client(errors.New("the local file broke off: " + unexpected(err).Error()))
}
