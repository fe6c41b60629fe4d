package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
)

// json writes v as indented JSON.
func (t *tool) json(v any) error {
	e := json.NewEncoder(t.stdout)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// table writes rows under a header, in columns.
func (t *tool) table(header []string, rows [][]string) error { return table(t.stdout, header, rows) }

func table(out io.Writer, header []string, rows [][]string) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, strings.Join(header, "\t"))
	for _, r := range rows {
		fmt.Fprintln(w, strings.Join(r, "\t"))
	}
	return w.Flush()
}

// confirm asks whether to go on. Without --yes and without somebody to answer
// it refuses.
func (t *tool) confirm(question string) error {
	if t.yes {
		return nil
	}
	if !isTerminal(t.stdin) {
		return refusef("nothing was changed: there is no terminal to ask; run it with --yes")
	}
	fmt.Fprintf(t.stderr, "%s [y/N] ", question)
	answer, err := bufio.NewReader(t.stdin).ReadString('\n')
	if err != nil && answer == "" {
		return refusef("nothing was changed: no answer; run it with --yes")
	}
	switch strings.ToLower(strings.TrimSpace(answer)) {
	case "y", "yes":
		return nil
	}
	return refusef("nothing was changed")
}

// asker is a stdin, or a stdout, of tests that is as a terminal.
type asker interface{ Terminal() bool }

func isTerminal(stream any) bool {
	switch f := stream.(type) {
	case asker:
		return f.Terminal()
	case *os.File:
		info, err := f.Stat()
		return err == nil && info.Mode()&os.ModeCharDevice != 0
	}
	return false
}
