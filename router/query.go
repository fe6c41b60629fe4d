package router

import (
	"bytes"
	"context"
	"io"
	"strings"
	"sync"

	"shardway/protocol"
	"shardway/router/exec"
	"shardway/router/parse"
	"shardway/router/plan"
	"shardway/shardmap"
)

// digests are shared, since an idle session needs none.
var digests = sync.Pool{New: func() any { return new(parse.Digest) }}

// keepDigest bounds in bytes the text whose digest is used again: a digest keeps buffers of its text's size.
const keepDigest = 64 << 10

// putDigest gives a digest back that has scanned n bytes.
func putDigest(d *parse.Digest, n int) {
	if n <= keepDigest {
		digests.Put(d)
	}
}

// text is a statement as the client sent it, either way.
type text struct {
	st   *parse.Statement
	args []parse.Value
	sql  []byte
	// execution is set for COM_STMT_EXECUTE.
	execution *execution
	// file is what the server gets for a LOAD DATA LOCAL instead of the client's file, nil for that file itself.
	file io.Reader
}

func (s *session) query(ctx context.Context, o *Options, sql []byte) error {
	d := digests.Get().(*parse.Digest)
	s.digest = d // until the event has been observed
	st := s.parse(o, d, sql)
	s.event.Digest = d.Norm
	s.text = text{st: st, args: d.Args, sql: sql}
	s.show(sql)
	err := s.run(ctx, o, &s.text)
	s.show(nil)
	s.text = text{}
	return err
}

// parse digests a text under the session's sql_mode and character set.
func (s *session) parse(o *Options, d *parse.Digest, sql []byte) *parse.Statement {
	d.Scan(sql, s.sqlMode())
	return o.Statements.Statement(d)
}

// sqlMode is how the session's texts are to be read.
func (s *session) sqlMode() parse.Mode {
	if h := s.x.Handle(); h != s.seen {
		s.seen = h
		s.limit.Store(int64(s.idleLimit()))
		s.facts.Charset = s.x.Charset()
		mode := s.x.SQLMode()
		s.mode = parse.ModeOf(mode, s.facts.Charset)
		s.facts.SelectLimited = s.x.SelectLimited()
		s.facts.FullGroupBy = strings.Contains(mode, "ONLY_FULL_GROUP_BY") || strings.Contains(mode, "ANSI,")
		s.facts.Strict = strings.Contains(mode, "STRICT_") || strings.Contains(mode, "TRADITIONAL")
		s.facts.PlainBackslash = strings.Contains(mode, "NO_BACKSLASH_ESCAPES")
		s.facts.Reopens = strings.Contains(s.srv.options.Load().Executor.Cluster().Learned().Version, "MariaDB")
	}
	return s.mode
}

func unquoted(sql string) string { return strings.Trim(sql, "'") }

// know fills in what the planner has to know of the session.
func (s *session) know() *plan.Facts {
	f := &s.facts
	f.DB = s.x.Schema()
	f.User, f.Databases, f.ReadOnlyUser = s.user.Name, s.user.Databases, s.user.ReadOnly
	f.InTx, f.TxReadOnly, f.TxShards = s.x.InTransaction(), s.x.ReadOnlyTransaction(), s.x.TransactionShards()
	f.OneShard = s.x.CrossShard() == exec.CrossShardForbid
	f.Autocommit = s.x.Autocommit()
	f.PinShard, f.PinWhy, f.TempTables = "", "", nil
	if s.x.Holding() {
		var why exec.Why
		f.PinShard, why = s.x.Held()
		if why != 0 {
			f.PinWhy = why.String()
		}
		if shard, names := s.x.TempTables(); shard != "" {
			f.PinShard, f.TempTables = shard, names
		}
	}
	f.Columns, f.FirstID = nil, 0
	return f
}

// planToRun plans a statement that is going to be run: the columns that it needs are asked for, and the numbers that its
// rows get are drawn.
func (s *session) planToRun(ctx context.Context, t *text, m *shardmap.Map) (plan.Plan, error) {
	f := s.know()
	if db, table, ok := plan.InsertTarget(t.st, m, f); ok {
		var err error
		if f.Columns, err = s.x.Columns(ctx, m.DefaultShard(db).ID, db, table); err != nil {
			return nil, err
		}
	}
	if t.st.Insert != nil {
		if err := s.number(ctx, t, m, f); err != nil {
			return nil, err
		}
	}
	s.bindFacts(t)
	return s.plan(ctx, t, m, f), nil
}

