package follow

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/go-mysql-org/go-mysql/replication"

	"shardway/shardmap/gtid"
	"shardway/shardmap/rebalance/rows"
)

// mostKeys bounds the bytes of one transaction's keys.
const mostKeys = 512 << 20

// assembler makes transactions of a server's events.
type assembler struct {
	source Source
	parser *replication.BinlogParser
	tables map[string]*followed
	list   []*followed
	done   gtid.Set // those in it were dealt with
	keep   gtid.Set // all that were read
	sums   bool     // events end with a checksum

	maps     map[uint64]*tableMap
	position Position
	current  *open
	prepared []*branch // in the order of their PREPARE
	ended    *branches
}

// open is a transaction that is being read.
type open struct {
	gtid   string
	set    gtid.Set
	at     time.Time
	ends   bool // with a COMMIT: it is no single statement
	branch string
	keys   map[*followed]*keySet
	bytes  int
	point  map[*followed]int // how many keys there were at the last SAVEPOINT
	Transaction
}

// keySet are keys in the order in which they came first.
type keySet struct {
	seen map[rows.Key]struct{}
	list []rows.Key
}

// branch is an XA branch that is prepared.
type branch struct {
	id     string
	before gtid.Set // what was read before its PREPARE
	from   *open
}

// branches are the XA branches that were committed by transactions that were
// given, until it is known that all can be read.
type branches struct {
	mu  sync.Mutex
	ids map[string]struct{}
}

func newAssembler(source Source, o Options) *assembler {
	a := &assembler{
		source: source, tables: map[string]*followed{}, done: o.Done, keep: o.From, maps: map[uint64]*tableMap{},
		ended: &branches{ids: map[string]struct{}{}},
	}
	if a.done.IsEmpty() {
		a.done = o.From
	}
	a.position = Position{GTID: a.done, ended: a.ended}
	for _, t := range o.Tables {
		a.follow(&followed{table: t})
	}
	for _, t := range o.Marks {
		a.follow(&followed{table: t, mark: true})
	}
	a.parser = replication.NewBinlogParser()
	if source.MariaDB {
		a.parser.SetFlavor("mariadb")
	}
	// Rows are read from the raw events, and only those that are followed.
	a.parser.SetRowsEventDecodeFunc(func(*replication.RowsEvent, []byte) error { return nil })
	a.parser.SetTableMapOptionalMetaDecodeFunc(func([]byte) error { return nil })
	return a
}

func (a *assembler) follow(f *followed) {
	a.tables[nameOf(f.table.Schema, f.table.Name)] = f
	a.list = append(a.list, f)
}

// add takes the next event and gives the transactions that are complete with it.
func (a *assembler) add(raw []byte) (all []*Transaction, err error) {
	defer func() {
		if p := recover(); p != nil { // of the library, on bytes that make no sense
			err = a.fail("an event of the log can't be read", "", fmt.Errorf("%v", p))
		}
	}()
	header := &replication.EventHeader{}
	if err := header.Decode(raw); err != nil {
		return nil, a.fail("an event of the log can't be read", "", err)
	}
	a.advance(header)
	done, err := a.event(header, raw)
	if err != nil {
		if _, ok := errors.AsType[*Error](err); !ok {
			err = a.fail(fmt.Sprintf("an event of type %s, before offset %d of %s, can't be read", header.EventType, a.position.Offset, a.position.File), "", err)
		}
		return nil, err
	}
	for _, o := range done {
		if t := a.finish(o); t != nil {
			all = append(all, t)
		}
	}
	return all, nil
}

// advance moves the place in the file behind an event of it.
func (a *assembler) advance(h *replication.EventHeader) {
	at := &a.position.Offset
	switch {
	case h.Flags&replication.LOG_EVENT_ARTIFICIAL_F != 0, h.EventType == replication.HEARTBEAT_EVENT: // it isn't in the file
	case h.LogPos == 0:
		if a.source.MariaDB { // some servers don't say where an event ends
			*at += uint64(h.EventSize)
		}
	default:
		offset := *at&^0xffffffff | uint64(h.LogPos)
		if offset+1<<31 < *at {
			offset += 1 << 32 // the event has but 32 bits for it
		}
		*at = max(*at, offset)
	}
}

