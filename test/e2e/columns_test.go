package e2e

import (
	"encoding/binary"
	"slices"
)

// Flags of a column's definition.
const (
	flagNotNull     = 0x0001
	flagPrimaryKey  = 0x0002
	flagUniqueKey   = 0x0004
	flagMultipleKey = 0x0008
	flagBlob        = 0x0010
	flagBinary      = 0x0080
	flagNoDefault   = 0x1000
	flagPartKey     = 0x4000
	flagGroup       = 0x8000
)

// Widths of columns: of an INT, and of the widest text that a server's temporary table has as no BLOB.
const (
	widthOfInt = 11
	widestText = 1<<16 - 4
)

// planned are column definitions without what depends on the server's plan. A column that comes from a temporary table
// has no key there, or the one that the temporary table was given, and an aggregate function isn't binary any more (or has a default, MariaDB) and
// has an original name, and a text has no decimals, which it has 31 of before (MySQL). Whether there is such a table goes by how many rows the server has, and by whether it finds
// out before that no row can match: one server with all rows decides otherwise than one with a part of them. WITH ROLLUP,
// such a table's columns aren't those of the original table and may be NULL.
//
// A column of a derived table is one of the tables in it where the server has merged it with the statement, one of a
// temporary table where it hasn't, and none where it is the same in all rows. Whether a column of an outer join may be NULL
// goes by whether the server has made an inner one of it.
func planned(defs [][]byte, derived []string, rollup, outer bool) [][]byte {
	out := make([][]byte, len(defs))
	for i, def := range defs {
		out[i] = plannedOne(slices.Clone(def), derived, rollup, outer)
	}
	return out
}

func plannedOne(def []byte, derived []string, rollup, outer bool) []byte {
	def, table := ofTable(def, derived)
	at := 0
	for field := range 6 { // catalog, database, table, original table, name, original name
		if at >= len(def) || at+1+int(def[at]) > len(def) {
			return def
		}
		n := int(def[at]) // names are short
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
	if outer {
		flags &^= flagNotNull
	}
	if width := binary.LittleEndian.Uint32(def[at+3:]); !table {
		flags &^= flagBinary | flagNoDefault
		if typ := def[at+flagsAt-1]; typ >= typeBlob-3 { // TINY, MEDIUM and LONG_BLOB are before it, VAR_STRING and STRING behind
			def[at+flagsAt+2] = 0
			if rollup || width >= widestText { // its width is the temporary table's, and a wide one is a BLOB
				def[at+flagsAt-1] = typeBlob
				clear(def[at+3 : at+7])
				flags &^= flagBlob
			}
		}
		switch typ := &def[at+flagsAt-1]; *typ {
		case typeShort, typeLong, typeLongLong: // a temporary table of MySQL's may have another one of them for it
			if width <= widthOfInt {
				*typ = typeLong
			}
		}
	}
	binary.LittleEndian.PutUint16(def[at+flagsAt:], flags)
	return def
}

// unoriginal are column definitions without the database and the original table, which a derived table's columns haven't
// as a view's have.
func unoriginal(defs [][]byte) [][]byte {
	out := make([][]byte, len(defs))
	for i, def := range defs {
		p := def
		for field := range 4 { // catalog, database, table, original table
			n, rest := lenenc(p)
			if field != 1 && field != 3 {
				out[i] = append(out[i], p[:len(p)-len(rest)+int(n)]...)
			}
			p = rest[n:]
		}
		out[i] = append(out[i], p...)
	}
	return out
}

// ofTable says whether a column is one of a table, and is the definition without the names of its table where it isn't.
func ofTable(def []byte, derived []string) ([]byte, bool) {
	catalog, rest := lenenc(def)
	from := len(def) - len(rest) + int(catalog)
	var names [3]string // the database, the table, the original table
	p := def[from:]
	for i := range names {
		n, rest := lenenc(p)
		names[i], p = string(rest[:n]), rest[n:]
	}
	switch {
	case names[1] == "":
		return def, false
	case !slices.Contains(derived, names[1]):
		return def, true
	}
	return slices.Concat(def[:from], []byte{0, 0, 0}, p), false
}
