package exec

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"shardway/protocol"
	"shardway/router/backend"
	"shardway/router/exec/gather"
	"shardway/router/exec/sequence"
	"shardway/router/exec/xact"
)

// Executor makes sessions over one cluster of servers.
type Executor struct {
	cluster      *backend.Cluster
	transactions *xact.Transactions
	cross        atomic.Uint32
	columns      columnCache
	spaces       spaceCache
	sequences    sequence.Sequences
	rooms        gather.Rooms
}

// New returns an Executor over cluster, which the caller closes after the last session.
func New(cluster *backend.Cluster) *Executor {
	return &Executor{cluster: cluster, transactions: xact.New(cluster)}
}

// Transactions ends the transactions that run on several shards.
func (x *Executor) Transactions() *xact.Transactions { return x.transactions }

// CommitBounds are the bounds of the times of COMMITs in Transactions.Counts.
func CommitBounds() []time.Duration { return xact.Bounds() }

// SetCrossShard says what new sessions do with a transaction that needs a second shard.
func (x *Executor) SetCrossShard(c CrossShard) { x.cross.Store(uint32(c)) }

// CrossShard is what new sessions do with it.
func (x *Executor) CrossShard() CrossShard { return CrossShard(x.cross.Load()) }

// Cluster is the cluster that the executor runs on.
func (x *Executor) Cluster() *backend.Cluster { return x.cluster }

// Role says which server of a shard a request needs.
type Role = backend.Role

// The roles.
const (
	Primary = backend.Primary
	Replica = backend.Replica
	Any     = backend.Any
)

// Session is the server side of one client. It belongs to one goroutine, except for Pins and Kill.
type Session struct {
	x      *Executor
	client *protocol.Conn
	addr   netip.Addr
	owner  *backend.Owner
	found  bool // CLIENT_FOUND_ROWS
	// extended says that the client sees MariaDB's extended metadata.
	extended bool

	state  state
	handle Handle // of state
	lex    Handle // of state.lexical()

	holds []hold
	tx    transaction
	next  []string // SET TRANSACTION statements for the next transaction
	// nextUsed are connections that ran them and on which no transaction has ended since.
	nextUsed []*backend.Conn
	used     []string // these

	cross  CrossShard
	causal bool // read what it wrote, never less than before
	trails []*backend.Trail
	gtids  bool // the client asked to be told of GTIDs

	autocommit   bool
	lastInsertID uint64
	givenID      uint64   // the insert id behind WhyInsertID, 0 for any
	tempTables   []string // on the connection held for WhyTemporaryTable
	assigned     []string // user variables, on the connection held for WhyAssigned
	fixed        []string // user variables, on the connection held for WhyUserVariable
	warnings     struct { // the columns of SHOW WARNINGS
		at      Handle // lex, when they were asked for
		columns []protocol.Column
	}

	buf  []byte // of the last EXECUTE
	pins atomic.Pointer[[]Pin]

	killing sync.Mutex      // held while a kill is under way
	running *backend.Conn   // under killing: the connection that runs a statement for the client
	others  []*backend.Conn // under killing: those that run it on other shards
	struck  bool            // under killing: that a kill was sent to it
	doomed  atomic.Bool     // a kill came since the client's statement began, perhaps while none ran at a server
}

// NewSession returns the session of a client that has logged in over conn.
func (x *Executor) NewSession(conn *protocol.Conn, addr netip.Addr, login *protocol.Client) *Session {
	s := &Session{x: x, client: conn, addr: addr, owner: backend.NewOwner(conn.RemoteAddr(), conn.LocalAddr())}
	s.start(login, login.Database)
	return s
}