func (a *assembler) fail(text, fix string, err error) *Error {
	return &Error{Addr: a.source.Addr, Text: text, Fix: fix, Err: err}
}

// body is what is behind an event's header, without its checksum.
func (a *assembler) body(raw []byte, inner bool) ([]byte, error) {
	end := len(raw)
	if a.sums && !inner {
		end -= replication.BinlogChecksumLength
	}
	if end < replication.EventHeaderSize {
		return nil, errShort
	}
	return raw[replication.EventHeaderSize:end], nil
}

// event reads an event and gives the transactions that end with it.
func (a *assembler) event(h *replication.EventHeader, raw []byte) ([]*open, error) {
	switch h.EventType {
	case replication.HEARTBEAT_EVENT, replication.HEARTBEAT_LOG_EVENT_V2, replication.PREVIOUS_GTIDS_EVENT, replication.ROWS_QUERY_EVENT,
		replication.MARIADB_ANNOTATE_ROWS_EVENT, replication.MARIADB_BINLOG_CHECKPOINT_EVENT, replication.MARIADB_GTID_LIST_EVENT:
		return nil, nil
	case replication.TABLE_MAP_EVENT, replication.QUERY_EVENT, replication.MARIADB_QUERY_COMPRESSED_EVENT, replication.XID_EVENT,
		replication.XA_PREPARE_LOG_EVENT, replication.WRITE_ROWS_EVENTv1, replication.UPDATE_ROWS_EVENTv1, replication.DELETE_ROWS_EVENTv1,
		replication.WRITE_ROWS_EVENTv2, replication.UPDATE_ROWS_EVENTv2, replication.DELETE_ROWS_EVENTv2, replication.PARTIAL_UPDATE_ROWS_EVENT,
		replication.MARIADB_WRITE_ROWS_COMPRESSED_EVENT_V1, replication.MARIADB_UPDATE_ROWS_COMPRESSED_EVENT_V1,
		replication.MARIADB_DELETE_ROWS_COMPRESSED_EVENT_V1, replication.EXECUTE_LOAD_QUERY_EVENT, replication.INCIDENT_EVENT:
		body, err := a.body(raw, false)
		if err != nil {
			return nil, err
		}
		return a.inTransaction(h, body)
	case replication.MARIADB_START_ENCRYPTION_EVENT: // the server decrypts what it sends
		return nil, nil
	default: // the library reads it
	}
	parsed, err := a.parser.Parse(raw)
	if err != nil {
		return nil, err
	}
	switch e := parsed.Event.(type) {
	case *replication.FormatDescriptionEvent:
		a.sums = e.ChecksumAlgorithm == replication.BINLOG_CHECKSUM_ALG_CRC32
	case *replication.RotateEvent:
		a.position.File, a.position.Offset = string(e.NextLogName), e.Position
	case *replication.GTIDEvent:
		if h.EventType == replication.ANONYMOUS_GTID_EVENT {
			return nil, a.fail("its log has transactions without a GTID", "set gtid_mode=ON", nil)
		}
		return a.begin(h, mysqlGTID(e.SID, "", e.GNO), true)
	case *replication.GtidTaggedLogEvent:
		return a.begin(h, mysqlGTID(e.SID, e.Tag.String(), e.GNO), true)
	case *replication.MariadbGTIDEvent:
		// The server's id isn't in the event's own part.
		id := fmt.Sprintf("%d-%d-%d", e.GTID.DomainID, h.ServerID, e.GTID.SequenceNumber)
		return a.begin(h, id, e.IsStandalone())
	case *replication.TransactionPayloadEvent:
		return a.payload(e)
	}
	return nil, nil
}

func mysqlGTID(sid []byte, tag string, number int64) string {
	id := uuidText([16]byte(sid))
	if tag != "" {
		return fmt.Sprintf("%s:%s:%d", id, tag, number)
	}
	return fmt.Sprintf("%s:%d", id, number)
}

// payload takes the events of a compressed transaction.
func (a *assembler) payload(e *replication.TransactionPayloadEvent) ([]*open, error) {
	var all []*open
	for _, inner := range e.Events {
		body, err := a.body(inner.RawData, true)
		if err != nil {
			return nil, err
		}
		done, err := a.inTransaction(inner.Header, body)
		if err != nil {
			return nil, err
		}
		all = append(all, done...)
	}
	return all, nil
}

