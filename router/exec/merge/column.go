package merge

import (
	"encoding/binary"
	"fmt"
	"slices"

	"shardway/protocol"
)

// column is what a column's definition says of its values.
type column struct {
	name     string
	kind     byte // its type in the protocol
	flags    uint16
	charset  uint16
	length   uint32
	decimals byte
	stored   bool // a table's column, not an expression
	copied   bool // a table's column that went through a temporary table of the server
}

// The flags of a definition that matter here.
const (
	flagNotNull  = 1
	flagUnsigned = 1 << 5
	flagEnum     = 1 << 8
	flagSet      = 1 << 11
)

const (
	charsetBinary = 63
	// anyDecimals: a floating point value has as many digits as it needs.
	anyDecimals = 31
)

func (c *column) unsigned() bool { return c.flags&flagUnsigned != 0 }

// fixedSize is the length of a definition's last part, which has the same form in each.
const fixedSize = 12

// columnOf reads a definition.
func columnOf(def []byte) (column, error) {
	var c column
	rest, table := def, false
	for i := range 6 { // catalog, schema, table, original table, name, original name
		n, size := protocol.LenInt(rest)
		if size == 0 || n > uint64(len(rest)-size) {
			return c, malformed("a column definition of %d bytes ends early", len(def))
		}
		switch text := rest[size : size+int(n)]; i {
		case 3:
			table = len(text) > 0
		case 4:
			c.name = string(text)
		case 5:
			c.stored, c.copied = len(text) > 0, len(text) > 0 && !table
		}
		rest = rest[size+int(n):]
	}
	if len(rest) < fixedSize+1 {
		return c, malformed("a column definition of %d bytes ends early", len(def))
	}
	fixed := def[len(def)-fixedSize:]
	c.charset = binary.LittleEndian.Uint16(fixed)
	c.length = binary.LittleEndian.Uint32(fixed[2:])
	c.kind = fixed[6]
	c.flags = binary.LittleEndian.Uint16(fixed[7:])
	c.decimals = fixed[9]
	return c, nil
}

// columnsOf reads the definitions of all shards and gives one for each column, with its definition for the client: the
// first shard's, with the greatest length. Columns whose values can't be compared or encoded alike are an error.
func columnsOf(parts [][][]byte, o *Options) (columns []column, defs [][]byte, err error) {
	for i, part := range parts {
		if i > 0 && len(part) != len(columns) {
			return nil, nil, protocol.Errorf(codeUnknown, "HY000", "shardway: shard %s has %d columns for this statement, shard %s has %d: the shards' tables differ; make them alike",
				o.shard(0), len(columns), o.shard(i), len(part))
		}
		for j, def := range part {
			c, err := columnOf(def)
			if err != nil {
				return nil, nil, err
			}
			if i == 0 {
				columns = append(columns, c)
				defs = append(defs, def)
				continue
			}
			first := &columns[j]
			if first.drifted(&c) {
				return nil, nil, protocol.Errorf(codeUnknown, "HY000", "shardway: column %d (%s) of shard %s is %s, that of shard %s is %s: the shards' tables differ; make them alike",
					j+1, c.name, o.shard(0), first, o.shard(i), &c)
			}
			if first.widen(&c) {
				defs[j] = first.definition(slices.Clone(defs[j]))
			}
		}
	}
	return columns, defs, nil
}

// drifted says whether the values of two columns differ in more than their lengths.
func (c *column) drifted(other *column) bool {
	const matter = flagUnsigned | flagEnum | flagSet
	return c.kind != other.kind || c.charset != other.charset || c.flags&matter != other.flags&matter ||
		c.kind == protocol.TypeNewDecimal && c.decimals != other.decimals
}

// widen makes a column one that holds the other's values as well, and says whether that changed it.
func (c *column) widen(other *column) bool {
	was := *c
	c.length = max(c.length, other.length)
	c.decimals = max(c.decimals, other.decimals)
	c.flags &^= ^other.flags & flagNotNull
	return *c != was
}

// definition writes what widen may have changed into a definition.
func (c *column) definition(def []byte) []byte {
	fixed := def[len(def)-fixedSize:]
	binary.LittleEndian.PutUint32(fixed[2:], c.length)
	binary.LittleEndian.PutUint16(fixed[7:], c.flags)
	fixed[9] = c.decimals
	return def
}

var typeNames = map[byte]string{
	protocol.TypeDecimal: "DECIMAL", protocol.TypeTiny: "TINYINT", protocol.TypeShort: "SMALLINT", protocol.TypeLong: "INT",
	protocol.TypeFloat: "FLOAT", protocol.TypeDouble: "DOUBLE", protocol.TypeNull: "NULL", protocol.TypeTimestamp: "TIMESTAMP",
	protocol.TypeLongLong: "BIGINT", protocol.TypeInt24: "MEDIUMINT", protocol.TypeDate: "DATE", protocol.TypeTime: "TIME",
	protocol.TypeDatetime: "DATETIME", protocol.TypeYear: "YEAR", protocol.TypeVarchar: "VARCHAR", protocol.TypeBit: "BIT",
	protocol.TypeJSON: "JSON", protocol.TypeNewDecimal: "DECIMAL", protocol.TypeEnum: "ENUM", protocol.TypeSet: "SET",
	protocol.TypeTinyBlob: "TINYBLOB", protocol.TypeMediumBlob: "MEDIUMBLOB", protocol.TypeLongBlob: "LONGBLOB",
	protocol.TypeBlob: "BLOB", protocol.TypeVarString: "VARCHAR", protocol.TypeString: "CHAR", protocol.TypeGeometry: "GEOMETRY",
}

// String is the column's type for a reader.
func (c *column) String() string {
	name := typeNames[c.kind]
	switch {
	case c.flags&flagEnum != 0:
		name = "ENUM"
	case c.flags&flagSet != 0:
		name = "SET"
	case name == "":
		name = fmt.Sprintf("of type 0x%02x", c.kind)
	}
	if c.unsigned() && c.numeric() {
		name += " UNSIGNED"
	}
	if c.kind == protocol.TypeNewDecimal {
		name += fmt.Sprintf(" with %d decimals", c.decimals)
	}
	if c.textual() && c.charset != charsetBinary {
		name += fmt.Sprintf(" of character set number %d", c.charset)
	}
	return name
}

func (c *column) numeric() bool {
	return c.integer() || c.kind == protocol.TypeNewDecimal || c.floating()
}

func (c *column) integer() bool {
	switch c.kind {
	case protocol.TypeTiny, protocol.TypeShort, protocol.TypeLong, protocol.TypeLongLong, protocol.TypeInt24, protocol.TypeYear:
		return true
	default:
		return false
	}
}

func (c *column) floating() bool {
	return c.kind == protocol.TypeFloat || c.kind == protocol.TypeDouble
}

func (c *column) decimal() bool {
	return c.kind == protocol.TypeNewDecimal || c.kind == protocol.TypeDecimal
}

// textual says whether values are strings, of characters or of bytes.
func (c *column) textual() bool {
	switch c.kind {
	case protocol.TypeVarchar, protocol.TypeVarString, protocol.TypeString, protocol.TypeTinyBlob, protocol.TypeMediumBlob,
		protocol.TypeLongBlob, protocol.TypeBlob:
		return c.flags&(flagEnum|flagSet) == 0
	default:
		return false
	}
}