// start gives the session the state of a client that has just logged in.
func (s *Session) start(login *protocol.Client, schema string) {
	s.state = state{schema: schema}
	s.found = login.Capabilities.Has(protocol.CapFoundRows)
	s.extended = login.Capabilities.Has(protocol.CapExtendedMetadata)
	learned := s.x.cluster.Learned()
	if login.Capabilities.Has(protocol.CapIgnoreSpace) {
		s.state.set("sql_mode", quote(strings.TrimPrefix(learned.SQLMode+",IGNORE_SPACE", ",")))
	}
	coll, known := learned.Collations[login.Collation]
	if !known {
		coll, known = learned.Collations[learned.Collation]
	}
	if known {
		s.state.set(namesVariable, coll.Charset+" COLLATE "+coll.Name)
	}
	s.autocommit = true
	s.SetCausal(s.x.cluster.CausalReads())
	s.cross = s.x.CrossShard()
	s.changed()
}

// changed interns the state after a change.
func (s *Session) changed() {
	if strings.EqualFold(s.state.get(namesVariable), freshNames) {
		s.state.set(namesVariable, "")
	}
	s.handle = s.state.handle()
	lex := s.state.lexical()
	s.lex = lex.handle()
	s.gtids = s.asksGTIDs()
}

// Schema is the current schema, "" when there is none.
func (s *Session) Schema() string { return s.state.schema }

// Variable is the SQL text of a session variable's value, "" when the client hasn't changed it.
func (s *Session) Variable(name string) string { return s.state.get(name) }

// Handle is the session's state, for comparing with an earlier one.
func (s *Session) Handle() Handle { return s.handle }

// SQLMode is the session's sql_mode.
func (s *Session) SQLMode() string {
	if own := s.state.get("sql_mode"); own != "" {
		return strings.Trim(own, "'")
	}
	return s.x.cluster.Learned().SQLMode
}

// SelectLimited says whether the client has set sql_select_limit, which holds on each server by itself.
func (s *Session) SelectLimited() bool {
	limit := strings.Trim(s.state.get("sql_select_limit"), "'")
	return limit != "" && !strings.EqualFold(limit, "DEFAULT") && limit != "18446744073709551615"
}

// HasFoundRows says whether the last statement's SQL_CALC_FOUND_ROWS waits at a server.
func (s *Session) HasFoundRows() bool { return s.holdWith(WhyFoundRows) != nil }

// HoldsLock says whether the client has called GET_LOCK.
func (s *Session) HoldsLock() bool { return s.holdWith(WhyNamedLock) != nil }

// TempTable takes over that a temporary table, "schema.table" in lower case, was created or dropped.
func (s *Session) TempTable(name string, created bool) {
	i := slices.Index(s.tempTables, name)
	switch {
	case created && i < 0:
		s.tempTables = append(s.tempTables, name)
	case !created && i >= 0:
		s.tempTables = slices.Delete(s.tempTables, i, i+1)
		if len(s.tempTables) == 0 {
			s.let(WhyTemporaryTable)
		}
	}
}

// Charset is the session's character_set_client.
func (s *Session) Charset() string {
	if own := s.state.get("character_set_client"); own != "" {
		return strings.Trim(own, "'")
	}
	name, _, _ := strings.Cut(s.state.get(namesVariable), " ")
	switch name = strings.Trim(strings.ToLower(name), `'"`); name {
	case "":
		return "utf8mb4"
	case "default":
		return s.x.cluster.Learned().Charset
	default:
		return name
	}
}

// Autocommit says whether the client is in autocommit mode.
func (s *Session) Autocommit() bool { return s.autocommit }

// TempTables are the client's temporary tables as "schema.table" in lower case, and the shard that they are on.
func (s *Session) TempTables() (shard string, names []string) {
	if h := s.holdWith(WhyTemporaryTable); h != nil {
		return h.shard, s.tempTables
	}
	return "", nil
}

// Held is the shard whose connection the client keeps for state that statements may need, and the reasons; "" when
// there is none. Reasons that end by themselves don't count.
func (s *Session) Held() (shard string, why Why) {
	for i := range s.holds {
		if w := s.holds[i].why & (whyAll | whyWrites) &^ WhyTransaction; w != 0 {
			return s.holds[i].shard, w
		}
	}
	return "", 0
}

// Holding says whether the client keeps any connection for a reason that doesn't end by itself.
func (s *Session) Holding() bool { return s.holdWith(^whyShort) != nil }

