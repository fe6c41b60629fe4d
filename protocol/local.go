package protocol

import (
	"bytes"
	"errors"
	"io"
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
	if f.dst == nil && f.relay.File == nil || n > maxFileName || !names(f.relay.LocalFile, name) {
		return f.server(malformed("the server asked for a local file, which this statement doesn't load"))
	}
	f.relay.LocalFile = nil
	if f.relay.File != nil {
		return f.give(n)
	}
	f.begun = true
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

// give sends the server a file that isn't the client's own.
func (f *forward) give(n int) error {
	dst := f.dst
	f.dst = nil // the request isn't for the client
	err := f.drop(n)
	f.dst = dst
	if err != nil {
		return err
	}
	buf := buffers.Get().(*[bufferSize]byte)
	defer buffers.Put(buf)
	for {
		n, err := f.relay.File.Read(buf[:])
		if dst != nil {
			f.seq = dst.seq // it may have been read from dst
		}
		if n > 0 {
			if err := f.src.WritePacket(buf[:n]); err != nil {
				return f.server(err)
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			if err := f.src.WritePacket(nil); err != nil {
				return f.server(err)
			}
			if err := f.src.Flush(); err != nil {
				return f.server(err)
			}
			return nil
		case err != nil:
			return f.server(&FileError{Err: err})
		}
	}
}

// FileError is an error of reading Relay.File.
type FileError struct{ Err error }

func (e *FileError) Error() string { return "the file: " + e.Err.Error() }
func (e *FileError) Unwrap() error { return e.Err }

// LocalFile is a file that a client sends.
type LocalFile struct {
	c      *Conn
	left   int  // of the packet that is read
	joined bool // the next packet continues that one
	ended  bool
}

// AskFile asks a client for a file, which has to be read to its end before
// anything else is read from the client or written to it.
func (c *Conn) AskFile(name string) (*LocalFile, error) {
	if err := c.WritePacket(append([]byte{headerLocal}, name...)); err != nil {
		return nil, err
	}
	if err := c.Flush(); err != nil {
		return nil, err
	}
	return &LocalFile{c: c}, nil
}

// Read reads on in the file. Its error is io.EOF at the end, and else ends the
// client's connection.
func (f *LocalFile) Read(p []byte) (int, error) {
	for f.left == 0 {
		if f.ended {
			return 0, io.EOF
		}
		if err := f.next(); err != nil {
			return 0, err
		}
	}
	if f.c.r == f.c.w {
		if err := f.c.fill(); err != nil {
			return 0, errBrokeOff(err)
		}
	}
	n := copy(p[:min(len(p), f.left)], f.c.in[f.c.r:f.c.w])
	f.c.r += n
	f.left -= n
	return n, nil
}

// next begins the next packet; one without bytes is the end.
func (f *LocalFile) next() error {
	n, err := f.c.header()
	if err != nil {
		return errBrokeOff(err)
	}
	f.left, f.ended = n, n == 0 && !f.joined
	f.joined = n == maxChunk
	return nil
}

// Drain reads past what is left of the file.
func (f *LocalFile) Drain() error {
	for {
		if err := f.c.skip(f.left); err != nil {
			return errBrokeOff(err)
		}
		f.left = 0
		if f.ended {
			return nil
		}
		if err := f.next(); err != nil {
			return err
		}
	}
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
	return f.client(errBrokeOff(err))
}

func errBrokeOff(err error) error {
	return errors.New("the local file broke off: " + unexpected(err).Error())
}
