package config

import (
	"fmt"
	"strings"
)

// Problem is one thing that is wrong with the configuration.
type Problem struct {
	Where string // "shardway.yaml:12", "SHARDWAY_MAP", "--map"; "" when it isn't written anywhere
	Key   string // "replicas.policy"; "" when it isn't about one key
	Text  string // what is wrong, and what would be right
}

// String writes the problem on one line.
func (p Problem) String() string {
	s := p.Text
	if p.Key != "" {
		s = p.Key + ": " + s
	}
	if p.Where != "" {
		s = p.Where + ": " + s
	}
	return s
}

// Error says all that is wrong with a configuration.
type Error struct {
	Problems []Problem // at least one
}

// Error writes one problem a line.
func (e *Error) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// origin says where a value was written.
type origin struct {
	file string // of a line
	line int
	name string // variable or flag, when it isn't from the file
}

func (o origin) String() string {
	if o.name != "" {
		return o.name
	}
	if o.line > 0 {
		return fmt.Sprintf("%s:%d", o.file, o.line)
	}
	return o.file
}

// problems collects.
type problems struct{ all []Problem }

func (ps *problems) add(where origin, key, format string, args ...any) {
	ps.all = append(ps.all, Problem{Where: where.String(), Key: key, Text: fmt.Sprintf(format, args...)})
}

func (ps *problems) err() error {
	if len(ps.all) == 0 {
		return nil
	}
	return &Error{Problems: ps.all}
}

// nearest returns " (did you mean …?)" for the name that is most like what was
// written, or "" when none is like it.
func nearest(written string, names []string) string {
	if len(written) > 100 {
		return "" // no slip of the pen, and costly to compare
	}
	best, bestDistance := "", max(2, len(written)/3)+1
	for _, n := range names {
		if d := distance(written, n); d < bestDistance {
			best, bestDistance = n, d
		}
	}
	if best == "" {
		return ""
	}
	return " (did you mean " + best + "?)"
}

// distance is Levenshtein's.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}
