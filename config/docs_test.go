package config

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the tables of docs/configuration.md afresh")

const reference = "../docs/configuration.md"

// tables writes the reference's tables, one for each section.
func tables() map[string]string {
	out := map[string]string{}
	cell := func(s string) string {
		if s == "" {
			return " "
		}
		return "`" + strings.ReplaceAll(s, "|", `\|`) + "`"
	}
	row := func(k Key, name, env string) string {
		kind := string(k.Kind)
		if k.Kind == Word {
			kind = strings.Join(k.Allowed, ", ")
		}
		return fmt.Sprintf("| `%s` | %s | %s | `%s` | %s |\n", name, kind, cell(k.Default), env, k.Doc)
	}
	head := "| key | type | default | environment | meaning |\n|---|---|---|---|---|\n"
	for _, k := range Keys() {
		section, _, ok := strings.Cut(k.Name, ".")
		if !ok {
			section = "top"
		}
		out[section] += row(k, k.Name, k.Env())
	}
	for _, k := range UserKeys() {
		out["users"] += row(k, "users.NAME."+k.Name, EnvPrefix+"USERS_NAME_"+strings.ToUpper(k.Name))
	}
	for section := range out {
		out[section] = head + out[section]
	}
	return out
}

// The reference and the code say the same of each key: its type, default, name
// in the environment and meaning. `go test ./config -update` writes the tables.
func TestReferenceEqualsTheCode(t *testing.T) {
	data, err := os.ReadFile(reference)
	if err != nil {
		t.Fatal(err)
	}
	doc := string(data)
	want := tables()
	for section, table := range want {
		begin, end := "<!-- keys: "+section+" -->\n", "<!-- end -->\n"
		_, after, ok := strings.Cut(doc, begin)
		old, _, closed := strings.Cut(after, end)
		if !ok || !closed {
			t.Errorf("%s has no place for the keys of %s: %q … %q", reference, section, begin, end)
			continue
		}
		if old != table && *update {
			doc = strings.Replace(doc, begin+old+end, begin+table+end, 1)
		} else if old != table {
			t.Errorf("%s: the keys of %s are\n%s\nbut the code has\n%s", reference, section, old, table)
		}
	}
	if n := strings.Count(doc, "<!-- keys: "); n != len(want) {
		t.Errorf("%s has %d tables, the code %d sections", reference, n, len(want))
	}
	_, rest, _ := strings.Cut(doc, "## Keys that have no effect yet\n")
	rest, _, _ = strings.Cut(rest, "\n## ")
	for _, i := range inert() {
		if !strings.Contains(rest, "`"+i.key+"`") {
			t.Errorf("%s doesn't say that %s has no effect yet", reference, i.key)
		}
	}
	for _, k := range Keys() {
		listed := strings.Contains(rest, "`"+k.Name+"`")
		if wired := !slices.ContainsFunc(inert(), func(i inertKey) bool { return i.key == k.Name }); listed && wired {
			t.Errorf("%s says that %s has no effect, but it has", reference, k.Name)
		}
	}
	if *update {
		if err := os.WriteFile(reference, []byte(doc), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
