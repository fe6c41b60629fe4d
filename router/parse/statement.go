package parse

import "strings"

// Statement is what routing needs to know of one SQL text. It is immutable, and a pure function of its norm and
// mode: two texts with one norm differ in their Args alone.
type Statement struct {
	Kind  Kind
	Flags Flags
	// Why says why the statement isn't a read ("SELECT … FOR UPDATE", "function GET_LOCK"); "" for reads.
	Why string
	// Hints are the shardway comments of the text.
	Hints Hints
	// Params is the number of Args that a text with this norm has.
	Params int
	// Blocks are the query blocks, parents before their children; empty for statements without query blocks. The
	// statement's own are those with Parent -1 that aren't Derived: the branches of a set operation (see Block.Next), or
	// for INSERT … SELECT the target and then the select.
	Blocks []Block
	// Insert is set for INSERT and REPLACE.
	Insert *Insertion
	// Assign lists the columns that UPDATE's SET list or ON DUPLICATE KEY UPDATE writes.
	Assign []Assignment
	// Define is set for DDL of tables, views, sequences, indexes and databases.
	Define *Definition
	// Tx is set for transaction control.
	Tx Tx
	// Set lists the assignments of SET, in order.
	Set []SetVar
	// Inner is the statement of EXPLAIN, DESCRIBE, EXPLAIN ROUTE and SET STATEMENT … FOR. Its operands number
	// their Args like the whole text's. For EXPLAIN ROUTE it is nil: Scan InnerText on its own. For PREPARE and EXECUTE
	// IMMEDIATE it is the statement that their string holds, whose literals are constants.
	Inner *Statement
	// InnerText is the statement's text after EXPLAIN ROUTE.
	InnerText string
	// Name is the database of USE; what SHOW shows, lower case ("tables", "warnings", "variables", "create table");
	// what SHOW SHARDWAY shows ("servers"); the name of PREPARE, EXECUTE and DEALLOCATE, lower case; the
	// leading keywords of DDL, Account and Admin statements, lower case ("create table").
	Name string
	// ID is the thread or query of KILL; 0 when it isn't a literal.
	ID uint64
	// Words, for Unparsed, Prepare, Several, Call and DDL with a body: every identifier-like word of the text, lower case, sorted, without
	// duplicates, also those inside string literals.
	Words []string
	// Qualifiers are the database names written in the text, lower case, sorted, without duplicates; databases of
	// Tables are among them. Where the text isn't read as a tree (Unparsed, Several, bodies of procedures) it is every
	// a in a.b, so that it holds aliases of tables as well, but misses no database.
	Qualifiers []string
	// UserVars are the names of the user variables in the text, without @, lower case, sorted, each once, when it sets
	// any (FlagSetsUserVar): it may set all of them.
	UserVars []string
	// ParseError is the parser's message, for Unparsed.
	ParseError string
	// Bridged is true when the parser can't read the text as written, and a rewrite of its tokens, for analysis
	// alone, made it readable.
	Bridged bool

	apart *apart // nil for an Inner
	whole bool   // of a write that is Bridged: its clauses are as the text has them
}

// Is reports whether all of f are set.
func (st *Statement) Is(f Flags) bool { return st.Flags&f == f }

func (st *Statement) writes() bool {
	return st.Kind == Insert || st.Kind == Replace || st.Kind == Update || st.Kind == Delete
}

// Kind is what a statement is.
type Kind uint8

// The kinds of statements.
const (
	Other            Kind = iota // read by the parser, none of those below
	Empty                        // no statement at all: white space and comments
	Unparsed                     // can't be read: see ParseError, Words, Qualifiers
	Several                      // more than one statement in the text
	Select                       // SELECT, WITH … SELECT, TABLE, VALUES, UNION and the like
	Insert                       // INSERT
	Replace                      // REPLACE
	Update                       // UPDATE
	Delete                       // DELETE
	Call                         // CALL
	Do                           // DO
	DDL                          // CREATE, ALTER, DROP, RENAME, TRUNCATE
	Begin                        // BEGIN, START TRANSACTION
	Commit                       // COMMIT
	Rollback                     // ROLLBACK
	Savepoint                    // SAVEPOINT
	RollbackTo                   // ROLLBACK TO
	ReleaseSavepoint             // RELEASE SAVEPOINT
	Set                          // SET of variables, SET NAMES, SET CHARACTER SET
	SetTransaction               // SET [SESSION|GLOBAL] TRANSACTION
	Use                          // USE
	Show                         // SHOW
	Describe                     // DESCRIBE table
	Explain                      // EXPLAIN statement
	Kill                         // KILL
	Lock                         // LOCK TABLES
	Unlock                       // UNLOCK TABLES
	Prepare                      // PREPARE … FROM
	Execute                      // EXECUTE, EXECUTE IMMEDIATE
	Deallocate                   // DEALLOCATE, DROP PREPARE
	LoadData                     // LOAD DATA, LOAD XML
	Handler                      // HANDLER
	XA                           // XA
	Flush                        // FLUSH, RESET
	Account                      // GRANT, REVOKE, CREATE USER, SET PASSWORD, SET ROLE …
	Admin                        // ANALYZE, OPTIMIZE, CHECK, REPAIR, CHECKSUM, replication control …
	ShowShardway                 // SHOW SHARDWAY …
	ExplainRoute                 // EXPLAIN ROUTE …
)

