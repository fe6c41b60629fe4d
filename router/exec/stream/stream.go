package stream

import (
	"errors"
	"fmt"
	"io"
	"sync"

	"shardway/protocol"
	"shardway/router/exec/merge"
)

const (
	// batchSize is how many bytes of rows are handed on at once.
	batchSize = 32 << 10
	// batchesAhead is how many batches of one server there may be.
	batchesAhead = 3
	// keepSize bounds in bytes the memory that a batch keeps for the next rows.
	keepSize = 256 << 10
)

// ErrFailed is what a Source says when another reply has failed: First tells which.
var ErrFailed = errors.New("the reply of another server failed")

// Streams are the replies to one statement of several servers.
type Streams struct {
	each []stream
	all  chan *batch // of all replies, where their order doesn't matter; else nil

	mu       sync.Mutex // guards first and panicked
	first    int        // the reply that failed first, -1 for none
	panicked any
	failed   chan struct{} // closed then
	stopped  chan struct{}
	stop     sync.Once
	readers  sync.WaitGroup
}

// stream is one server's reply.
type stream struct {
	conn  *protocol.Conn
	in    protocol.Incoming
	err   error
	began chan struct{} // the columns or an error are known
	done  chan struct{} // nothing is read any more
	full  chan *batch
	free  chan *batch
	made  int // batches
}

// batch is some rows.
type batch struct {
	from  *stream
	bytes []byte
	ends  []int // of the rows
	last  bool  // no others follow
}

// New prepares the reading of one reply on each connection. inOrder says that the sources are kept apart; otherwise there
// is one source for all rows, as they come.
func New(conns []*protocol.Conn, inOrder bool) *Streams {
	s := &Streams{each: make([]stream, len(conns)), first: -1, failed: make(chan struct{}), stopped: make(chan struct{})}
	if !inOrder {
		s.all = make(chan *batch, batchesAhead*len(conns))
	}
	for i := range s.each {
		one := &s.each[i]
		one.conn = conns[i]
		one.began, one.done = make(chan struct{}), make(chan struct{})
		one.free = make(chan *batch, batchesAhead)
		one.full = s.all
		if inOrder {
			one.full = make(chan *batch, batchesAhead)
		}
	}
	return s
}

// Start begins to read the reply of a server that has got its statement.
func (s *Streams) Start(i int) {
	s.readers.Go(func() { s.read(i) })
}

// Began waits until the columns of a reply are known. An error is ErrFailed.
func (s *Streams) Began(i int) error {
	select {
	case <-s.each[i].began:
	case <-s.failed:
		return ErrFailed
	}
	select {
	case <-s.failed:
		return ErrFailed
	default:
		return nil
	}
}

// Columns are the definitions of a reply's columns, once it has begun.
func (s *Streams) Columns(i int) [][]byte { return s.each[i].in.Columns }

// Reply is what a server has said, once its reply is Done.
func (s *Streams) Reply(i int) *protocol.Reply { return &s.each[i].in.Reply }

// Err is how a reply ended, once it is Done: nil, or an error of Incoming.
func (s *Streams) Err(i int) error { return s.each[i].err }

// First is the reply that failed first; ok is false when none has failed.
func (s *Streams) First() (i int, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.first, s.first >= 0
}

// Done is closed when a reply that was started has been read to its end.
func (s *Streams) Done(i int) <-chan struct{} { return s.each[i].done }

// Stop says that no more rows are wanted: what the servers still send is read past.
func (s *Streams) Stop() { s.stop.Do(func() { close(s.stopped) }) }

// Wait waits until all replies that were started are read.
func (s *Streams) Wait() {
	s.readers.Wait()
	if s.panicked != nil {
		panic(s.panicked)
	}
}

// Sources are where the rows come out.
func (s *Streams) Sources() []merge.Source {
	if s.all != nil {
		return []merge.Source{&source{streams: s, full: s.all, left: len(s.each)}}
	}
	list := make([]merge.Source, len(s.each))
	for i := range s.each {
		list[i] = &source{streams: s, full: s.each[i].full, left: 1}
	}
	return list
}

func (s *Streams) fail(i int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.each[i].err = err
	if s.first < 0 {
		s.first = i
		close(s.failed)
	}
}

// read reads a reply to its end.
func (s *Streams) read(i int) {
	one := &s.each[i]
	defer close(one.done)
	defer func() {
		if p := recover(); p != nil {
			s.fail(i, fmt.Errorf("panic: %v", p))
			s.mu.Lock()
			s.panicked = p
			s.mu.Unlock()
		}
	}()
	err := one.in.Begin(one.conn)
	if err != nil {
		s.fail(i, err)
		close(one.began)
		return
	}
	close(one.began)
	if err := s.rows(one); err != nil {
		s.fail(i, err)
	}
}

// rows hands on the rows of a reply.
func (s *Streams) rows(one *stream) error {
	wanted := true
	b := one.batch(s)
	for {
		row, err := one.in.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if !wanted || b == nil {
			wanted = false
			continue
		}
		b.bytes = append(b.bytes, row...)
		b.ends = append(b.ends, len(b.bytes))
		if len(b.bytes) >= batchSize || one.in.Buffered() == 0 {
			wanted = s.pass(one, b)
			if wanted {
				b = one.batch(s)
			}
		}
	}
	if one.in.Reply.Status.Has(protocol.StatusMoreResults) {
		return &protocol.SideError{Side: protocol.SideServer, Err: errors.New("a second result came where one was asked for")}
	}
	if wanted && b != nil {
		b.last = true
		s.pass(one, b)
	}
	return nil
}

// batch is an empty one, nil when no more rows are wanted.
func (one *stream) batch(s *Streams) *batch {
	select {
	case b := <-one.free:
		return b
	default:
	}
	if one.made < batchesAhead {
		one.made++
		return &batch{from: one}
	}
	select {
	case b := <-one.free:
		return b
	case <-s.stopped:
		return nil
	}
}

// pass hands a batch on. It says false when no more rows are wanted.
func (s *Streams) pass(one *stream, b *batch) bool {
	select {
	case <-s.stopped:
		return false
	default:
	}
	select {
	case one.full <- b:
		return true
	case <-s.stopped:
		return false
	}
}

// source gives the rows of batches one by one.
type source struct {
	streams *Streams
	full    chan *batch
	left    int // replies that have more batches
	now     *batch
	row     int // the next one's number in now
	from    int // and where it begins
}

// Next gives the next row, as merge.Source says.
func (s *source) Next() ([]byte, error) {
	for {
		if b := s.now; b != nil {
			if s.row < len(b.ends) {
				from := s.from
				s.from = b.ends[s.row]
				s.row++
				return b.bytes[from:s.from], nil
			}
			s.now = nil
			b.again()
		}
		if s.left == 0 {
			return nil, io.EOF
		}
		select {
		case b := <-s.full:
			if b.last {
				s.left--
			}
			s.now, s.row, s.from = b, 0, 0
		case <-s.streams.failed:
			return nil, ErrFailed
		}
	}
}

// again empties a batch and gives it back to its reader.
func (b *batch) again() {
	if cap(b.bytes) > keepSize {
		b.bytes = nil
	}
	b.bytes, b.ends = b.bytes[:0], b.ends[:0]
	b.from.free <- b // there is room for all that were made
}
