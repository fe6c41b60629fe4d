package gather

import (
	"errors"
	"fmt"
	"io"
	"sync"

	"shardway/protocol"
)

// Source is a connection that rows of a copy are read from.
type Source struct {
	Conn *protocol.Conn
	// Held says that the connection is needed after an error elsewhere: its reply is read to the end.
	Held bool
	In   protocol.Incoming // what was read

	Asked, Done bool  // the query was sent; its last row was read
	Err         error // of reading
}

// Ask sends the query for the rows.
func (src *Source) Ask(sql string) error {
	src.Asked = true
	err := src.Conn.WriteCommand(protocol.ComQuery, []byte(sql))
	if err == nil {
		err = src.Conn.Flush()
	}
	return err
}

// Filling brings rows from several connections into a copy.
type Filling struct {
	Into    *protocol.Conn
	Copy    *Copy
	Sources []*Source // which have been asked
	// Took is told of each batch before it is stored; an error ends the filling.
	Took func(rows, bytes uint64) error
	// Halt makes the sources' replies end soon.
	Halt func()
}

// StoreError is the error of the server that the rows are stored on: a *protocol.Error that it answered, or a
// *protocol.SideError.
type StoreError struct{ Err error }

func (e *StoreError) Error() string { return "store rows: " + e.Err.Error() }
func (e *StoreError) Unwrap() error { return e.Err }

const (
	// batchSize is how large an INSERT is, in bytes, unless one row is larger.
	batchSize = 256 << 10
	// batchesAhead is how many wait for the server that takes them.
	batchesAhead = 2
)

// batch is rows on their way.
type batch struct {
	sql         []byte
	rows, bytes uint64
}

// flow is what the readers and the writer of a Filling share.
type flow struct {
	full, free chan *batch
	quit       chan struct{} // closed when nobody takes rows any more
}

// Run reads all sources at once and stores their rows. It returns after the last reader has ended. The error is one of
// Took or a *StoreError; those of the sources are theirs.
func (f *Filling) Run() (err error) {
	fl := flow{make(chan *batch, batchesAhead), make(chan *batch, len(f.Sources)+batchesAhead), make(chan struct{})}
	var readers, closer sync.WaitGroup
	for _, src := range f.Sources {
		readers.Go(func() { src.read(f.Copy, &fl) })
	}
	closer.Go(func() {
		readers.Wait()
		close(fl.full)
	})
	for b := range fl.full {
		if err == nil {
			if err = f.take(b); err != nil {
				close(fl.quit)
				f.Halt()
			}
		}
		select {
		case fl.free <- b:
		default:
		}
	}
	closer.Wait()
	return err
}

func (f *Filling) take(b *batch) error {
	if err := f.Took(b.rows, b.bytes); err != nil {
		return err
	}
	err := f.store(b.sql)
	if e, ok := errors.AsType[*protocol.Error](err); ok && e.Code == 1062 {
		if sql := f.Copy.Relax(); sql != "" {
			if _, err = f.Into.Exec(sql); err == nil {
				err = f.store(b.sql)
			}
		}
	}
	if err != nil {
		return &StoreError{err}
	}
	return nil
}

func (f *Filling) store(sql []byte) error {
	err := f.Into.WriteCommand(protocol.ComQuery, sql)
	if err == nil {
		err = f.Into.Flush()
	}
	if err != nil {
		return &protocol.SideError{Side: protocol.SideServer, Err: err}
	}
	reply, err := f.Into.Forward(nil, protocol.ReplyQuery, nil)
	if err == nil && reply.Err != nil {
		err = reply.Err
	}
	return err
}

// read turns rows into batches, until there are no more or nobody takes them.
func (src *Source) read(c *Copy, fl *flow) {
	if src.Err = src.In.Begin(src.Conn); src.Err != nil {
		return
	}
	b, wanted := &batch{}, true
	send := func() {
		select {
		case fl.full <- b:
		case <-fl.quit:
			wanted = false
			return
		}
		select {
		case b = <-fl.free:
			b.sql, b.rows, b.bytes = b.sql[:0], 0, 0
		default:
			b = &batch{}
		}
	}
	for {
		row, err := src.In.Next()
		if errors.Is(err, io.EOF) {
			src.Done = true
			if b.rows > 0 && wanted {
				send()
			}
			return
		}
		if err != nil {
			src.Err = err
			return
		}
		if b.rows > 0 && len(b.sql)+2*len(row) > batchSize {
			send()
		}
		if !wanted {
			if src.Held {
				continue
			}
			return
		}
		var ok bool
		if b.sql, ok = c.AppendRow(b.sql, row, protocol.SplitRow); !ok {
			src.Err = &protocol.SideError{Side: protocol.SideServer, Err: fmt.Errorf("a row isn't as its columns say")}
			return
		}
		b.rows++
		b.bytes += uint64(len(row))
	}
}
