package follow

import (
	"strings"

	"shardway/shardmap/rebalance/rows"
)

// effect is what a statement in the log is for a table.
type effect uint8

const (
	noEffect effect = iota
	defines         // changes its definition, or empties it
	changes         // may change its rows, which aren't in the log
)

// word is a piece of a statement's text: an unquoted word, a quoted name, a string
// (whose text is left out), or a character.
type word struct {
	text  string
	upper string // in upper case; "" for what is quoted
}

// words cuts a statement. What is in a comment for servers alone (/*! … */) is
// taken for text.
func words(text string) []word {
	var all []word
	for i := 0; i < len(text); {
		c := text[i]
		switch {
		case c <= ' ':
			i++
		case c == '#', strings.HasPrefix(text[i:], "--") && (i+2 == len(text) || text[i+2] <= ' '):
			i = after(text, i, "\n")
		case strings.HasPrefix(text[i:], "/*!"), strings.HasPrefix(text[i:], "/*M!"):
			i += strings.IndexByte(text[i:], '!') + 1
			for i < len(text) && '0' <= text[i] && text[i] <= '9' {
				i++
			}
		case strings.HasPrefix(text[i:], "/*"):
			i = after(text, i+2, "*/")
		case c == '\'', c == '"', c == '`':
			var name string
			name, i = quoted(text, i)
			if c == '\'' { // "…" is a name where sql_mode says so
				name = ""
			}
			all = append(all, word{text: name})
		case isWord(c):
			from := i
			for i < len(text) && isWord(text[i]) {
				i++
			}
			all = append(all, word{text: text[from:i], upper: strings.ToUpper(text[from:i])})
		default:
			all = append(all, word{text: text[i : i+1], upper: text[i : i+1]})
			i++
		}
	}
	return all
}

func isWord(c byte) bool {
	return c == '_' || c == '$' || c >= 0x80 || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

func after(text string, from int, end string) int {
	if at := strings.Index(text[from:], end); at >= 0 {
		return from + at + len(end)
	}
	return len(text)
}

// quoted reads what is between two quotes, and says where it ends.
func quoted(text string, from int) (string, int) {
	quote := text[from]
	var b strings.Builder
	for i := from + 1; i < len(text); i++ {
		switch {
		case text[i] == '\\' && quote != '`' && i+1 < len(text):
			i++
		case text[i] == quote && i+1 < len(text) && text[i+1] == quote:
			i++
		case text[i] == quote:
			return b.String(), i + 1
		}
		b.WriteByte(text[i])
	}
	return b.String(), len(text)
}

// mentions says whether a statement names a table. schema is the one that names
// without another mean.
func mentions(all []word, schema string, t *rows.Table) bool {
	for i, w := range all {
		if !strings.EqualFold(w.text, t.Name) {
			continue
		}
		if i >= 2 && all[i-1].upper == "." {
			if strings.EqualFold(all[i-2].text, t.Schema) {
				return true
			}
			continue
		}
		if strings.EqualFold(schema, t.Schema) {
			return true
		}
	}
	return false
}

// effectOf says what a statement of the log is for a table.
func effectOf(text, schema string, t *rows.Table) effect {
	all := words(text)
	upper := func(i int) string {
		if i < len(all) {
			return all[i].upper
		}
		return ""
	}
	// What a prefix makes of a statement isn't asked.
	for upper(0) == "SET" && upper(1) == "STATEMENT" {
		at := 2
		for at < len(all) && all[at].upper != "FOR" {
			at++
		}
		all = all[min(at+1, len(all)):]
	}
	switch upper(0) {
	case "DROP", "ALTER", "CREATE":
		return effectOfDefinition(all, schema, t)
	case "TRUNCATE", "RENAME":
		if mentions(all, schema, t) {
			return defines
		}
	case "INSERT", "REPLACE", "UPDATE", "DELETE", "LOAD", "WITH", "MERGE", "(":
		if mentions(all, schema, t) {
			return changes
		}
	}
	return noEffect
}

// effectOfDefinition is for DROP, ALTER and CREATE.
func effectOfDefinition(all []word, schema string, t *rows.Table) effect {
	at := 1
	for at < len(all) {
		switch all[at].upper {
		case "OR", "REPLACE", "ONLINE", "OFFLINE", "IGNORE", "UNIQUE", "FULLTEXT", "SPATIAL", "AGGREGATE", "DEFINER", "=", "@", "CURRENT_USER", "", "%", "(", ")":
			at++
			continue
		}
		// The account behind DEFINER=.
		if all[at-1].upper == "=" || all[at-1].upper == "@" {
			at++
			continue
		}
		break
	}
	if at >= len(all) {
		return noEffect
	}
	create, replace := all[0].upper == "CREATE", len(all) > 2 && all[1].upper == "OR" && all[2].upper == "REPLACE"
	switch all[at].upper {
	case "TABLE", "TABLES":
		// What is created isn't there, or isn't changed.
		if (!create || replace) && mentions(all, schema, t) {
			return defines
		}
	case "INDEX", "TRIGGER":
		if mentions(all, schema, t) || all[at].upper == "TRIGGER" && !create && strings.EqualFold(schema, t.Schema) {
			return defines
		}
	case "DATABASE", "SCHEMA":
		if all[0].upper == "DROP" && strings.EqualFold(all[len(all)-1].text, t.Schema) {
			return defines
		}
	}
	return noEffect
}
