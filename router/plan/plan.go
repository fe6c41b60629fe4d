package plan

import (
	"strconv"
	"strings"

	"shardway/router/parse"
	"shardway/shardmap"
)

// Plan is what will be done with one statement: *One, *Many, *Gather, *Pick, *Load, *Each, *Explain, *Local or *Refuse. No
// other type implements it.
type Plan interface {
	plan()
	// String is the plan in one line, as EXPLAIN ROUTE's reason and the golden tests show it.
	String() string
}

// Role says which server of a shard a statement needs.
type Role uint8

// The roles.
const (
	Primary Role = iota // the server that takes writes
	Replica             // a server that may lag; the primary where the configuration says so
	Any                 // whichever connection the session has at hand on this shard, else any server
)

// String is the role in lower case.
func (r Role) String() string {
	switch r {
	case Primary:
		return "primary"
	case Replica:
		return "replica"
	case Any:
		return "any"
	default:
		return "role " + strconv.Itoa(int(r))
	}
}

// One relays the statement, as the client wrote it, to one shard. A session that holds a connection to the shard (a
// transaction or a pin) uses that one whatever the Role.
type One struct {
	Shard *shardmap.Shard
	Role  Role

	// Everything that Why needs. It is text only when somebody asks.
	st      *parse.Statement
	m       *shardmap.Map
	args    []parse.Value
	db      string // the session's schema
	role    roleReason
	place   placeReason
	noted   uint8 // number of notes
	dropped bool  // there was no room for some
	notes   [maxNotes]note
	touches touches
}

// Local is answered by the session without relaying the statement as it is.
type Local struct {
	Op  LocalOp
	Why string
}

// Load splits the file of a LOAD DATA LOCAL by its rows' shards.
type Load struct {
	Table  *shardmap.Table   // sharded, or a reference table
	Shards []*shardmap.Shard // those that have the table, more than one

	touches touches
}

// Refuse is an error for the client. The session, its transaction and its pins stay as they are.
type Refuse struct {
	Code    uint16 // a MySQL error code
	State   string // SQLSTATE, five characters
	Message string // begins "shardway:", but for the errors that imitate a server's own

	asks []parse.Table
}

func (*One) plan()    {}
func (*Local) plan()  {}
func (*Load) plan()   {}
func (*Refuse) plan() {}

// LocalOp names what the session does for a Local plan.
type LocalOp uint8

// What a session does itself.
const (
	OpBegin            LocalOp = iota + 1 // BEGIN, START TRANSACTION; Statement.Tx has its modifiers
	OpCommit                              // COMMIT; Tx.Chain, Tx.Release
	OpRollback                            // ROLLBACK; Tx.Chain, Tx.Release
	OpSavepoint                           // SAVEPOINT name
	OpRollbackTo                          // ROLLBACK TO SAVEPOINT name
	OpReleaseSavepoint                    // RELEASE SAVEPOINT name
	OpSetTransaction                      // SET [SESSION] TRANSACTION …
	OpShowShardway                        // SHOW SHARDWAY …; Statement.Name says what
	OpExplainRoute                        // EXPLAIN ROUTE …; the session plans Statement.Inner and answers with Rows
	OpProcesslist                         // SHOW PROCESSLIST, of Shardway's sessions
	OpKill                                // KILL [QUERY|CONNECTION] id, the id being Shardway's own
	OpDiagnostics                         // SHOW WARNINGS, SHOW ERRORS, GET DIAGNOSTICS: about the session's last statement
)

// String is the operation in words.
func (op LocalOp) String() string {
	switch op {
	case OpBegin:
		return "begin"
	case OpCommit:
		return "commit"
	case OpRollback:
		return "rollback"
	case OpSavepoint:
		return "savepoint"
	case OpRollbackTo:
		return "rollback to savepoint"
	case OpReleaseSavepoint:
		return "release savepoint"
	case OpSetTransaction:
		return "set transaction"
	case OpShowShardway:
		return "show shardway"
	case OpExplainRoute:
		return "explain route"
	case OpProcesslist:
		return "show processlist"
	case OpKill:
		return "kill"
	case OpDiagnostics:
		return "diagnostics"
	default:
		return "operation " + strconv.Itoa(int(op))
	}
}

