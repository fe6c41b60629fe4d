package shardmap

import (
	"fmt"
	"strings"
)

// Problem is something wrong, or doubtful, in a map.
type Problem struct {
	Line    int    `json:"line"` // in the text, from 1; 0 when it concerns no line
	Key     string `json:"key"`  // the path of keys: databases.shop.slots
	Text    string `json:"text"` // what is wrong and what to do
	Warning bool   `json:"warning"`
}

func (p Problem) String() string {
	var b strings.Builder
	if p.Line > 0 {
		fmt.Fprintf(&b, "line %d: ", p.Line)
	}
	if p.Key != "" {
		b.WriteString(p.Key + ": ")
	}
	b.WriteString(p.Text)
	return b.String()
}

// Invalid is the error of Parse: all that is wrong with the text, in its
// order, though no more than maxProblems.
type Invalid struct{ Problems []Problem }

func (e *Invalid) Error() string {
	if len(e.Problems) == 1 {
		return "shard map: " + e.Problems[0].String()
	}
	lines := make([]string, 0, len(e.Problems)+1)
	lines = append(lines, fmt.Sprintf("shard map: %d errors", len(e.Problems)))
	for _, p := range e.Problems {
		lines = append(lines, "  "+p.String())
	}
	return strings.Join(lines, "\n")
}
