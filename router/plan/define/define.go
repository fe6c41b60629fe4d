package define

import (
	"slices"
	"strings"

	"shardway/router/parse"
	"shardway/shardmap"
)

// Change is what a statement says of a table that several shards have.
type Change struct {
	Definition *parse.Definition
	Creates    bool // CREATE TABLE
	Table      *shardmap.Table
	Map        *shardmap.Map
	Strict     bool // the session's sql_mode is strict
	// Model is the table that CREATE TABLE … LIKE names; nil where the map doesn't list it.
	Model     *shardmap.Table
	ModelName string
}

// Alike reports whether equal keys of two sharded tables are on one shard.
func Alike(a, t *shardmap.Table) bool {
	return a != nil && t != nil && a.Database == t.Database && a.Placement == t.Placement && a.Fold == t.Fold
}

// SameKeys reports whether rows of one sharded table may become rows of the other.
func SameKeys(a, t *shardmap.Table) bool { return Alike(a, t) && strings.EqualFold(a.Key, t.Key) }

// Problem says what the statement can't have; "" where there is nothing.
func (c *Change) Problem() string {
	d, t := c.Definition, c.Table
	if d.Like {
		if m := c.Model; m != nil && (t.Reference && m.Reference || m.Sharded() && t.Sharded() && SameKeys(m, t)) {
			return ""
		}
		return fullName(t) + " LIKE " + c.ModelName + ", which the map doesn't list alike: write the columns out"
	}
	for i := range d.Foreign {
		if why := c.foreign(&d.Foreign[i]); why != "" {
			return why
		}
	}
	if t.Reference {
		return ""
	}
	for _, u := range d.Unique {
		if why := c.unique(u); why != "" {
			return why
		}
	}
	name := fullName(t)
	switch {
	case c.Creates && !slices.ContainsFunc(d.Columns, func(col parse.ColumnDefinition) bool { return strings.EqualFold(col.Name, t.Key) }):
		return name + " has no column " + t.Key + ", the key that decides a row's shard: add it, or name another key in the map"
	case has(d.Gone, t.Key):
		return name + "." + t.Key + " is the key that decides a row's shard, and can't be dropped or renamed while the map names it"
	case d.Converts && t.Placement == shardmap.CRC32:
		return "CONVERT TO CHARACTER SET may change the bytes of " + name + "." + t.Key + ", which decide a row's shard: convert the other columns one by one"
	}
	for i := range d.Columns {
		col := &d.Columns[i]
		if col.Auto && !strings.EqualFold(col.Name, t.Sequence) {
			return name + "." + col.Name + " is AUTO_INCREMENT, and each shard would count for itself, so that numbers repeat: declare it as the table's sequence in the map, or leave AUTO_INCREMENT out"
		}
		if strings.EqualFold(col.Name, t.Key) {
			if why := c.keyType(col); why != "" {
				return why
			}
		}
	}
	return ""
}

// unique says why a unique index of a sharded table can't be; "" when it can.
func (c *Change) unique(columns []string) string {
	t := c.Table
	if has(columns, t.Key) || t.Sequence != "" && has(columns, t.Sequence) {
		return ""
	}
	fix := "add " + t.Key + " to it, or make it an ordinary index"
	if t.Sequence == "" && len(columns) == 1 {
		fix += "; if Shardway shall number " + columns[0] + ", declare it as the table's sequence in the map"
	}
	return "a unique index (" + strings.Join(columns, ", ") + ") of " + fullName(t) + " without " + t.Key +
		", the key that decides a row's shard, would hold on each shard alone, not over all of them: " + fix
}

// isInteger reports whether a type's name is that of an integer type.
func isInteger(name string) bool {
	switch name {
	case "tinyint", "smallint", "mediumint", "int", "integer", "bigint", "serial", "int1", "int2", "int3", "int4", "int8", "middleint", "bool", "boolean":
		return true
	default:
		return false
	}
}

// keyType says why the key can't have a type; "" when it can.
func (c *Change) keyType(col *parse.ColumnDefinition) string {
	t := c.Table
	name := fullName(t) + "." + t.Key
	given := col.Type
	if given == "integer" {
		given = "int"
	}
	switch {
	case t.Placement == shardmap.Mod && !isInteger(given):
		return name + " is the key that decides a row's shard by its remainder (placement mod) and has to be of an integer type, not " + given
	case t.KeyType.Declared() && given != t.KeyType.Name && given != "serial":
		return name + " is " + t.KeyType.String() + " in the map (key_type), not " + given + ": change the map first"
	case col.Anew && t.Placement != shardmap.Mod:
		return "a change of the type of " + name + " may change the bytes that decide a row's shard"
	case col.Anew && !c.Strict:
		return "without a strict sql_mode a change of the type of " + name + ", the key that decides a row's shard, may change its values: set sql_mode to STRICT_TRANS_TABLES"
	}
	return ""
}

// foreign says why the table can't have a foreign key; "" when it can.
func (c *Change) foreign(f *parse.ForeignKey) string {
	t, db := c.Table, f.Table.DB
	if db == "" {
		db = t.Database.Name
	}
	r := c.Map.Table(db, f.Table.Name)
	switch {
	case r != nil && (r.Reference || r == t || !t.Reference && Alike(r, t)):
		return ""
	case r == nil:
		return "a foreign key of " + fullName(t) + " refers to " + db + "." + f.Table.Name + ", which isn't listed in the map and lives whole on " + c.Map.DefaultShard(db).ID +
			": leave it out, or list that table as a reference table"
	case t.Reference:
		return "a foreign key of the reference table " + fullName(t) + " refers to " + fullName(r) + ", of which each shard has other rows: leave it out"
	default:
		return "a foreign key of " + fullName(t) + " refers to " + fullName(r) + ", whose rows are placed by other rules, so they may be on another shard: leave it out"
	}
}

// has reports whether a name is in a list.
func has(list []string, name string) bool {
	return slices.ContainsFunc(list, func(s string) bool { return strings.EqualFold(s, name) })
}

func fullName(t *shardmap.Table) string { return t.Database.Name + "." + t.Name }
