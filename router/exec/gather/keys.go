package gather

import (
	"encoding/hex"
	"slices"
	"strconv"
	"strings"

	"shardway/shardmap"
)

// Keys are values that a column must have, as the condition for the shards.
type Keys struct {
	all   string                     // of all values
	by    map[*shardmap.Shard]string // of those whose rows a shard has; nil where that isn't known
	empty bool                       // there are none
}

// MaxKeys bounds how many values are sent to the shards so that rows which equal none of them stay there, and maxKeysBytes
// how long they are as a text.
const (
	MaxKeys      = 10_000
	maxKeysBytes = 256 << 10
)

// Ties reports whether values of one column can be written as literals that a server compares with the other column as it
// compares the two columns themselves, without converting either. padded says that the session reads a CHAR with the spaces
// that fill it.
func Ties(from, to *Column, padded bool) bool {
	switch {
	case from.integer() && to.integer():
		return true
	case from.bytes() && to.bytes():
		return true
	case from.class() != classText || to.class() != classText || from.Collation == "" || from.Collation != to.Collation:
		return false
	default:
		return !padded || from.Data != "char" && to.Data != "char"
	}
}

func (c *Column) integer() bool {
	switch c.Data {
	case "tinyint", "smallint", "mediumint", "int", "integer", "bigint":
		return true
	default:
		return false
	}
}

func (c *Column) bytes() bool { return c.Data == "binary" || c.Data == "varbinary" }

// Values reads the different values of a column that was copied, one more than MaxKeys at most.
func (c *Copy) Values(col *Column) string {
	name := Name(col.Name)
	value := name
	if !col.integer() {
		value = "HEX(" + name + ")"
	}
	return "SELECT DISTINCT " + value + " FROM " + c.target + " WHERE " + name + " IS NOT NULL LIMIT " + strconv.Itoa(MaxKeys+1)
}

// NewKeys makes the condition that a column has one of the values that Values gave of another, nil where they are too many.
// places is the table whose key the column is; nil where it isn't.
func NewKeys(from, to *Column, rows [][]*string, places *shardmap.Table) *Keys {
	if len(rows) > MaxKeys {
		return nil
	}
	values := make([]string, 0, len(rows))
	size := 0
	for _, row := range rows {
		if len(row) != 1 || row[0] == nil {
			return nil
		}
		values = append(values, *row[0])
		if size += len(from.literal(*row[0])) + 1; size > maxKeysBytes {
			return nil
		}
	}
	slices.Sort(values) // the same text for the same values
	k := &Keys{all: among(to, from, values), empty: len(values) == 0}
	if parts := placed(places, from, values); parts != nil {
		k.by = make(map[*shardmap.Shard]string, len(parts))
		for s, values := range parts {
			k.by[s] = among(to, from, values)
		}
	}
	return k
}

// At is the condition for a shard. ok is false where none of its rows can meet it.
func (k *Keys) At(s *shardmap.Shard) (where string, ok bool) {
	switch {
	case k.empty:
		return "", false
	case k.by == nil:
		return k.all, true
	default:
		where, ok = k.by[s]
		return where, ok
	}
}

func among(to, from *Column, values []string) string {
	var out strings.Builder
	out.WriteString(Name(to.Name) + " IN (")
	for i, v := range values {
		if i > 0 {
			out.WriteByte(',')
		}
		out.WriteString(from.literal(v))
	}
	out.WriteByte(')')
	return out.String()
}

// literal is a value as SQL that reads the same in every session. Text is in the column's own character set.
func (c *Column) literal(value string) string {
	if c.integer() {
		return value
	}
	out := "x'" + value + "'"
	if set := c.charset(); set != "" {
		out = "_" + set + " " + out
	}
	return out
}

func (c *Column) charset() string {
	set, _, _ := strings.Cut(c.Collation, "_")
	return set
}

// placed are the values by the shards that have the rows of a table with such a key, nil where that isn't certain of all.
func placed(t *shardmap.Table, from *Column, values []string) map[*shardmap.Shard][]string {
	if t == nil {
		return nil
	}
	by := map[*shardmap.Shard][]string{}
	for _, text := range values {
		switch at := t.Locate(from.key(text), shardmap.Compare); at.Kind {
		case shardmap.Placed:
			by[at.Shard] = append(by[at.Shard], text)
		case shardmap.Nowhere:
		case shardmap.Unknown:
			return nil
		}
	}
	return by
}

// key is a value as the map wants it.
func (c *Column) key(text string) shardmap.Value {
	if !c.integer() {
		raw, err := hex.DecodeString(text)
		if err != nil {
			return shardmap.Value{}
		}
		set := c.charset()
		return shardmap.Value{Kind: shardmap.String, S: raw, UTF8: set == "utf8mb4" || set == "utf8mb3" || set == "utf8"}
	}
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		return shardmap.Value{Kind: shardmap.Int, I: n}
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return shardmap.Value{}
	}
	return shardmap.Value{Kind: shardmap.Uint, U: n}
}
