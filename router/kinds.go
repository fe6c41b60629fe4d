package router

import "shardway/router/parse"

// kindNames are the statements' kinds as events and metrics name them.
var kindNames = [...]string{
	parse.Other: "other", parse.Empty: "empty", parse.Unparsed: "unparsed", parse.Several: "several", parse.Select: "select",
	parse.Insert: "insert", parse.Replace: "replace", parse.Update: "update", parse.Delete: "delete", parse.Call: "call",
	parse.Do: "do", parse.DDL: "ddl", parse.Begin: "begin", parse.Commit: "commit", parse.Rollback: "rollback",
	parse.Savepoint: "savepoint", parse.RollbackTo: "rollback_to", parse.ReleaseSavepoint: "release_savepoint",
	parse.Set: "set", parse.SetTransaction: "set_transaction", parse.Use: "use", parse.Show: "show",
	parse.Describe: "describe", parse.Explain: "explain", parse.Kill: "kill", parse.Lock: "lock", parse.Unlock: "unlock",
	parse.Prepare: "sql_prepare", parse.Execute: "sql_execute", parse.Deallocate: "sql_deallocate",
	parse.LoadData: "load_data", parse.Handler: "handler", parse.XA: "xa", parse.Flush: "flush", parse.Account: "account",
	parse.Admin: "admin", parse.ShowShardway: "show_shardway", parse.ExplainRoute: "explain_route",
}

func kindName(k parse.Kind) string {
	if int(k) < len(kindNames) && kindNames[k] != "" {
		return kindNames[k]
	}
	return "other"
}
