package xact_test

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"shardway/protocol"
	"shardway/router/backend"
	"shardway/shardmap"
	"shardway/test/fakemysql"
)

// server is a fake that keeps transactions, XA branches and the rows of shardway.decisions as servers do. Its one other
// datum is how many transactions that wrote were committed.
type server struct {
	*fakemysql.Server
	name     string
	attaches bool // a prepared branch belongs to its session until that ends, as at MariaDB

	mu        sync.Mutex
	unlocked  *sync.Cond
	work      map[uint32]*work
	prepared  map[string]*work // by XA id
	decisions map[string]string
	locks     map[string]*work // keys of decisions that aren't committed
	applied   int
	noTable   bool
	over      bool // the test ends

	fault func(s *fakemysql.Session, sql string, after bool) bool // true: the session was cut
	did   []string                                                // what ended transactions, in order
}

// work is what a session has open.
type work struct {
	session uint32
	branch  string
	ended   bool // XA END
	wrote   bool
	rows    map[string]string
}

func newServer(t *testing.T, name string, attaches bool) *server {
	f := &server{
		name: name, attaches: attaches, work: map[uint32]*work{}, prepared: map[string]*work{}, decisions: map[string]string{},
		locks: map[string]*work{}, noTable: true,
	}
	f.unlocked = sync.NewCond(&f.mu)
	version := "8.4.0"
	if attaches {
		version = "11.4.2-MariaDB"
	}
	f.Server = fakemysql.Options{Version: version, Ended: f.ended}.Serve(t, f.handle)
	t.Cleanup(func() {
		f.mu.Lock()
		f.over = true
		f.unlocked.Broadcast()
		f.mu.Unlock()
	})
	return f
}

// ended is the end of a session: what isn't prepared is rolled back.
func (f *server) ended(s *fakemysql.Session) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, w := range f.prepared {
		if w.session == s.ID {
			w.session = 0
		}
	}
	if w := f.work[s.ID]; w != nil {
		f.rollback(w)
	}
}

func (f *server) rollback(w *work) {
	delete(f.work, w.session)
	for key := range w.rows {
		delete(f.locks, key)
	}
	f.unlocked.Broadcast()
}

func (f *server) commit(w *work) {
	maps.Copy(f.decisions, w.rows)
	if w.wrote {
		f.applied++
	}
	f.rollback(w)
}

func (f *server) handle(s *fakemysql.Session, cmd protocol.Command, payload []byte) {
	if cmd != protocol.ComQuery {
		return
	}
	sql := string(payload)
	f.mu.Lock()
	fault := f.fault
	f.mu.Unlock()
	if fault != nil && fault(s, sql, false) {
		return
	}
	f.mu.Lock()
	answer := f.run(s, sql)
	f.mu.Unlock()
	if fault != nil && fault(s, sql, true) {
		return
	}
	answer()
}

