package exec

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"shardway/protocol"
	"shardway/router/backend"
)

// addWarnings takes over what a server says to SHOW WARNINGS.
func (o *Outcome) addWarnings(res *protocol.Result) {
	if o.Warnings == nil {
		o.Warnings = res
		return
	}
	o.Warnings.Rows = append(o.Warnings.Rows, res.Rows...)
}

// warningOf is what SHOW WARNINGS says of an error.
func warningOf(e *protocol.Error) *protocol.Result {
	level, code := "Error", strconv.Itoa(int(e.Code))
	return &protocol.Result{Columns: []string{"Level", "Code", "Message"}, Rows: [][]*string{{&level, &code, &e.Message}}}
}

// ofText are the codes of warnings that a server gives for how a statement is written, once for a statement: what is
// deprecated in it.
var ofText = []string{"1287", "1681", "3719", "3778"}

// compareWarnings asks for the warnings where several shards have some, and finds those that a server with all rows would
// give once.
func (m *many) compareWarnings(struck bool) {
	var with []*branch
	for i := range m.branches {
		if b := &m.branches[i]; b.begun && b.c != nil && !b.struck && m.streams.Err(i) == nil && m.streams.Reply(i).Warnings > 0 {
			with = append(with, b)
		}
	}
	if len(with) < 2 || struck {
		return
	}
	told := map[string]int{} // how often a shard says so at the most
	for _, b := range with {
		m.askWarnings(b, b.c)
		if b.warnings == nil {
			continue
		}
		mine := map[string]int{}
		b.warnings.Rows = slices.DeleteFunc(b.warnings.Rows, func(row []*string) bool {
			if len(row) < 3 || row[1] == nil || row[2] == nil || !slices.Contains(ofText, *row[1]) {
				return false
			}
			if mine[*row[2]]++; mine[*row[2]] > told[*row[2]] {
				told[*row[2]] = mine[*row[2]]
				return false
			}
			b.repeated++
			return true
		})
	}
}

// askWarnings asks a shard for its warnings. Where the connection breaks there are none.
func (m *many) askWarnings(b *branch, c *backend.Conn) {
	if b.warnings != nil {
		return
	}
	if res, err := c.Query("SHOW WARNINGS"); err == nil {
		b.warnings = res
	}
}

// fewerWarnings is what a server said with n warnings less: "Records: 5  Duplicates: 0  Warnings: 2".
func fewerWarnings(info string, n int) string {
	const word = "Warnings: "
	at := strings.LastIndex(info, word)
	if n == 0 || at < 0 {
		return info
	}
	count, rest := leadingNumber(info[at+len(word):])
	return fmt.Sprintf("%s%d%s", info[:at+len(word)], count-min(count, uint64(n)), rest)
}
