package shardmap

import (
	"bytes"
	"strconv"
	"unicode/utf8"
)

// locateBytes places the rows of a string key column.
func (t *Table) locateBytes(v Value, use Use) Location {
	switch v.Kind {
	case Int, Uint:
		// Comparing reads the column as numbers: '5', '05' and '5abc' match 5.
		if use.compares() {
			return Location{}
		}
		var buf [20]byte
		text := strconv.AppendInt(buf[:0], v.I, 10)
		if v.Kind == Uint {
			text = strconv.AppendUint(buf[:0], v.U, 10)
		}
		return t.storedBytes(text, use)
	case String, Bytes:
		if !t.certain(v, use) {
			return Location{}
		}
		if use.compares() {
			return t.placed(bytesSlot(v.S, t.Fold, t.Database.Slots))
		}
		return t.storedBytes(v.S, use)
	default:
	}
	return Location{}
}

// binaryKey says that the key column is declared as one of bytes.
func (t *Table) binaryKey() bool {
	return t.KeyType.Name == "binary" || t.KeyType.Name == "varbinary"
}

// certain says that the server takes the bytes of v as they are.
func (t *Table) certain(v Value, use Use) bool {
	if isASCII(v.S) {
		return true
	}
	if t.Fold == FoldASCIICI {
		// Such a column holds ASCII alone; comparing it with more converts it.
		return false
	}
	if use == InsertLax && !t.binaryKey() {
		// The column's character set isn't known: '?' is stored for what it lacks.
		return false
	}
	if v.Kind == Bytes {
		return true
	}
	return v.UTF8 && (t.binaryKey() || utf8.Valid(v.S))
}

// storedBytes is the place of a row whose key is s if the column holds all of
// it.
func (t *Table) storedBytes(s []byte, use Use) Location {
	slots := t.Database.Slots
	if !t.KeyType.Declared() {
		// The column's length isn't known. Too long is an error in strict
		// mode, except that trailing spaces beyond it are cut off silently.
		if use == InsertLax || t.Fold == FoldNone && bytes.HasSuffix(s, []byte(" ")) {
			return Location{}
		}
		return t.placed(bytesSlot(s, t.Fold, slots))
	}
	n := len(s)
	if !t.binaryKey() {
		n = utf8.RuneCount(s)
	}
	if n > t.KeyType.Len && (use == InsertLax || t.Fold == FoldNone && bytes.HasSuffix(s, []byte(" "))) {
		return Location{}
	}
	if t.KeyType.Name == "binary" && n < t.KeyType.Len {
		return t.placed(paddedSlot(s, t.KeyType.Len-n, slots))
	}
	return t.placed(bytesSlot(s, t.Fold, slots))
}

func isASCII(s []byte) bool {
	for _, c := range s {
		if c >= 0x80 {
			return false
		}
	}
	return true
}