// begin begins a transaction. One that is open still ended with the last event.
func (a *assembler) begin(h *replication.EventHeader, id string, single bool) ([]*open, error) {
	set, err := gtid.Parse(id)
	if err != nil {
		return nil, err
	}
	done := a.end()
	a.current = &open{gtid: id, set: set, at: time.Unix(int64(h.Timestamp), 0), ends: !single, keys: map[*followed]*keySet{}}
	return done, nil
}

// end ends the open transaction.
func (a *assembler) end() []*open {
	o := a.current
	if o == nil {
		return nil
	}
	a.current = nil
	clear(a.maps)
	return []*open{o}
}

// inTransaction takes an event of a transaction.
func (a *assembler) inTransaction(h *replication.EventHeader, body []byte) ([]*open, error) {
	o := a.current
	if o == nil {
		return nil, nil // such as what a server says of itself at its start
	}
	switch h.EventType {
	case replication.TABLE_MAP_EVENT:
		m, err := parseTableMap(body)
		if err == nil {
			a.maps[m.id] = m
		}
		return nil, err
	case replication.XID_EVENT:
		return a.end(), nil
	case replication.QUERY_EVENT, replication.MARIADB_QUERY_COMPRESSED_EVENT:
		schema, text, err := query(h.EventType, body)
		if err != nil {
			return nil, err
		}
		return a.statement(schema, text)
	case replication.XA_PREPARE_LOG_EVENT:
		id, onePhase, err := xid(body)
		if err != nil {
			return nil, err
		}
		if !onePhase {
			o.branch = id
		}
		return a.end(), nil
	case replication.EXECUTE_LOAD_QUERY_EVENT:
		schema, text, err := query(h.EventType, body)
		if err != nil {
			return nil, err
		}
		return a.statement(schema, text)
	case replication.INCIDENT_EVENT:
		return nil, a.fail("its log says that changes were lost (an incident)", "begin anew", nil)
	case replication.ROWS_QUERY_EVENT: // inside of a compressed transaction
		return nil, nil
	default:
		return nil, a.rows(h, body)
	}
}

// rows takes an event of rows.
func (a *assembler) rows(h *replication.EventHeader, body []byte) error {
	o := a.current
	id, err := rowsTable(body)
	if err != nil {
		return err
	}
	m := a.maps[id]
	if m == nil {
		return nil // an event that only ends a statement
	}
	f := a.tables[nameOf(m.schema, m.table)]
	if f == nil {
		return nil
	}
	if err := keysOf(f.table, m, h.EventType, body, func(key rows.Key) { o.add(f, key) }); err != nil {
		return a.fail(fmt.Sprintf("rows of %s in transaction %s can't be read", f.table, o.gtid), "", err)
	}
	if o.bytes > mostKeys {
		return a.fail(fmt.Sprintf("transaction %s changes more rows than fit into memory here: %d MiB of keys", o.gtid, mostKeys>>20), "begin anew behind it", nil)
	}
	return nil
}

func (o *open) add(f *followed, key rows.Key) {
	set := o.keys[f]
	if set == nil {
		set = &keySet{seen: map[rows.Key]struct{}{}}
		o.keys[f] = set
	}
	if _, ok := set.seen[key]; !ok {
		set.seen[key] = struct{}{}
		set.list = append(set.list, key)
		o.bytes += len(key)
	}
}

// statement takes a statement of the log.
func (a *assembler) statement(schema, text string) ([]*open, error) {
	o := a.current
	text = strings.TrimSpace(text)
	upper := strings.ToUpper(text[:min(len(text), 24)])
	verb := func(v string) (string, bool) {
		if !strings.HasPrefix(upper, v) {
			return "", false
		}
		return strings.ToLower(strings.TrimSpace(text[len(v):])), true
	}
	if upper == "BEGIN" {
		o.ends = true
		return nil, nil
	}
	if _, ok := verb("XA START "); ok {
		o.ends = true
		return nil, nil
	}
	if upper == "COMMIT" {
		return a.end(), nil
	}
	if upper == "ROLLBACK" {
		o.rollback()
		return a.end(), nil
	}
	if _, ok := verb("SAVEPOINT "); ok {
		o.savepoint()
		return nil, nil
	}
	if _, ok := verb("ROLLBACK TO "); ok {
		o.rollbackTo()
		return nil, nil
	}
	if id, ok := verb("XA COMMIT "); ok {
		a.commit(id)
		return a.end(), nil
	}
	if id, ok := verb("XA ROLLBACK "); ok {
		a.take(id)
		return a.end(), nil
	}
	for _, f := range a.list {
		switch effectOf(text, schema, f.table) {
		case noEffect:
		case defines:
			if !f.mark {
				o.Statement = text
			}
		case changes:
			return nil, a.fail(fmt.Sprintf("a statement that changes %s is in its log without the rows: %.200s", f.table, text),
				"set binlog_format=ROW for all sessions, and begin anew", nil)
		}
	}
	if o.ends {
		return nil, nil
	}
	return a.end(), nil
}