// Unknown says whether user variables have values that aren't known yet: Shed asks for them.
func (s *Session) Unknown() bool { return len(s.assigned) > 0 }

// HasDiagnostics says whether the last statement left warnings or an error at a server.
func (s *Session) HasDiagnostics() bool { return s.holdWith(WhyDiagnostics) != nil }

// ForgetDiagnostics gives the connection back that is kept for the warnings of the last statement.
func (s *Session) ForgetDiagnostics() { s.let(WhyDiagnostics) }

// VariablesElsewhere says whether user variables are on another connection than the last statement's diagnostics.
func (s *Session) VariablesElsewhere() bool {
	h := s.holdWith(WhyUserVariable)
	return h != nil && h.why&WhyDiagnostics == 0
}

// Pins lists the connections that the client keeps. It may be called from any goroutine.
func (s *Session) Pins() []Pin {
	if p := s.pins.Load(); p != nil {
		return *p
	}
	return nil
}

// rollbackWait bounds how long the end of a session waits for a server to roll back.
const rollbackWait = 2 * time.Second

// cleanse ends a connection on which a client has left something, after the server has let go of it: a lock is free
// when cleanse returns.
func cleanse(c *backend.Conn) {
	_ = c.SetDeadline(time.Now().Add(rollbackWait))
	_, _ = simple(c, protocol.ComResetConnection, nil)
	c.Discard("session state")
}

// Close ends the session: it rolls back and gives every connection back.
func (s *Session) Close() {
	s.giveBack()
	s.x.cluster.Leave(s.owner)
}

// giveBack rolls back and gives every connection back.
func (s *Session) giveBack() {
	if s.spread() {
		for _, p := range s.tx.parts {
			_ = p.Conn.SetDeadline(time.Now().Add(rollbackWait))
		}
		s.rollbackSpread()
	}
	for _, h := range s.holds {
		h.why &^= whyShort
		switch {
		case h.spoilt, h.why&WhyAssigned != 0:
			cleanse(h.conn)
			continue
		case h.why&WhyTransaction != 0:
			_ = h.conn.SetDeadline(time.Now().Add(rollbackWait))
			if _, err := h.conn.Exec("ROLLBACK"); err != nil {
				h.conn.Discard("rollback failed")
				continue
			}
			_ = h.conn.SetDeadline(time.Time{})
		}
		h.conn.Release()
	}
	s.holds = nil
	s.tx = transaction{}
	s.next = nil
	s.tempTables, s.assigned, s.fixed = nil, nil, nil
	s.publish()
}

// Reset does what COM_RESET_CONNECTION and COM_CHANGE_USER do: everything is as after the login, but the schema is as
// given.
func (s *Session) Reset(login *protocol.Client, schema string) {
	s.giveBack()
	s.lastInsertID = 0
	s.start(login, schema)
}

// Status is the status of a reply that no server gave.
func (s *Session) Status() protocol.Status {
	var st protocol.Status
	if s.autocommit {
		st |= protocol.StatusAutocommit
	}
	if s.InTransaction() {
		st |= protocol.StatusInTrans
		if s.tx.readOnly {
			st |= protocol.StatusInTransReadonly
		}
	}
	return st
}

// oneShot are variables that hold for something on their own connection only.
var oneShot = map[string]bool{
	"insert_id": true, "rand_seed1": true, "rand_seed2": true, "gtid_next": true, "pseudo_thread_id": true,
	"pseudo_slave_mode": true, "pseudo_replica_mode": true, "gtid_seq_no": true, "server_id": true, "gtid_domain_id": true,
	"require_row_format": true,
}

// untold are variables that follow from others, or say what happened and can't be set.
var untold = map[string]bool{
	"character_set_database": true, "collation_database": true, "statement_id": true, "last_gtid": true, "in_transaction": true,
	"error_count": true, "warning_count": true, "proxy_user": true, "external_user": true, "hostname": true,
}

