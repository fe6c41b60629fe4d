package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// level is how good a finding is.
type level string

const (
	levelOK   level = "ok"
	levelWarn level = "warn"
	levelFail level = "fail"
)

// finding is what one check found.
type finding struct {
	Level level  `json:"level"`
	Where string `json:"where"` // a file and line, a server, a table
	Check string `json:"check"`
	Text  string `json:"text"`
	Fix   string `json:"fix,omitempty"`
}

// report collects findings in the order in which they are to be read.
type report struct {
	findings []finding
}

func (r *report) ok(where, check, format string, args ...any) {
	r.findings = append(r.findings, finding{levelOK, where, check, fmt.Sprintf(format, args...), ""})
}

// warn and fail take the fix before the text: a problem without a way out
// isn't worth much.
func (r *report) warn(where, check, fix, format string, args ...any) {
	r.findings = append(r.findings, finding{levelWarn, where, check, fmt.Sprintf(format, args...), fix})
}

func (r *report) fail(where, check, fix, format string, args ...any) {
	r.findings = append(r.findings, finding{levelFail, where, check, fmt.Sprintf(format, args...), fix})
}

func (r *report) count(l level) int {
	n := 0
	for _, f := range r.findings {
		if f.Level == l {
			n++
		}
	}
	return n
}

// write writes the findings as a table, or as JSON.
func (r *report) write(w io.Writer, output string) error {
	if output == "json" {
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		e.SetEscapeHTML(false)
		list := r.findings
		if list == nil {
			list = []finding{}
		}
		return e.Encode(struct {
			OK       bool      `json:"ok"`
			Failures int       `json:"failures"`
			Warnings int       `json:"warnings"`
			Findings []finding `json:"findings"`
		}{r.count(levelFail) == 0, r.count(levelFail), r.count(levelWarn), list})
	}
	where, check := 0, 0
	for _, f := range r.findings {
		where, check = max(where, utf8.RuneCountInString(f.Where)), max(check, utf8.RuneCountInString(f.Check))
	}
	var b strings.Builder
	indent := strings.Repeat(" ", 4+2+where+2+check+2)
	for _, f := range r.findings {
		text := strings.ReplaceAll(strings.TrimRight(f.Text, "\n"), "\n", "\n"+indent)
		fmt.Fprintf(&b, "%-4s  %s  %s  %s\n", f.Level, pad(f.Where, where), pad(f.Check, check), text)
		if f.Fix != "" {
			fmt.Fprintf(&b, "%s-> %s\n", indent, f.Fix)
		}
	}
	fmt.Fprintf(&b, "\n%d ok, %s, %s\n", r.count(levelOK), plural(r.count(levelWarn), "warning"), plural(r.count(levelFail), "failure"))
	_, err := io.WriteString(w, b.String())
	return err
}

func pad(s string, n int) string { return s + strings.Repeat(" ", n-utf8.RuneCountInString(s)) }

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
