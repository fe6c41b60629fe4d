package follow

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-mysql-org/go-mysql/client"
	"github.com/go-mysql-org/go-mysql/mysql"
	"github.com/go-mysql-org/go-mysql/replication"

	"shardway/shardmap/gtid"
)

// Stream is the binary log from a position on. It is for one goroutine at a
// time, but for Heard and Close.
type Stream struct {
	source Source
	conn   *client.Conn
	events chan []byte // closed when the connection has ended
	failed error       // why; for who has seen events closed
	closed chan struct{}
	once   sync.Once
	reader sync.WaitGroup
	heard  atomic.Int64 // nanoseconds since 1970

	assembler *assembler
	ready     []*Transaction
	position  Position
	keep      gtid.Set
	ended     error
}

// ahead is how many events are read ahead. Most have some kilobytes at most.
const ahead = 256

// Start connects and begins to read. ctx bounds that alone.
func Start(ctx context.Context, source Source, o Options) (*Stream, error) {
	if source.Heartbeat <= 0 {
		source.Heartbeat = time.Second
	}
	if source.DialTimeout <= 0 {
		source.DialTimeout = 3 * time.Second
	}
	s := &Stream{source: source, events: make(chan []byte, ahead), closed: make(chan struct{}), assembler: newAssembler(source, o)}
	conn, err := dial(ctx, source)
	if err != nil {
		return nil, &Error{Addr: source.Addr, Text: "no connection for its binary log", Err: err}
	}
	s.conn = conn
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	err = s.dump(o.From)
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		_ = conn.Close()
		return nil, s.explain(err)
	}
	s.position, s.keep = s.assembler.position, o.From
	s.heard.Store(time.Now().UnixNano())
	s.reader.Go(s.read)
	return s, nil
}

func dial(ctx context.Context, source Source) (*client.Conn, error) {
	network, addr := "tcp", source.Addr
	if path, ok := strings.CutPrefix(addr, "unix:"); ok {
		network, addr = "unix", path
	}
	ctx, cancel := context.WithTimeout(ctx, source.DialTimeout)
	defer cancel()
	dialer := &net.Dialer{}
	login := func(encrypt bool) (*client.Conn, error) {
		return client.ConnectWithDialer(ctx, network, addr, source.User, source.Password, "", dialer.DialContext, func(c *client.Conn) error {
			if encrypt {
				c.SetTLSConfig(source.TLS)
			}
			return nil
		})
	}
	encrypt := source.TLS != nil && network != "unix"
	c, err := login(encrypt)
	if err != nil && encrypt && source.Plain && strings.Contains(err.Error(), "does not support TLS") {
		return login(false)
	}
	return c, err
}

// dump asks for the log behind a position.
func (s *Stream) dump(from gtid.Set) error {
	if err := s.conn.SetDeadline(time.Now().Add(s.source.DialTimeout)); err != nil {
		return err
	}
	if mariadb := strings.Contains(s.conn.GetServerVersion(), "MariaDB"); mariadb != s.source.MariaDB {
		return &Error{Addr: s.source.Addr, Text: "it runs " + s.conn.GetServerVersion() + ", which is another kind of server than was said"}
	}
	res, err := s.conn.Execute("SELECT @@server_id, @@log_bin")
	if err != nil {
		return err
	}
	id, err := res.GetUint(0, 0)
	if err != nil {
		return err
	}
	s.assembler.position.Server = uint32(id)
	if on, err := res.GetInt(0, 1); err != nil || on != 1 {
		return &Error{Addr: s.source.Addr, Text: "it has no binary log", Fix: "start it with log_bin", Err: err}
	}
	var random [20]byte
	_, _ = rand.Read(random[:]) // it doesn't fail
	uuid := uuidText([16]byte(random[:16]))
	beat := s.source.Heartbeat.Nanoseconds()
	settings := []string{
		// Nobody needs their sums on a connection that has its own.
		"SET @master_binlog_checksum='NONE', @source_binlog_checksum='NONE'",
		fmt.Sprintf("SET @master_heartbeat_period=%d, @source_heartbeat_period=%d", beat, beat),
		fmt.Sprintf("SET @slave_uuid='%s', @replica_uuid='%s'", uuid, uuid),
		"SET SESSION net_write_timeout=3600", // while the caller is busy
	}
	if s.source.MariaDB {
		settings = append(settings, "SET @mariadb_slave_capability=4", "SET @slave_connect_state='"+from.Position()+"'",
			"SET @slave_gtid_strict_mode=1", "SET @slave_gtid_ignore_duplicates=0")
	}
	for _, q := range settings {
		if _, err := s.conn.Execute(q); err != nil {
			return fmt.Errorf("%.60s: %w", q, err)
		}
	}
	server := s.source.ServerID
	if server == 0 {
		server = binary.LittleEndian.Uint32(random[16:]) | 1<<31
	}
	request, err := request(s.source.MariaDB, server, from)
	if err != nil {
		return err
	}
	s.conn.ResetSequence()
	return s.conn.WritePacket(request)
}

