package grammar

import (
	"strconv"
	"strings"
)

// A literal that may as well be a bound value stands between marks.
const mark = "\x00"

func literal(sql string) string { return mark + sql + mark }

// plain is a text with its literals as they are.
func plain(sql string) string { return strings.ReplaceAll(sql, mark, "") }

// bound is a text with a marker for each literal, and the literals' values.
func bound(sql string) (text string, args []any) {
	var b strings.Builder
	for i, part := range strings.Split(sql, mark) {
		if i%2 == 0 {
			b.WriteString(part)
			continue
		}
		b.WriteByte('?')
		if n, err := strconv.ParseInt(part, 10, 64); err == nil {
			args = append(args, n)
		} else {
			args = append(args, strings.Trim(part, "'"))
		}
	}
	return b.String(), args
}
