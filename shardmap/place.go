package shardmap

import (
	"fmt"
	"hash/crc32"
	"strings"
)

// Placement is the function from a key's value to its slot. Each one can be
// computed by the server too, see SQL.
type Placement string

const (
	// Mod is key mod slots for integer keys, as floor modulo: the slot of -1
	// is the last one.
	Mod Placement = "mod"
	// CRC32 is the CRC-32 (IEEE) of the key's bytes, after its fold, mod slots.
	CRC32 Placement = "crc32"
)

// Folds of crc32 keys: what is done to the bytes first, so that values which
// the column's collation takes for equal get the same slot.
const (
	// FoldNone is for columns whose equality is that of bytes: VARBINARY,
	// BINARY, and NO PAD binary collations.
	FoldNone = ""
	// FoldRTrim drops trailing spaces: CHAR columns, and binary collations
	// with PAD SPACE (utf8mb4_bin, ascii_bin).
	FoldRTrim = "rtrim"
	// FoldASCIICI drops trailing spaces and lowers A to Z: columns of character
	// set ascii with a case-insensitive collation (ascii_general_ci).
	FoldASCIICI = "ascii_ci"
)

// SQL returns the SQL expression by which a server computes the slot of
// column, which is put in as it is: quote it first (see QuoteName). It is the
// same number on MariaDB and MySQL, for signed and unsigned columns, NULL for
// NULL, and it raises no out-of-range error. It knows no fold; use
// Table.SlotSQL for a table of the map.
func (p Placement) SQL(column string, slots int) string {
	if p == CRC32 {
		return fmt.Sprintf("CRC32(%s) %% %d", column, slots)
	}
	// The sign of % is the sign of the dividend. The remainder is taken first,
	// so that adding slots can't leave the column's range.
	return fmt.Sprintf("(%s %% %d + %d) %% %d", column, slots, slots, slots)
}

// SlotSQL returns the SQL expression by which a server computes the slot of a
// row from its key, with the table's fold. qualifier is put before the key
// column ("t" gives `t`.`id`) unless it is empty. The table must be sharded.
func (t *Table) SlotSQL(qualifier string) string {
	col := QuoteName(t.Key)
	if qualifier != "" {
		col = QuoteName(qualifier) + "." + col
	}
	if t.Placement == CRC32 {
		switch t.Fold {
		case FoldRTrim:
			col = "RTRIM(" + col + ")"
		case FoldASCIICI:
			col = "LOWER(RTRIM(" + col + "))"
		}
	}
	return t.Placement.SQL(col, t.Database.Slots)
}

// QuoteName quotes an identifier for SQL.
func QuoteName(name string) string {
	return "`" + strings.ReplaceAll(name, "`", "``") + "`"
}

// intSlot is floor modulo of a signed key.
func intSlot(v int64, slots int) int {
	r := v % int64(slots)
	if r < 0 {
		r += int64(slots)
	}
	return int(r)
}

// uintSlot is the modulo of an unsigned key.
func uintSlot(v uint64, slots int) int { return int(v % uint64(slots)) }

// bytesSlot is the CRC-32 of b after the fold, mod slots. It does not allocate.
func bytesSlot(b []byte, foldBy string, slots int) int {
	if foldBy != FoldNone {
		for len(b) > 0 && b[len(b)-1] == ' ' {
			b = b[:len(b)-1]
		}
	}
	if foldBy != FoldASCIICI {
		return int(crc32.ChecksumIEEE(b) % uint32(slots))
	}
	// A byte at a time, since a buffer of lowered bytes would be allocated.
	sum := ^uint32(0)
	for _, c := range b {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		sum = crc32.IEEETable[byte(sum)^c] ^ sum>>8
	}
	return int(^sum % uint32(slots))
}

// paddedSlot is the slot of b followed by that many zero bytes, as a column of
// type BINARY pads it.
func paddedSlot(b []byte, zeros, slots int) int {
	sum := crc32.ChecksumIEEE(b)
	var pad [64]byte
	for zeros > 0 {
		n := min(zeros, len(pad))
		sum = crc32.Update(sum, crc32.IEEETable, pad[:n])
		zeros -= n
	}
	return int(sum % uint32(slots))
}