// request is the command for the log, with four bytes in front for the packet's
// header.
func request(mariadb bool, server uint32, from gtid.Set) ([]byte, error) {
	if mariadb {
		b := append(make([]byte, 4), mysql.COM_BINLOG_DUMP)
		b = binary.LittleEndian.AppendUint32(b, 4)
		// With the statements of rows: where a server doesn't say where an event
		// ends, each one counts.
		b = binary.LittleEndian.AppendUint16(b, replication.BINLOG_SEND_ANNOTATE_ROWS_EVENT)
		return binary.LittleEndian.AppendUint32(b, server), nil
	}
	set, err := mysql.ParseMysqlGTIDSet(from.String())
	if err != nil {
		return nil, err
	}
	encoded := set.Encode()
	b := append(make([]byte, 4), mysql.COM_BINLOG_DUMP_GTID)
	b = binary.LittleEndian.AppendUint16(b, 0)
	b = binary.LittleEndian.AppendUint32(b, server)
	b = binary.LittleEndian.AppendUint32(b, 0) // no file's name
	b = binary.LittleEndian.AppendUint64(b, 4)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(encoded)))
	return append(b, encoded...), nil
}

// read reads events until the connection ends.
func (s *Stream) read() {
	defer close(s.events)
	silence := 5 * s.source.Heartbeat
	for {
		if s.failed = s.conn.SetDeadline(time.Now().Add(silence)); s.failed != nil {
			return
		}
		var data []byte
		if data, s.failed = s.conn.ReadPacket(); s.failed != nil {
			if time.Since(s.Heard()) >= silence {
				s.failed = &Error{Addr: s.source.Addr, Text: fmt.Sprintf("it said nothing for %s, though an idle server does each %s", silence, s.source.Heartbeat), Err: s.failed}
			}
			return
		}
		s.heard.Store(time.Now().UnixNano())
		switch data[0] {
		case mysql.OK_HEADER:
		case mysql.ERR_HEADER:
			s.failed = s.conn.HandleErrorPacket(data)
			return
		default:
			s.failed = errors.New("it ended its binary log's stream")
			return
		}
		select {
		case s.events <- data[1:]:
		case <-s.closed:
			s.failed = net.ErrClosed
			return
		}
	}
}

// Next waits for the next transaction. When ctx ends first, the error is ctx's
// and nothing is lost: call it again. With a ctx that has ended, Next gives what
// is there without waiting. Any other error ends the stream.
func (s *Stream) Next(ctx context.Context) (*Transaction, error) {
	for len(s.ready) == 0 {
		if s.ended != nil {
			return nil, s.ended
		}
		event, err := s.event(ctx)
		if err != nil {
			return nil, err
		}
		if s.ready, err = s.assembler.add(event); err != nil {
			s.ended = err
			return nil, err
		}
	}
	t := s.ready[0]
	s.ready = s.ready[1:]
	s.position, s.keep = t.Position, t.Keep
	return t, nil
}

func (s *Stream) event(ctx context.Context) ([]byte, error) {
	var event []byte
	ok := true
	select {
	case event, ok = <-s.events:
	default:
		select {
		case event, ok = <-s.events:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	if !ok {
		s.ended = s.explain(s.failed)
		return nil, s.ended
	}
	return event, nil
}

// Position is that of the last transaction that Next gave, or of the start.
func (s *Stream) Position() Position { return s.position }

// Keep is [Transaction.Keep] of the last transaction.
func (s *Stream) Keep() gtid.Set { return s.keep }

// Reached says whether Next has given all transactions of a set.
func (s *Stream) Reached(set gtid.Set) bool { return s.position.GTID.Contains(set) }

// Heard is when the server last sent something, a heartbeat too.
func (s *Stream) Heard() time.Time { return time.Unix(0, s.heard.Load()) }

// Close ends the stream.
func (s *Stream) Close() error {
	var err error
	s.once.Do(func() {
		close(s.closed)
		err = s.conn.Close()
	})
	s.reader.Wait()
	return err
}

// explain makes an Error of why a stream ended.
func (s *Stream) explain(err error) error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	e := &Error{Addr: s.source.Addr, Text: "its binary log can't be read", Err: err}
	theirs, ok := errors.AsType[*mysql.MyError](err)
	if !ok {
		e.Text = "the connection for its binary log ended"
		return e
	}
	switch {
	case theirs.Code == mysql.ER_MASTER_FATAL_ERROR_READING_BINLOG && strings.Contains(theirs.Message, "urged"):
		e.Purged, e.Text, e.Fix = true, "it has deleted a part of its binary log that is needed", "keep its logs for longer (binlog_expire_logs_seconds), and begin anew"
	case theirs.Code == mysql.ER_MASTER_FATAL_ERROR_READING_BINLOG && strings.Contains(theirs.Message, "not in the master's binlog"):
		e.Purged, e.Text, e.Fix = true, "its binary log doesn't have the transaction behind which to begin", "begin anew: the server's history isn't the one that was followed"
	case theirs.Code == mysql.ER_SPECIFIC_ACCESS_DENIED_ERROR, theirs.Code == mysql.ER_ACCESS_DENIED_ERROR:
		e.Fix = "grant REPLICATION SLAVE to " + s.source.User
	}
	return e
}
