package e2e

import (
	"encoding/binary"
	"slices"

	"shardway/protocol"
)

// Flags of a column's definition.
const (
	flagNotNull     = 0x0001
	flagPrimaryKey  = 0x0002
	flagUniqueKey   = 0x0004
	flagMultipleKey = 0x0008
	flagBinary      = 0x0080
	flagNoDefault   = 0x1000
	flagPartKey     = 0x4000
	flagGroup       = 0x8000
)

// planned are column definitions without what depends on the server's plan. A column that comes from a temporary table
// has no key there, or the one that the temporary table was given, and an aggregate function isn't binary any more and
// has an original name, and a text has no decimals, which it has 31 of before (MySQL). Whether there is such a table goes by how many rows the server has, and by whether it finds
// out before that no row can match: one server with all rows decides otherwise than one with a part of them. WITH ROLLUP,
// such a table's columns aren't those of the original table and may be NULL.
func planned(defs [][]byte, rollup bool) [][]byte {
	out := make([][]byte, len(defs))
	for i, def := range defs {
		out[i] = plannedOne(slices.Clone(def), rollup)
	}
	return out
}

func plannedOne(def []byte, rollup bool) []byte {
	at := 0
	table := false
	for field := range 6 { // catalog, database, table, original table, name, original name
		if at >= len(def) || at+1+int(def[at]) > len(def) {
			return def
		}
		n := int(def[at]) // names are short
		if field == 2 {
			table = n > 0
		}
		if field == 5 && !table || field == 3 && rollup {
			def = slices.Delete(def, at+1, at+1+n)
			def[at], n = 0, 0
		}
		at += 1 + n
	}
	const flagsAt = 1 + 2 + 4 + 1 // behind the length of the rest, the collation, the width and the type
	if len(def) < at+flagsAt+3 {
		return def
	}
	flags := binary.LittleEndian.Uint16(def[at+flagsAt:])
	flags &^= flagPrimaryKey | flagUniqueKey | flagMultipleKey | flagPartKey | flagGroup
	if rollup {
		flags &^= flagNotNull | flagNoDefault
	}
	if !table {
		flags &^= flagBinary
		if typ := def[at+flagsAt-1]; typ == protocol.TypeString || typ == protocol.TypeVarString || typ == protocol.TypeBlob {
			def[at+flagsAt+2] = 0
		}
	}
	binary.LittleEndian.PutUint16(def[at+flagsAt:], flags)
	return def
}