// Flags are facts about a statement.
type Flags uint32

// The flags.
const (
	FlagRead             Flags = 1 << iota // a replica may serve it
	FlagSetsUserVar                        // sets @x
	FlagUsesUserVar                        // reads @x
	FlagLastInsertID                       // reads LAST_INSERT_ID() or @@last_insert_id or @@identity
	FlagFoundRows                          // reads FOUND_ROWS()
	FlagCalcFoundRows                      // SELECT SQL_CALC_FOUND_ROWS
	FlagRowCount                           // reads ROW_COUNT()
	FlagDiagnostics                        // SHOW WARNINGS, SHOW ERRORS, SHOW COUNT(*) …, GET DIAGNOSTICS, @@warning_count, @@error_count
	FlagLocks                              // FOR UPDATE, FOR SHARE, LOCK IN SHARE MODE
	FlagGetLock                            // GET_LOCK
	FlagReleaseLock                        // RELEASE_LOCK, RELEASE_ALL_LOCKS
	FlagTemporary                          // CREATE or DROP TEMPORARY TABLE
	FlagImplicitCommit                     // commits the open transaction by itself
	FlagConnectionID                       // reads CONNECTION_ID() or @@pseudo_thread_id
	FlagLocalInfile                        // LOAD DATA LOCAL
	FlagSequenceNext                       // NEXTVAL, LASTVAL, SETVAL, NEXT VALUE FOR
	FlagStoredFunction                     // calls a function that no server has built in: it may be stored
	FlagInto                               // SELECT … INTO
	FlagSetsLastInsertID                   // calls LAST_INSERT_ID(expr)
	FlagForeignData                        // reads a source that isn't a table: JSON_TABLE and the like
	FlagReturning                          // INSERT, REPLACE, DELETE or UPDATE … RETURNING: a write that answers rows
	FlagLimited                            // an UPDATE or DELETE with LIMIT, a SELECT with LIMIT in the outermost block
	FlagExecutable                         // holds an executable comment (/*! */, /*M! */) that only some servers run
	FlagOwnVariable                        // reads a variable of Shardway's own: @@shardway_…
	FlagFile                               // reads or writes a file of the server: INTO OUTFILE, LOAD_FILE, LOAD DATA without LOCAL
	FlagActs                               // calls a built-in function that changes the server or its group
	FlagDynamic                            // runs a text that isn't known, such as PREPARE … FROM @x, or a body that may do so
	FlagWaitTimeout                        // reads @@wait_timeout, not the global one
)

// Block is one query block: a SELECT, an UPDATE, a DELETE, or the target of an INSERT.
type Block struct {
	Parent int // index of the block that holds this one; -1 for the outermost
	Role   Role
	// Tables are the base tables, derived tables and CTE references of FROM, in order.
	Tables []Table
	// Where is what every row of the block meets: WHERE and the conditions of inner joins; nil when nothing is known.
	Where *Cond
	// Derived is true for the blocks of derived tables and CTEs: their rows are a source of another block.
	Derived bool
	// Plain says of a derived table's block that its rows are those of its tables that Where leaves, one for each.
	Plain bool
	// Next is the next branch of the same set operation (UNION, INTERSECT, EXCEPT); -1 without.
	Next int
	// Limit says that the block, or the set operation that begins with it, has a LIMIT.
	Limit bool
}

// Role is what a block does.
type Role uint8

// The roles of blocks.
const (
	RoleQuery Role = iota
	RoleUpdate
	RoleDelete
	RoleInsertTarget
)

// Table is one source of a block.
type Table struct {
	DB, Name, Alias string // as written; compared without regard to case. Name is "" for a derived table, CTE or table function
	// Source is the index of the first Block of a derived table or CTE; -1 for a base table and a table function.
	Source int
	// Write marks a target of UPDATE, DELETE, INSERT or REPLACE.
	Write bool
	// On restricts the rows of a null-supplied table of an outer join: rows that don't meet it can't appear. It is
	// nil for all others.
	On *Cond
	// Outer marks a null-supplied table of an outer join: a row of the block may have none of its rows.
	Outer bool
}