// take takes a branch off the list of those that are prepared.
func (a *assembler) take(id string) *branch {
	for i, b := range a.prepared {
		if b.id == id {
			a.prepared = append(a.prepared[:i:i], a.prepared[i+1:]...)
			return b
		}
	}
	return nil
}

// commit makes what a branch has changed the change of the open transaction.
func (a *assembler) commit(id string) {
	o := a.current
	o.Branch = id
	if b := a.take(id); b != nil {
		o.keys = b.from.keys
	} else {
		o.Unseen = true
	}
}

// finish makes the transaction that is given of one that has ended, nil where it
// was dealt with.
func (a *assembler) finish(o *open) *Transaction {
	if o.branch != "" {
		a.take(o.branch) // one of the same name must have ended
		a.prepared = append(a.prepared, &branch{id: o.branch, before: a.keep, from: o})
	}
	a.keep = a.keep.Union(o.set)
	if a.done.Contains(o.set) {
		return nil
	}
	a.position.GTID = a.position.GTID.Union(o.set)
	t := &o.Transaction
	t.GTID, t.Position, t.At, t.Keep = o.gtid, a.position, o.at, a.keep
	if len(a.prepared) > 0 {
		t.Keep = a.prepared[0].before
	}
	if o.branch == "" {
		for _, f := range a.list {
			set := o.keys[f]
			switch {
			case set == nil || len(set.list) == 0:
			case f.mark:
				t.Marked = append(t.Marked, Changed{f.table, set.list})
			default:
				t.Changed = append(t.Changed, Changed{f.table, set.list})
			}
		}
	}
	if t.Branch != "" && a.source.MariaDB {
		a.ended.mu.Lock()
		a.ended.ids[t.Branch] = struct{}{}
		a.ended.mu.Unlock()
	}
	return t
}

// query reads the schema and the text of a statement's event.
func query(kind replication.EventType, body []byte) (schema, text string, err error) {
	if len(body) < 13 {
		return "", "", errShort
	}
	names, status := int(body[8]), int(binary.LittleEndian.Uint16(body[11:]))
	rest := body[13:]
	if kind == replication.EXECUTE_LOAD_QUERY_EVENT {
		if _, rest, err = take(rest, 13); err != nil {
			return "", "", err
		}
	}
	if _, rest, err = take(rest, status); err != nil {
		return "", "", err
	}
	name, rest, err := take(rest, names+1) // and a zero
	if err != nil {
		return "", "", err
	}
	if kind == replication.MARIADB_QUERY_COMPRESSED_EVENT {
		if rest, err = decompress(rest); err != nil {
			return "", "", err
		}
	}
	return string(name[:names]), string(rest), nil
}

// xid reads the event of a PREPARE: the branch's id in the form in which XA
// COMMIT is in the log, and whether it is committed at once.
func xid(body []byte) (id string, onePhase bool, err error) {
	if len(body) < 13 {
		return "", false, errShort
	}
	format := int32(binary.LittleEndian.Uint32(body[1:]))
	global, local := binary.LittleEndian.Uint32(body[5:]), binary.LittleEndian.Uint32(body[9:])
	if global > 64 || local > 64 || int(global+local) > len(body)-13 {
		return "", false, errShort
	}
	parts := bytes.NewBuffer(nil)
	fmt.Fprintf(parts, "x'%x',x'%x',", body[13:13+global], body[13+global:13+global+local])
	return parts.String() + strconv.Itoa(int(format)), body[0] != 0, nil
}
