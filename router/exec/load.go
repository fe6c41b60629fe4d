package exec

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"

	"shardway/protocol"
	"shardway/router/backend"
)

// Loaded is what a LOAD DATA LOCAL on several shards did, summed up.
type Loaded struct {
	Affected, InsertID                uint64
	Records, Deleted, Skipped, Warned uint64
	Warnings                          *protocol.Result // as SHOW WARNINGS gives them; nil for none
}

// Info is the text of the reply, as one server words it.
func (l *Loaded) Info() string {
	return fmt.Sprintf("Records: %d  Deleted: %d  Skipped: %d  Warnings: %d", l.Records, l.Deleted, l.Skipped, l.Warned)
}

// add takes over what one shard answered.
func (l *Loaded) add(reply *protocol.Reply) {
	l.Affected += reply.AffectedRows
	if l.InsertID == 0 {
		l.InsertID = reply.InsertID
	}
	var records, deleted, skipped, warned uint64
	if n, err := fmt.Sscanf(reply.Info, "Records: %d  Deleted: %d  Skipped: %d  Warnings: %d", &records, &deleted, &skipped, &warned); err == nil && n == 4 {
		l.Records, l.Deleted, l.Skipped, l.Warned = l.Records+records, l.Deleted+deleted, l.Skipped+skipped, l.Warned+warned
	}
}

// loadBuffer is how many bytes for one shard are put together before they go there.
const loadBuffer = 32 << 10

// Load runs one LOAD DATA LOCAL on several shards at a time, each with a file of its own: feed writes to where it is
// told for each of them, is held back by the slowest, and its error ends the statement everywhere. In a transaction it
// runs on the transaction's connections; without one, what a shard has done stays when another one fails. Nothing is
// relayed to the client. alike says
// that all shards get the same rows, which count once. An error is as Run's.
func (s *Session) Load(ctx context.Context, r *Request, shards []string, alike bool, feed func(to []io.Writer) error) (*Loaded, error) {
	if len(s.holds) > 0 {
		s.AskInsertID()
		s.let(whyShort)
	}
	parts := make([]loadPart, 0, len(shards))
	defer func() {
		for i := range parts { // those of a panic, or of one that couldn't be begun
			if !parts[i].gone(s) {
				s.dropUnread(parts[i].conn)
			}
		}
	}()
	for _, id := range shards {
		one := *r
		one.Shard = id
		var c *backend.Conn
		var err error
		if s.InTransaction() || !s.autocommit {
			c, err = s.participant(ctx, &one)
		} else {
			c, err = s.acquire(ctx, &one, backend.Primary, nil)
		}
		if lost, ok := errors.AsType[*lostError](err); ok {
			return nil, lost.forClient(&one)
		}
		if err != nil {
			return nil, err
		}
		from, to := io.Pipe()
		parts = append(parts, loadPart{conn: c, held: s.holdOf(c) != nil, request: one, from: from, to: to, out: bufio.NewWriterSize(to, loadBuffer)})
	}
	err := s.feed(ctx, parts, feed)
	stopped := errors.Is(err, errEnoughRead) // by a shard, whose error is the one to tell
	sum := &Loaded{}
	for i := range parts {
		counts := sum
		if alike && i > 0 {
			counts = &Loaded{}
		}
		if parts[i].gone(s) {
			continue
		}
		if e := s.loaded(counts, &parts[i]); e != nil && !errors.Is(e, errEnoughRead) && (err == nil || stopped) {
			err, stopped = e, false
		}
	}
	parts = parts[:0]
	if err != nil {
		return nil, err
	}
	return sum, nil
}

// loadPart is what one shard gets of a file.
type loadPart struct {
	conn    *backend.Conn
	held    bool // the session keeps it, in a transaction for one
	request Request
	from    *io.PipeReader
	to      *io.PipeWriter
	out     *bufio.Writer
	reply   protocol.Reply
	err     error
}

// gone says whether the connection ended with the transaction, which another part has ended: it may be in others' hands.
func (p *loadPart) gone(s *Session) bool { return p.held && s.holdOf(p.conn) == nil }