// CondOp is the operation of a Cond.
type CondOp uint8

// The operations of conditions.
const (
	CondUnknown       CondOp = iota // may be anything
	CondAnd                         // all of Args
	CondOr                          // any of Args
	CondEqual                       // Col = Vals[0]
	CondNullSafeEqual               // Col <=> Vals[0]
	CondIn                          // Col is one of Vals
	CondNever                       // false for every row
	CondExists                      // the subquery Blocks[Sub] gives a row; that of x IN (SELECT …) one that equals x
)

// Cond is a condition that rows meet. Only what is surely demanded is expressed, all else is CondUnknown.
type Cond struct {
	Op   CondOp
	Args []*Cond
	Col  Column
	Vals []Operand
	Sub  int // the subquery's block, which is no branch of a set operation
	// InRow says of CondEqual and CondNullSafeEqual that the client compared rows, (a, b) = (1, 2) or (a, b) IN ((1, 2)),
	// where servers convert values by other rules than for a = 1.
	InRow bool
}

// Column is a column as written, with the table that its qualifier means.
type Column struct {
	DB, Qualifier, Name string
	// Block and Table are the table that the qualifier resolves to, also in an outer block. Table is -1 when the
	// column isn't qualified or its qualifier means nothing that is known; Block is then the block it is written in.
	Block, Table int
}

// OperandKind is what an Operand is.
type OperandKind uint8

// The kinds of operands.
const (
	OperandUnknown  OperandKind = iota // an expression
	OperandArg                         // Args[Arg], negated when Neg
	OperandConst                       // Value: TRUE, FALSE, NULL, a literal that is part of the norm
	OperandColumn                      // Col
	OperandDefault                     // DEFAULT
	OperandExpr                        // Expr: arithmetic on Args and literals, see Operand.Integer
	OperandInserted                    // VALUES(Col), or Col of the row alias: what the INSERT would have stored there
)

// Operand is one value of a condition or of an INSERT.
type Operand struct {
	Kind  OperandKind
	Arg   int  // index in the digest's Args
	Neg   bool // a minus sign before the Arg
	Value Value
	Col   Column
	Expr  *Expr
}

// Insertion is what an INSERT or REPLACE stores.
type Insertion struct {
	Table   Table
	Columns []string    // nil: no column list
	Rows    [][]Operand // VALUES or SET; nil for INSERT … SELECT
	Select  int         // index of the Block of INSERT … SELECT; -1 without
	// SelectList are the select's columns, when they are known one by one; nil with * or a set operation.
	SelectList []Operand
	Ignore     bool
}

// Assignment is Col = Val in an UPDATE's SET list or in ON DUPLICATE KEY UPDATE.
type Assignment struct {
	Col Column
	Val Operand
	// Counted says that Val is in LAST_INSERT_ID(…), which gives an integer back as it is.
	Counted bool
}

// Tx is what a transaction statement asks for.
type Tx struct {
	ReadOnly, ReadWrite, Snapshot bool   // Begin; ReadOnly and ReadWrite for SetTransaction as well
	Chain, Release                bool   // Commit and Rollback: AND CHAIN, RELEASE
	NoChain, NoRelease            bool   // Commit and Rollback: AND NO CHAIN, NO RELEASE, which override completion_type
	Isolation                     string // SetTransaction: "READ-COMMITTED" and the like, as in @@transaction_isolation; "" if not set
	Scope                         Scope  // SetTransaction: Session, Global or Next
	Savepoint                     string // Savepoint, RollbackTo, ReleaseSavepoint: the name
}

// Scope is where a SET writes.
type Scope uint8

// The scopes of SET.
const (
	ScopeSession Scope = iota
	ScopeGlobal
	ScopePersist   // PERSIST and PERSIST_ONLY
	ScopeUser      // @x
	ScopeNext      // SET TRANSACTION without SESSION, SET @@transaction_isolation: the next transaction alone
	ScopeStatement // SET STATEMENT … FOR: the statement alone
)

// SetVar is one assignment of SET. SET NAMES is the variable "names" whose Text is the charset, followed by
// "collate" with the collation when it is given; SET CHARACTER SET is "character set".
type SetVar struct {
	Scope   Scope
	Name    string // lower case; without @ and @@
	Text    string // the value as SQL text, for Literal strings with their quotes
	Value   Value  // the literal when Literal is true; words (ON, utf8mb4) are strings
	Literal bool   // a literal, a signed number, or a bare word; else an expression
	Default bool   // DEFAULT
}

func lower(s string) string { return strings.ToLower(s) }
