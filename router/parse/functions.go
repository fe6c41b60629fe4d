package parse

import (
	"bytes"
	_ "embed"
	"slices"
	"strings"

	"github.com/pingcap/tidb/pkg/parser/ast"
)

//go:embed functions.txt
var functionList string

// builtins are the functions that MySQL or MariaDB has built in: a call of any other may be a stored function, which
// can write.
var builtins = makeBuiltins(functionList)

func makeBuiltins(list string) map[string]bool {
	m := make(map[string]bool)
	for line := range strings.Lines(list) {
		line, _, _ = strings.Cut(line, "#")
		for f := range strings.FieldsSeq(line) {
			m[f] = true
		}
	}
	return m
}

// stateful are the built-in functions that write, lock, or depend on the session or the server they run on.
var stateful = map[string]Flags{
	"get_lock": FlagGetLock, "is_free_lock": 0, "is_used_lock": 0,
	"release_lock": FlagReleaseLock, "release_all_locks": FlagReleaseLock,
	"last_insert_id": FlagLastInsertID, "found_rows": FlagFoundRows, "row_count": FlagRowCount,
	"nextval": FlagSequenceNext, "lastval": FlagSequenceNext, "setval": FlagSequenceNext,
	"connection_id": FlagConnectionID, "ps_current_thread_id": 0, "uuid_short": 0, "load_file": FlagFile,
	"master_pos_wait": 0, "source_pos_wait": 0, "wait_for_executed_gtid_set": 0,
	"wait_until_sql_thread_after_gtids": 0, "master_gtid_wait": 0,
	"service_get_read_locks": FlagGetLock, "service_get_write_locks": FlagGetLock, "service_release_locks": FlagReleaseLock,
	"asynchronous_connection_failover_add_source": FlagActs, "asynchronous_connection_failover_delete_source": FlagActs,
	"group_replication_set_as_primary": FlagActs, "group_replication_switch_to_single_primary_mode": FlagActs,
	"group_replication_switch_to_multi_primary_mode": FlagActs,
	"wsrep_sync_wait_upto_gtid":                      0, "wsrep_last_written_gtid": 0, "wsrep_last_seen_gtid": 0,
	"keyring_key_generate": FlagActs, "keyring_key_remove": FlagActs, "keyring_key_store": FlagActs,
}

// grammar are the parser's own names for what isn't written as a function's name: INSERT(…), CHAR(…), MEMBER OF, DATE '…'.
// A text that spells one of them means a function of that name.
var grammar = []string{
	"insert_func", "char_func", "json_memberof", "'tidb`.(dateliteral", "'tidb`.(timeliteral", "'tidb`.(timestampliteral",
}

// call notes what a function call means for the statement.
func (a *analyzer) call(n *ast.FuncCallExpr) {
	name := n.FnName.L
	if slices.Contains(grammar, name) && !bytes.Contains(bytes.ToLower(a.src.Text), []byte(name)) {
		return
	}
	if n.Schema.O != "" {
		a.st.Qualifiers = append(a.st.Qualifiers, n.Schema.O)
		a.st.Flags |= FlagStoredFunction
		a.notRead("function " + n.Schema.O + "." + n.FnName.O + " may be a stored one")
		return
	}
	if flags, ok := stateful[name]; ok {
		if name == "last_insert_id" && len(n.Args) > 0 {
			flags = FlagSetsLastInsertID
		}
		a.st.Flags |= flags
		a.notRead("function " + strings.ToUpper(name))
		return
	}
	if !builtins[name] {
		a.st.Flags |= FlagStoredFunction
		a.notRead("function " + n.FnName.O + " isn't built in, so it may be a stored one")
	}
}

// dropped notes a call in what a bridge took out of the text.
func (a *analyzer) dropped(name string) {
	if flags, ok := stateful[name]; ok {
		a.st.Flags |= flags
		a.notRead("function " + strings.ToUpper(name))
	} else if !builtins[name] {
		a.st.Flags |= FlagStoredFunction
		a.notRead("a function that may be a stored one")
	}
}

// variable notes what a variable means for the statement.
func (a *analyzer) variable(n *ast.VariableExpr) {
	name := lower(n.Name)
	if !n.IsSystem {
		if n.Value != nil {
			a.st.Flags |= FlagSetsUserVar
			a.notRead("assignment to @" + n.Name)
			return
		}
		a.st.Flags |= FlagUsesUserVar
		a.notRead("user variable @" + n.Name)
		return
	}
	if i := strings.LastIndexByte(name, '.'); i >= 0 {
		name = name[i+1:]
	}
	if name == "wait_timeout" && !n.IsGlobal {
		a.st.Flags |= FlagWaitTimeout
	}
	a.systemVariable(name)
}

// OwnPrefix begins the names of the session variables that are Shardway's own.
const OwnPrefix = "shardway_"

func (a *analyzer) systemVariable(name string) {
	switch name {
	case "last_insert_id", "identity":
		a.st.Flags |= FlagLastInsertID
	case "insert_id", "in_transaction", "last_gtid":
	case "warning_count", "error_count":
		a.st.Flags |= FlagDiagnostics
	case "pseudo_thread_id":
		a.st.Flags |= FlagConnectionID
	default:
		if !strings.HasPrefix(name, OwnPrefix) {
			return
		}
		a.st.Flags |= FlagOwnVariable
	}
	a.notRead("@@" + name + " belongs to the connection")
}

// expr notes what is anywhere in an expression or clause of block b: functions, variables, subqueries, databases.
func (a *analyzer) expr(n ast.Node, b int) {
	n.Accept(&finder{a: a, b: b, scope: b})
}

type finder struct {
	a     *analyzer
	b     int
	scope int // the block whose tables columns of subqueries may mean; -1 for none
}

// Enter implements ast.Visitor.
func (f *finder) Enter(n ast.Node) (ast.Node, bool) {
	a := f.a
	switch n := n.(type) {
	case *ast.SubqueryExpr:
		sub := a.query(n.Query, f.b, f.scope, false)
		if a.subs == nil {
			a.subs = make(map[*ast.SubqueryExpr]int)
		}
		a.subs[n] = sub
		return n, true
	case *ast.SelectStmt:
		a.query(n, f.b, f.scope, false)
		return n, true
	case *ast.SetOprStmt:
		a.query(n, f.b, f.scope, false)
		return n, true
	case *ast.FuncCallExpr:
		a.call(n)
	case *ast.VariableExpr:
		a.variable(n)
	case *ast.ColumnName:
		a.schema(n)
		if n.Table.O != "" && (n.Name.L == "nextval" || n.Name.L == "currval") { // sql_mode ORACLE
			a.st.Flags |= FlagSequenceNext
			a.notRead("sequence " + n.Table.O)
		}
	case *ast.WildCardField:
		if n.Schema.O != "" {
			a.st.Qualifiers = append(a.st.Qualifiers, n.Schema.O)
		}
	case *ast.TableName: // a sequence
		a.st.Flags |= FlagSequenceNext
		a.notRead("sequence " + n.Name.O)
		if n.Schema.O != "" {
			a.st.Qualifiers = append(a.st.Qualifiers, n.Schema.O)
		}
	}
	return n, false
}

// Leave implements ast.Visitor.
func (f *finder) Leave(n ast.Node) (ast.Node, bool) { return n, true }

// schema notes the database of a column.
func (a *analyzer) schema(n *ast.ColumnName) {
	if n.Schema.O != "" {
		a.st.Qualifiers = append(a.st.Qualifiers, n.Schema.O)
	}
}