// feed runs the statement on all parts while the file is fed to them. All have ended when it returns.
func (s *Session) feed(ctx context.Context, parts []loadPart, feed func(to []io.Writer) error) (err error) {
	var running sync.WaitGroup
	ended := context.AfterFunc(ctx, func() {
		for i := range parts {
			parts[i].conn.Interrupt()
		}
	})
	defer ended()
	defer running.Wait()
	to := make([]io.Writer, len(parts))
	for i := range parts {
		p := &parts[i]
		to[i] = p.out
		running.Go(p.run)
	}
	done := false
	defer func() {
		for i := range parts {
			p := &parts[i]
			cause := err
			switch {
			case !done:
				cause = errors.New("the file's reader panicked")
			case cause == nil:
				cause = p.out.Flush()
			}
			p.to.CloseWithError(cause) // nil is the end of the file
		}
	}()
	err = feed(to)
	done = true
	return err
}

// run sends the statement and its file.
func (p *loadPart) run() {
	c, r := p.conn, &p.request
	p.err = c.WriteQuery(r.Attributes, r.Payload)
	if p.err == nil {
		p.err = c.Flush()
	}
	if p.err == nil {
		p.reply, p.err = c.Forward(nil, protocol.ReplyQuery, &protocol.Relay{LocalFile: r.LocalFile, File: p.from})
	}
	p.from.CloseWithError(errEnoughRead) // so that nobody waits to write to it
}

// errEnoughRead is the error of writing to a shard that has answered or failed.
var errEnoughRead = errors.New("the server has answered before the end of the file")

// loaded takes over what one shard answered, and gives its connection back.
func (s *Session) loaded(sum *Loaded, p *loadPart) error {
	c, r := p.conn, &p.request
	if own, ok := errors.AsType[*protocol.FileError](p.err); ok {
		s.dropUnread(c)
		return own.Err
	}
	if p.err != nil {
		lost, ok := errors.AsType[*lostError](s.lost(c, p.err, false))
		if !ok {
			return p.err
		}
		s.noteLost(r.Shard)
		return lost.forClient(r)
	}
	if e := p.reply.Err; e != nil {
		s.settle(c, r, &p.reply, false)
		return e
	}
	sum.add(&p.reply)
	if p.reply.Warnings > 0 {
		shown, err := c.Query("SHOW WARNINGS")
		if err != nil {
			s.broke(c, err)
			return nil // the rows are in
		}
		if sum.Warnings == nil {
			sum.Warnings = &protocol.Result{Columns: shown.Columns}
		}
		sum.Warnings.Rows = append(sum.Warnings.Rows, shown.Rows...)
		p.reply.Warnings = 0
	}
	s.settle(c, r, &p.reply, false)
	return nil
}

// LoadFacts are what has to be known of a table before a file can be split.
type LoadFacts struct {
	Columns []string // in order, without those that a file without a column list leaves out
	Unusual string   // a column that is generated or invisible, "" for none
	Charset string   // of a file without CHARACTER SET, lower case
}

// AskLoadFacts asks a shard's primary about a table, in the session's own state.
func (s *Session) AskLoadFacts(ctx context.Context, shard, schema, table string) (*LoadFacts, error) {
	r := &Request{Shard: shard, Read: true}
	c, err := s.acquire(ctx, r, backend.Primary, nil)
	if lost, ok := errors.AsType[*lostError](err); ok {
		return nil, lost.forClient(r)
	}
	if err != nil {
		return nil, err
	}
	res, err := c.Query("SELECT COLUMN_NAME, EXTRA, LOWER(@@character_set_database) FROM information_schema.COLUMNS WHERE TABLE_SCHEMA=" + quote(schema) +
		" AND TABLE_NAME=" + quote(table) + " ORDER BY ORDINAL_POSITION")
	if err != nil {
		return nil, unready(c, r, s.lost(c, err, true))
	}
	c.Release()
	f := &LoadFacts{}
	for _, row := range res.Rows {
		if len(row) < 3 || row[0] == nil || row[1] == nil || row[2] == nil {
			continue
		}
		f.Charset = *row[2]
		if unusualColumn(*row[1]) {
			f.Unusual = *row[0]
		}
		f.Columns = append(f.Columns, *row[0])
	}
	if len(f.Columns) == 0 {
		return nil, protocol.Errorf(1146, "42S02", "Table '%s.%s' doesn't exist", schema, table)
	}
	return f, nil
}

// unusualColumn says of EXTRA that the column is generated or invisible. "DEFAULT_GENERATED" is neither.
func unusualColumn(extra string) bool {
	for word := range strings.FieldsSeq(strings.ToUpper(extra)) {
		switch strings.Trim(word, ",") {
		case "INVISIBLE", "VIRTUAL", "STORED", "PERSISTENT", "GENERATED":
			return true
		}
	}
	return false
}