// Facts is what Build knows of the session. Build reads it and keeps nothing of it, so one value can be used again for
// the next statement.
type Facts struct {
	DB           string   // current schema, "" if none
	Databases    []string // those the user may use; nil means all
	ReadOnlyUser bool     // the user may only read

	InTx       bool     // a transaction is open, whether or not it has reached a shard
	TxReadOnly bool     // it was started READ ONLY
	TxShards   []string // the shards it already is on, the one where it began first; none yet if empty
	OneShard   bool     // a transaction may not go to a second shard
	Autocommit bool     // @@autocommit of the session

	PinShard   string   // the shard of a server connection with state that statements may need, "" if none
	PinWhy     string   // what that state is: "user variables", "temporary table shop.t", …
	TempTables []string // names of the temporary tables on PinShard: lower case, "db.name"

	User    string // the client's user, as errors name it
	Charset string // character_set_client, lower case
	Strict  bool   // sql_mode has STRICT_TRANS_TABLES or STRICT_ALL_TABLES; without it more INSERTs are refused
	FirstID uint64 // the first of the numbers drawn for an INSERT's rows, see Numbers; 0: none were drawn
	// Primary has the columns of the primary keys of the tables that a Pick writes to, by "db.table" in lower case.
	Primary map[string][]string
	ZeroID  bool     // sql_mode has NO_AUTO_VALUE_ON_ZERO: 0 is a value of its own
	Columns []string // the target's columns in order, without invisible ones, for an INSERT without a column list; nil if not known

	// Tables has the columns of tables that Asks named, by "db.table" in lower case. Build works without, but gathers or
	// refuses what it could merge if it knew them.
	Tables map[string][]string
	// Numbered has the AUTO_INCREMENT columns of the tables that Asks named for an INSERT, "" where there is none.
	Numbered map[string]string

	// Views has what a CREATE, ALTER or DROP VIEW names that is a view already, by "db.name" in lower case.
	Views map[string]View

	FullGroupBy    bool // sql_mode has ONLY_FULL_GROUP_BY
	SelectLimited  bool // sql_select_limit is set
	PlainBackslash bool // sql_mode has NO_BACKSLASH_ESCAPES
	BinaryParams   bool // among the bound values are strings of bytes
	Reopens        bool // the servers read a temporary table more than once in a statement, as MariaDB does
}

// String is "shard role: why".
func (p *One) String() string { return "one " + p.Shard.ID + " " + p.Role.String() + ": " + p.Why() }

// String is "local operation: why".
func (p *Local) String() string { return "local " + p.Op.String() + ": " + p.Why }

// String is "load shards: why".
func (p *Load) String() string { return "load " + strings.Join(p.ids(), ", ") + ": " + p.Why() }

// Why says what becomes of the file.
func (p *Load) Why() string {
	if p.Table.Reference {
		return fullName(p.Table) + " is a reference table: the client's file goes to every shard"
	}
	return "the rows of the client's file go to their shards by " + fullName(p.Table) + "'s key " + p.Table.Key
}

func (p *Load) ids() []string {
	var ids []string
	for _, s := range p.Shards {
		ids = append(ids, s.ID)
	}
	return ids
}

// String is "refuse code (state): message".
func (p *Refuse) String() string {
	return "refuse " + strconv.Itoa(int(p.Code)) + " (" + p.State + "): " + p.Message
}

// Error is the message, so that a Refuse can travel as an error.
func (p *Refuse) Error() string { return p.Message }

// Rows is a plan as the table that EXPLAIN ROUTE answers with: one row for each step. m must be the map that the plan
// was built on.
func Rows(p Plan, m *shardmap.Map) (columns []string, rows [][]string) {
	columns = []string{"step", "shard", "role", "servers", "sql", "reason"}
	switch p := p.(type) {
	case *One:
		s := p.Shard
		if m != nil && m.Shard(s.ID) != nil {
			s = m.Shard(s.ID)
		}
		rows = append(rows, []string{"1", s.ID, p.Role.String(), strings.Join(servers(s, p.Role), ", "), "as sent", p.Why()})
	case *Many:
		for i := range p.Parts {
			s, sql := p.Parts[i].Shard, "as sent"
			if t := p.Parts[i].SQL; t != nil {
				sql = t.String()
			}
			rows = append(rows, []string{number(i + 1), s.ID, p.Role.String(), strings.Join(servers(s, p.Role), ", "), sql, p.why(&p.Parts[i])})
		}
		merge := "affected rows are added up"
		switch {
		case p.Copies:
			merge = "the reply is the first copy's"
		case p.Returning:
			merge = "the rows one part after another"
		}
		if !p.Write {
			merge = p.Merge.String()
		}
		rows = append(rows, []string{number(len(p.Parts) + 1), "", "merge", "", "", merge})
	case *Pick:
		rows = append(rows,
			[]string{"1", "", "pick", "", p.Rows.String(), p.Why},
			[]string{"2", "", "write", "", p.heads(), "the rows that were chosen, in the same transaction"})
	case *Gather:
		rows = gatherRows(p)
	case *Each:
		rows = p.rows()
	case *Load:
		for i, s := range p.Shards {
			rows = append(rows, []string{strconv.Itoa(i + 1), s.ID, Primary.String(), s.Primary.Addr, "as sent", p.Why()})
		}
	case *Explain:
		rows = append(rows, []string{"1", "", "explain", "", p.Inner.String(), "each shard explains what it would do: see EXPLAIN ROUTE of the statement itself"})
	case *Local:
		rows = append(rows, []string{"1", "", "shardway", "", "", p.Op.String() + ": " + p.Why})
	case *Refuse:
		rows = append(rows, []string{"1", "", "refused", "", "", "error " + strconv.Itoa(int(p.Code)) + " (" + p.State + "): " + p.Message})
	}
	return columns, rows
}

// servers lists the addresses that may serve a role, the primary last where it only stands in for replicas.
func servers(s *shardmap.Shard, r Role) []string {
	var out []string
	if r != Primary {
		for _, x := range s.Replicas {
			out = append(out, x.Addr)
		}
	}
	if r != Replica || len(out) == 0 {
		out = append(out, s.Primary.Addr)
	}
	return out
}
