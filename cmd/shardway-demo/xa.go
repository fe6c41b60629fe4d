//go:build gms_pure_go

package main

// plainXA returns what the engine is to run in place of a statement about an XA branch, which it doesn't know; any
// other statement as it is. A branch is a plain transaction here, and PREPARE leaves it open: it promises no less
// than servers whose rows are in the memory of one process can keep, as long as the branch's connection lives. So
// there are never branches in doubt to be recovered.
func plainXA(query string) string {
	if firstWord(query) != "xa" {
		return query
	}
	switch secondWord(query) {
	case "start", "begin":
		return "START TRANSACTION"
	case "end", "prepare":
		return "SET @xa = NULL"
	case "commit":
		return "COMMIT"
	case "rollback":
		return "ROLLBACK"
	case "recover":
		return "SELECT 0 AS formatID, 0 AS gtrid_length, 0 AS bqual_length, '' AS data FROM DUAL WHERE FALSE"
	default:
		return query
	}
}