// run does what a statement says and returns its answer.
func (f *server) run(s *fakemysql.Session, sql string) (answer func()) {
	refuse := func(code uint16, text string) func() {
		return func() { s.Error(code, "HY000", text) }
	}
	ok := func() {
		f.mu.Lock()
		status := protocol.StatusAutocommit
		if f.work[s.ID] != nil {
			status |= protocol.StatusInTrans
		}
		f.mu.Unlock()
		s.OK(protocol.OK{Status: status})
	}
	verb, xid, _ := strings.Cut(strings.TrimPrefix(sql, "XA "), " ")
	onePhase := strings.HasSuffix(xid, " ONE PHASE")
	xid = strings.TrimSuffix(xid, " ONE PHASE")
	w := f.work[s.ID]
	switch {
	case sql == "XA RECOVER":
		return f.recover(s)
	case strings.HasPrefix(sql, "XA "):
		f.did = append(f.did, sql)
	}
	switch {
	case sql == "BEGIN":
		f.work[s.ID] = &work{session: s.ID, rows: map[string]string{}}
	case sql == "WRITE":
		w.wrote = true
	case sql == "COMMIT", sql == "ROLLBACK":
		f.did = append(f.did, sql)
		if w != nil && sql == "COMMIT" {
			f.commit(w)
		} else if w != nil {
			f.rollback(w)
		}
	case strings.HasPrefix(sql, "XA START "):
		f.work[s.ID] = &work{session: s.ID, branch: xid, rows: map[string]string{}}
	case strings.HasPrefix(sql, "XA END "):
		if w == nil || w.branch != xid {
			return refuse(1399, "XAER_RMFAIL")
		}
		w.ended = true
	case strings.HasPrefix(sql, "XA PREPARE "):
		if w == nil || w.branch != xid || !w.ended {
			return refuse(1399, "XAER_RMFAIL")
		}
		delete(f.work, s.ID)
		f.prepared[xid] = w
		if !f.attaches {
			w.session = 0
		}
	case strings.HasPrefix(sql, "XA COMMIT "), strings.HasPrefix(sql, "XA ROLLBACK "):
		p := f.prepared[xid]
		if onePhase || p == nil && w != nil && w.branch == xid && w.ended {
			p = w
		}
		if p == nil || p.session != 0 && p.session != s.ID {
			return refuse(1397, "XAER_NOTA: Unknown XID")
		}
		delete(f.prepared, xid)
		if verb == "COMMIT" {
			f.commit(p)
		} else {
			f.rollback(p)
		}
	case strings.HasPrefix(sql, "CREATE TABLE IF NOT EXISTS shardway.decisions"):
		f.noTable = false
	case strings.Contains(sql, "shardway.decisions") && f.noTable:
		return refuse(1146, "Table 'shardway.decisions' doesn't exist")
	case strings.HasPrefix(sql, "INSERT INTO shardway.decisions"):
		return f.insert(s, w, sql, ok)
	case strings.HasPrefix(sql, "SELECT committed FROM shardway.decisions"):
		row := f.decisions[strings.Split(sql, "'")[1]]
		return func() { s.Table([]string{"committed"}, []any{row}) }
	case strings.HasPrefix(sql, "KILL "):
		id, _ := strconv.ParseUint(strings.TrimPrefix(sql, "KILL "), 10, 32)
		f.Cut(uint32(id))
	case strings.HasPrefix(sql, "SELECT"), strings.HasPrefix(sql, "SHOW"):
		return func() { s.Table([]string{"x"}) }
	}
	return ok
}

// insert stores a decision. It waits for a transaction that has stored one under the same key and is open.
func (f *server) insert(s *fakemysql.Session, w *work, sql string, ok func()) func() {
	part := strings.Split(sql, "'")
	key, value := part[1], strings.Trim(part[2], ", )")
	for f.locks[key] != nil && !f.over {
		f.unlocked.Wait()
	}
	if _, there := f.decisions[key]; there {
		return func() { s.Error(1062, "23000", "Duplicate entry") }
	}
	if w == nil {
		f.decisions[key] = value
		return ok
	}
	f.did = append(f.did, "INSERT")
	w.rows[key] = value
	f.locks[key] = w
	return ok
}

func (f *server) recover(s *fakemysql.Session) func() {
	var rows [][]any
	for _, xid := range slices.Sorted(maps.Keys(f.prepared)) {
		part := strings.Split(xid, "'")
		rows = append(rows, []any{part[4][1:], strconv.Itoa(len(part[1])), strconv.Itoa(len(part[3])), part[1] + part[3]})
	}
	return func() { s.Table([]string{"formatID", "gtrid_length", "bqual_length", "data"}, rows...) }
}

// gone cuts all connections and lets nobody in until Refuse(nil).
func (f *server) gone() {
	f.Refuse(protocol.Errorf(1053, "08S01", "Server shutdown in progress"))
	f.Drop()
}

// inDoubt is how many branches are prepared.
func (f *server) inDoubt() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.prepared)
}

func (f *server) committed() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.applied
}

// fleet are the servers of three shards.
type fleet struct {
	servers []*server
	m       *shardmap.Map
}

func newFleet(t *testing.T, attaches bool) *fleet {
	f := &fleet{}
	var text strings.Builder
	text.WriteString("version: 1\nshards:\n")
	for i := range 3 {
		s := newServer(t, "s"+strconv.Itoa(i), attaches)
		f.servers = append(f.servers, s)
		fmt.Fprintf(&text, "  s%d: {primary: %q}\n", i, s.Addr)
	}
	m, err := shardmap.Parse([]byte(text.String()))
	if err != nil {
		t.Fatal(err)
	}
	f.m = m
	return f
}

// proxy makes a cluster of connections to the servers.
func (f *fleet) proxy(t *testing.T) *backend.Cluster {
	c := backend.New(backend.Options{DialTimeout: time.Second, ProbeInterval: 20 * time.Millisecond, WaitTimeout: time.Second})
	t.Cleanup(c.Close)
	c.Apply(f.m)
	return c
}
