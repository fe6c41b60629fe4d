package rebalance

import (
	"errors"
	"fmt"
	"slices"

	"shardway/shardmap/rebalance/rows"
	"shardway/shardmap/server"
)

// final is an error after which trying again is of no use: somebody must do
// something first.
type final struct{ error }

func (f final) Unwrap() error { return f.error }

func stop(format string, args ...any) error { return final{fmt.Errorf(format, args...)} }

// errCrash is a failpoint's error, after which nothing is done any more.
var errCrash = errors.New("crashed")

// isFinal says whether trying again is of no use.
func isFinal(err error) bool {
	if _, ok := errors.AsType[final](err); ok {
		return true
	}
	_, ok := errors.AsType[*rows.Collision](err)
	return ok
}

// isWrong says whether a server has refused a statement for a reason that
// doesn't pass by itself: it is tried a few times, and then final.
func isWrong(err error) bool {
	code := server.Code(err)
	// Locks, too many connections, a server that stops or is read-only for the
	// time of a change of primary, a connection that was killed.
	passing := []uint16{1040, 1053, 1152, 1158, 1159, 1160, 1161, 1203, 1205, 1213, 1223, 1226, 1290, 1317, 1836, 1927, 3024, 3572}
	return code != 0 && !slices.Contains(passing, code)
}