// run plans a statement and does what the plan says.
func (s *session) run(ctx context.Context, o *Options, t *text) error {
	s.event.Kind = kindName(t.st.Kind)
	if answered, err := s.ownVariables(ctx, o, t); answered {
		return err
	}
	switch {
	case t.st.Kind == parse.Several:
		return s.notOne(ctx, o, t.sql)
	case t.st.Kind == parse.Empty && t.execution == nil && len(bytes.Trim(t.sql, "; \t\n\v\f\r")) > 0:
		s.affected = 0
		s.forget(t)
		return s.ok() // a comment is a statement that does nothing
	}
	if s.x.Keeps() && !t.st.Is(parse.FlagDiagnostics) && (s.x.Unknown() || s.x.HasDiagnostics() && s.keepsDiagnostics(t)) {
		s.takeBack()
	}
	if t.st.Insert != nil && t.st.Flags&(asksSession|parse.FlagDiagnostics) != 0 {
		if answered, err := s.answerAbout(ctx, o, t); answered { // before numbers are drawn for it
			return err
		}
	}
	planned, m, err := s.claimed(ctx, o, t)
	if err != nil {
		return err
	}
	f := &s.facts
	switch p := planned.(type) {
	case *plan.One:
		s.event.Way, s.event.Shards = WayOne, 1
		if t.st.Kind == parse.Set && scopesOf(t.st) == 1<<parse.ScopeNext {
			return s.nextTransaction(t)
		}
		if f.TxReadOnly && len(f.TempTables) == 0 && writes(t.st) {
			return s.readOnlyError(o)
		}
		return s.runOne(ctx, o, t, p)
	case *plan.Many:
		if p.Write && f.TxReadOnly {
			return s.readOnlyError(o)
		}
		return s.runMany(ctx, o, t, p)
	case *plan.Pick:
		if f.TxReadOnly {
			return s.readOnlyError(o)
		}
		return s.runPick(ctx, o, t, p, m)
	case *plan.Gather:
		return s.runGather(ctx, o, t, p)
	case *plan.Each:
		if f.TxReadOnly && writes(t.st) {
			return s.readOnlyError(o)
		}
		if p.Answer == plan.AnswerSizes && t.execution != nil {
			return s.runOne(ctx, o, t, &plan.One{Shard: p.Shards[0], Role: p.Role})
		}
		return s.runEach(ctx, o, t, p)
	case *plan.Load:
		return s.load(ctx, o, t, p)
	case *plan.Local:
		return s.runLocal(ctx, o, t, p, m)
	case *plan.Refuse:
		s.event.Way = WayRefused
		return &protocol.Error{Code: p.Code, State: p.State, Message: p.Message}
	default:
		panic("a plan of an unknown kind")
	}
}

// runOne relays a statement to one shard.
func (s *session) runOne(ctx context.Context, o *Options, t *text, p *plan.One) error {
	st := t.st
	r := exec.Request{
		Command: protocol.ComQuery, Payload: ownDatabases(s.user, st, t.sql), Reply: protocol.ReplyQuery,
		Shard: p.Shard.ID, Role: roleOf(p.Role), Read: st.Is(parse.FlagRead), Timeout: o.QueryTimeout,
	}
	if t.execution != nil {
		t.execution.fill(&r)
	} else {
		r.Attributes = s.conn.QueryAttributes()
	}
	if s.facts.DB == "" {
		r.AnySchema = schemaFree(st, t.sql)
	}
	r.NoTable = readsNoTable(st)
	r.Stale = st.Hints.Stale || r.NoTable
	if st.Hints.Timeout > 0 {
		r.Timeout = st.Hints.Timeout
	}
	r.MaxLag = st.Hints.MaxLag
	if s.kept.tables {
		if err := s.lockedTables(st, p.Shard.ID); err != nil {
			return err
		}
	}
	unusual := st.Flags&^plain != 0 || len(st.Set) > 0 || special(st.Kind)
	if unusual {
		if answered, err := s.answerAbout(ctx, o, t); answered {
			return err
		}
		if err := s.effects(t, &r); err != nil {
			return err
		}
	}
	if st.Kind == parse.LoadData && st.Is(parse.FlagLocalInfile) {
		if !s.conn.Capabilities().Has(protocol.CapLocalFiles) {
			return s.noLocalFiles(o)
		}
		r.LocalFile, r.File = t.sql, t.file
		s.show([]byte("LOAD DATA LOCAL")) // the file is read into the text's memory
	}
	if err := s.commitsFirst(ctx, st, r.Shard); err != nil {
		return err
	}
	s.event.Shard, s.event.Role = r.Shard, r.Role.String()
	out, err := s.x.Run(ctx, &r)
	if st.Kind == parse.DDL {
		s.x.ForgetColumns()
	}
	if err == nil && out.Reply.Err == nil && (st.Is(parse.FlagTemporary) || st.Kind == parse.DDL && strings.HasPrefix(st.Name, "drop table")) {
		s.tempTables(t)
	}
	if unusual && err == nil && out.Reply.Err == nil {
		s.made(t)
	}
	return s.ranText(t, &out, err)
}

