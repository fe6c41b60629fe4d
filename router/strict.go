package router

import (
	"strconv"

	"shardway/protocol"
	"shardway/router/plan"
)

// warned takes over the warnings of the SELECT that chose rows. In strict mode a server that had evaluated the expressions
// while it wrote would have failed with the first of them, but for IGNORE; MariaDB does so where it stores what it evaluates,
// not where it looks for rows to delete or to sort.
func (w *picking) warned(n uint16, warnings *protocol.Result) error {
	maria := w.o.mariaDB()
	lenient := maria && (w.p.Op == plan.PickDelete || w.p.Op == plan.PickUpdate && w.p.Sorted)
	if w.s.facts.Strict && !w.p.Ignore && !lenient {
		if e := strictly(warnings, maria); e != nil {
			return e
		}
	}
	if n == 0 {
		return nil
	}
	w.sum.Warnings += n
	w.note(warnings)
	count := "Warnings: " + strconv.Itoa(int(n))
	switch {
	case w.p.Op == plan.PickInsert:
		w.sum.Info = "Records: 0  Duplicates: 0  " + count
	case w.p.Op != plan.PickDelete && (!maria || !w.p.Joined):
		w.sum.Info = "Rows matched: 0  Changed: 0  " + count
	}
	return nil
}

// note takes over warnings for SHOW WARNINGS.
func (w *picking) note(warnings *protocol.Result) {
	switch {
	case warnings == nil:
	case w.warnings == nil:
		w.warnings = warnings
	default:
		w.warnings.Rows = append(w.warnings.Rows, warnings.Rows...)
	}
}

// strictly is the error that the first of some warnings is in strict mode; nil where none is one.
func strictly(warnings *protocol.Result, maria bool) *protocol.Error {
	if warnings == nil {
		return nil
	}
	for _, row := range warnings.Rows {
		if len(row) < 3 || row[0] == nil || row[1] == nil || row[2] == nil || *row[0] != "Warning" {
			continue
		}
		code, err := strconv.ParseUint(*row[1], 10, 16)
		if err != nil {
			continue
		}
		state, known := strictStates[uint16(code)]
		switch {
		case !known && !maria: // MySQL makes an error of these alone
			continue
		case !known:
			state = "HY000"
		case maria && code == 1366:
			state = "22007"
		}
		return protocol.Errorf(uint16(code), state, "%s", *row[2])
	}
	return nil
}

// strictStates are the warnings that are errors in strict mode, with their SQLSTATEs.
var strictStates = map[uint16]string{
	1260: "HY000", 1264: "22003", 1265: "01000", 1292: "22007", 1301: "HY000", 1365: "22012", 1366: "HY000", 1406: "22001",
	1411: "HY000", 1441: "22008", 3020: "2201E", 3156: "22018", 3157: "22018",
}
