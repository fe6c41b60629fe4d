package merge

import (
	"fmt"

	"shardway/protocol"
)

// The codes of errors of this package's own.
const (
	codeUnknown   = 1105
	codeMalformed = 1835
)

// UnmergeableError says that rows of these columns can be brought together by a server alone. Run and New return it
// before the Sink has got the first row, but for rows that come in no order that their values have.
type UnmergeableError struct{ Why string }

func (e *UnmergeableError) Error() string { return e.Why }

func unmergeable(format string, args ...any) error {
	return &UnmergeableError{fmt.Sprintf(format, args...)}
}

func malformed(format string, args ...any) error {
	return protocol.Errorf(codeMalformed, "HY000", "malformed packet: "+format, args...)
}
