//go:build gms_pure_go

package main

import "testing"

func TestFirstWord(t *testing.T) {
	for query, want := range map[string]string{
		"SELECT 1":                                "select",
		"  (SELECT 1) UNION (SELECT 2)":           "select",
		"/* a */ /* shardway: primary */select 1": "select",
		"/*! UPDATE users SET id = 1 */":          "",
		"/* open":                                 "",
		"UPDATE users SET id = 1":                 "update",
		"BEGIN":                                   "begin",
		"set@a=1":                                 "set",
		"kill 5":                                  "kill",
		"":                                        "",
	} {
		if got := firstWord(query); got != want {
			t.Errorf("firstWord(%q) = %q, want %q", query, got, want)
		}
	}
	for word, want := range map[string]bool{"select": true, "show": true, "set": true, "with": false, "update": false, "begin": false, "commit": false, "": false} {
		if onlyReads(word) != want {
			t.Errorf("onlyReads(%q) = %v", word, !want)
		}
	}
}
