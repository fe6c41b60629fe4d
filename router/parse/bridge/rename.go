package bridge

import (
	"slices"

	"shardway/router/parse/digest"
)

// ordinary are words that the parser keeps for itself and that are ordinary names to MariaDB or to older MySQL.
var ordinary = []string{
	"CUME_DIST", "DENSE_RANK", "FIRST_VALUE", "GROUPS", "ILIKE", "LAG", "LAST_VALUE", "LEAD", "NTH_VALUE", "NTILE", "PERCENT_RANK", "RANK",
	"ROW_NUMBER", "STORED", "TABLESAMPLE", "UNTIL", "VIRTUAL",
}

// beforeTable are words that a table's name follows.
var beforeTable = []string{"INTO", "TABLE", "UPDATE", "FROM", "JOIN", "IGNORE", "."}

// ordinaryName lets a word that the parser keeps for itself pass as a name: for the parser its first letter is $.
func (b *bridge) ordinaryName(t digest.Token) {
	if b.tok(b.i+1).Up == "(" && !slices.Contains(beforeTable, b.tok(b.i-1).Up) {
		return // a function
	}
	name := b.src.Str(t)
	if b.out.Renamed == nil {
		b.out.Renamed = make(map[string]string)
	}
	b.out.Renamed["$"+name[1:]] = name
	b.src.Text[t.A] = '$'
	b.changed = true
}
