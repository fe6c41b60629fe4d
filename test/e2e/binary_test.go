package e2e

import (
	"encoding/binary"
	"fmt"
)

// columnType is the type byte of a column definition.
func columnType(def []byte) byte {
	for range 6 {
		n, rest := lenenc(def)
		def = rest[n:]
	}
	return def[1+2+4]
}

// binaryRow are the cells of a row of a prepared statement: texts as they are, all else in some form of its own.
func binaryRow(columns [][]byte, p []byte) []string {
	nulls := p[1 : 1+(len(columns)+9)/8]
	p = p[1+len(nulls):]
	row := make([]string, len(columns))
	for i, def := range columns {
		if bit := i + 2; nulls[bit/8]&(1<<(bit%8)) != 0 {
			row[i] = "NULL"
			continue
		}
		fixed := 0
		switch columnType(def) {
		case 1: // TINYINT
			fixed = 1
		case 2, 13: // SMALLINT, YEAR
			fixed = 2
		case 3, 9, 4: // INT, MEDIUMINT, FLOAT
			fixed = 4
		case 8, 5: // BIGINT, DOUBLE
			fixed = 8
		case 7, 10, 11, 12: // times begin with their length
			fixed = 1 + int(p[0])
		}
		if fixed > 0 {
			var b [16]byte
			copy(b[:], p[:fixed])
			row[i] = fmt.Sprintf("%d %d", binary.LittleEndian.Uint64(b[:]), binary.LittleEndian.Uint64(b[8:]))
			p = p[fixed:]
			continue
		}
		n, rest := lenenc(p)
		row[i], p = string(rest[:n]), rest[n:]
	}
	return row
}