// learn takes over what a statement changed on its connection, which had the session's state before.
func (s *Session) learn(c *backend.Conn, r *Request, reply *protocol.Reply) {
	changed, schema, lex := false, stateOf(c.State).schema, s.lex
	asksPair := slices.ContainsFunc(r.Assigns, isLinked)
	for i := range reply.Changes {
		ch := &reply.Changes[i]
		switch ch.Kind {
		case protocol.ChangeSchema:
			s.state.schema, schema, changed = ch.Value, ch.Value, true
		case protocol.ChangeSysVar:
			name := strings.ToLower(ch.Name)
			asksPair = asksPair || r.Names == "" && isLinked(name)
			changed = s.learnVariable(c, r, name, ch.Value) || changed
		default:
		}
	}
	if reply.Err == nil {
		if r.Names != "" {
			for _, name := range charsetNames {
				s.state.set(name, "")
			}
			s.state.set(namesVariable, r.Names)
			changed = true
		}
		for _, set := range r.Sets {
			s.state.set(set.Name, set.SQL)
			changed = true
			s.unfix(set.Name)
		}
		if len(r.Assigns) > 0 {
			changed = s.askAssigned(c, r, reply) || changed
		}
		if r.Schema != "" && !c.Tracks {
			s.state.schema, schema, changed = r.Schema, r.Schema, true
		}
	}
	switch {
	case reply.Err != nil:
	case r.AsksCharset:
		changed = s.askCharset(c, r, charsetNames[:]) || changed
	case asksPair:
		changed = s.askCharset(c, r, linkedNames[:]) || changed
	}
	if changed {
		s.changed()
		now := s.state
		now.schema = schema // the connection's own, where the client has none
		c.State = now.handle()
	}
	if s.lex != lex {
		s.requote(c)
	}
}

func (s *Session) learnVariable(c *backend.Conn, r *Request, name, value string) bool {
	switch {
	case untold[name], r.Names != "" && isCharset(name), slices.Contains(r.Passing, name):
		return false
	case name == "last_insert_id" || name == "identity":
		if id, err := strconv.ParseUint(value, 10, 64); err == nil {
			s.lastInsertID = id
		}
		return false
	case oneShot[name]:
		s.keep(c, r.Shard, WhyVariable)
		return false
	}
	s.state.set(name, trackedSQL(name, value))
	return true
}

// askAssigned finds out the values of variables that a SET has assigned and that the server hasn't reported: an
// embedded server reports none, and MariaDB none that is written as @@name.
func (s *Session) askAssigned(c *backend.Conn, r *Request, reply *protocol.Reply) (changed bool) {
	var names []string
	for _, name := range r.Assigns {
		told := slices.ContainsFunc(reply.Changes, func(ch protocol.Change) bool {
			return ch.Kind == protocol.ChangeSysVar && strings.EqualFold(ch.Name, name)
		})
		if !told && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return false
	}
	res, err := c.Query("SELECT @@SESSION." + strings.Join(names, ", @@SESSION."))
	if err != nil || len(res.Rows) != 1 || len(res.Rows[0]) != len(names) {
		s.keep(c, r.Shard, WhyVariable)
		return false
	}
	for i, name := range names {
		if v := res.Rows[0][i]; v != nil {
			changed = s.learnVariable(c, r, name, *v) || changed
		} else {
			s.state.set(name, "NULL")
			changed = true
		}
	}
	return changed
}

// askCharset finds out what a statement has set beyond what it says: SET CHARACTER SET goes by the current schema, and of
// the two variables that are linked the later one decides both.
func (s *Session) askCharset(c *backend.Conn, r *Request, names []string) bool {
	res, err := c.Query("SELECT @@" + strings.Join(names, ", @@"))
	if err != nil || len(res.Rows) != 1 || len(res.Rows[0]) != len(names) {
		s.keep(c, r.Shard, WhyVariable)
		return false
	}
	for i, name := range names {
		if v := res.Rows[0][i]; v != nil {
			s.state.set(name, quote(*v))
		} else {
			s.state.set(name, "NULL")
		}
	}
	return true
}