// commitsFirst commits the open transaction before a statement that does so by itself, where that statement's server
// alone can't.
func (s *session) commitsFirst(ctx context.Context, st *parse.Statement, shard string) error {
	commits := st.Is(parse.FlagImplicitCommit)
	if st.Kind == parse.Set && !s.x.Autocommit() {
		for i := range st.Set {
			v := &st.Set[i]
			commits = commits || v.Scope == parse.ScopeSession && v.Name == "autocommit" && !isOff(v)
		}
		shard = "" // it runs where the transaction is
	}
	shards := s.x.TransactionShards()
	if !commits || len(shards) == 0 || len(shards) == 1 && (shard == "" || shards[0] == shard) {
		return nil
	}
	return s.x.CommitSilently(ctx)
}

// isOff says whether a SET turns a switch off.
func isOff(v *parse.SetVar) bool {
	switch strings.ToLower(unquoted(v.Text)) {
	case "0", "off", "false":
		return v.Literal
	default:
		return false
	}
}

func roleOf(r plan.Role) exec.Role {
	switch r {
	case plan.Replica:
		return exec.Replica
	case plan.Any:
		return exec.Any
	default:
		return exec.Primary
	}
}

// schemaFree says that a statement is the same whatever the current schema is: it names the schema of each table, and
// doesn't ask for the current one.
func schemaFree(st *parse.Statement, sql []byte) bool {
	switch st.Kind {
	case parse.Select, parse.Insert, parse.Replace, parse.Update, parse.Delete, parse.Set, parse.Do:
	default:
		return false
	}
	if st.Is(parse.FlagStoredFunction) || st.Inner != nil {
		return false
	}
	for i := range st.Blocks {
		for j := range st.Blocks[i].Tables {
			if t := &st.Blocks[i].Tables[j]; t.Source < 0 && t.Name != "" && t.DB == "" {
				return false
			}
		}
	}
	if st.Insert != nil && st.Insert.Table.DB == "" {
		return false
	}
	lower := bytes.ToLower(sql)
	return !bytes.Contains(lower, []byte("database")) && !bytes.Contains(lower, []byte("schema"))
}

// readsNoTable says that a SELECT shows nothing that a write could have changed, such as SELECT FOUND_ROWS(): any server
// may answer it, whatever it has of the session's writes.
func readsNoTable(st *parse.Statement) bool {
	if st.Kind != parse.Select || st.Is(parse.FlagStoredFunction) {
		return false
	}
	for i := range st.Blocks {
		if len(st.Blocks[i].Tables) > 0 {
			return false
		}
	}
	return true
}

// writes says whether a statement is one that a READ ONLY transaction refuses.
func writes(st *parse.Statement) bool {
	switch st.Kind {
	case parse.Insert, parse.Replace, parse.Update, parse.Delete, parse.LoadData, parse.DDL:
		return !st.Is(parse.FlagTemporary)
	default:
		return false
	}
}

// noLocalFiles is the servers' error for LOAD DATA LOCAL of a client that gives no files.
func (s *session) noLocalFiles(o *Options) error {
	if o.mariaDB() {
		return protocol.Errorf(4166, "HY000", "The used command is not allowed because the MariaDB server or client has disabled the local infile capability")
	}
	return protocol.Errorf(3948, "42000", "Loading local data is disabled; this must be enabled on both the client and server sides")
}

// readOnlyError is the servers' error for a write in a READ ONLY transaction. A replica would give another one, since
// it refuses every write.
func (s *session) readOnlyError(o *Options) error {
	message := "Cannot execute statement in a READ ONLY transaction"
	if !o.mariaDB() {
		message += "."
	}
	return &protocol.Error{Code: 1792, State: "25006", Message: message}
}
