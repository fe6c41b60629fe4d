package shardmap

import (
	"slices"
	"strings"
)

// Map is one version of the shard map. It is immutable: methods that change
// something return a new Map.
type Map struct {
	version      uint64
	shards       []*Shard
	byID         map[string]*Shard
	databases    []*Database
	byName       map[string]*Database // by folded name
	defaultShard *Shard               // nil: the first shard

	// source is the text the Map was parsed from with versionAt giving the
	// place of the version number in it, so that comments survive a change of
	// version. It is nil for a Map that was computed.
	source    []byte
	versionAt span
}

// span is a half-open range of byte offsets.
type span struct{ from, to int }

// Shard is a primary and its replicas, together holding one part of the rows.
type Shard struct {
	ID       string
	Index    int // position in Map.Shards
	Primary  Server
	Replicas []Server
	// Paused is why statements for the primary wait at the proxies, such as
	// "switchover to 10.0.0.11:3306 by ops@db1"; empty when they don't.
	Paused string
}

// Server is one MySQL or MariaDB server.
type Server struct {
	Addr   string // host:port, or unix:/path
	Weight int    // share of reads under the weighted policy, 0 to 1000; 0 gets none; default 1
	Zone   string // for zone preference; may be empty
}

// Servers returns the primary followed by the replicas.
func (s *Shard) Servers() []Server {
	return append([]Server{s.Primary}, s.Replicas...)
}

// Database is a schema with sharded or reference tables.
type Database struct {
	Name    string
	Slots   int      // number of slots, 1 to MaxSlots; 0 when no table is sharded and none were given
	Default *Shard   // where tables that are not listed live whole; never nil
	Tables  []*Table // sorted by name

	ownDefault bool // default_shard is written in the database itself
	owners     []*Shard
	moves      []*Move           // ordered by id
	moving     []*Move           // by slot; nil when no move has begun
	lacks      []bool            // by Shard.Index, see Holds; nil where every shard holds the tables
	byName     map[string]*Table // by folded name
}

// Owner returns the shard that owns slot. It panics when slot is not in
// [0, Slots).
func (d *Database) Owner(slot int) *Shard { return d.owners[slot] }

// Owned returns the slots that the shard of that id owns, ascending.
func (d *Database) Owned(id string) []int {
	var slots []int
	for slot, s := range d.owners {
		if s.ID == id {
			slots = append(slots, slot)
		}
	}
	return slots
}

// Holds reports whether a shard has the database's listed tables, with copies
// of its reference tables that are written to: it owns slots, or it is the
// default shard, or its slots have moved away and may yet come back. Where the
// database has no slots, every shard does. A shard to which the database's first
// slots move has none of them until it owns these.
func (d *Database) Holds(s *Shard) bool { return d.lacks == nil || !d.lacks[s.Index] }

// HoldsAll reports whether every shard of the map holds the tables.
func (d *Database) HoldsAll() bool { return d.lacks == nil }

// noteHolders finds which shards hold the tables.
func (d *Database) noteHolders(m *Map) {
	d.lacks = nil
	if d.Slots == 0 || d.Default == nil {
		return
	}
	lacks, n := make([]bool, len(m.shards)), len(m.shards)
	for i := range lacks {
		lacks[i] = true
	}
	holds := func(s *Shard) {
		if lacks[s.Index] {
			lacks[s.Index] = false
			n--
		}
	}
	holds(d.Default)
	for _, s := range d.owners {
		holds(s)
	}
	for _, v := range d.moves {
		if v.State == MoveMoved || v.State == MoveReturning {
			holds(v.From)
		}
	}
	if n > 0 {
		d.lacks = lacks
	}
}

// Table returns the listed table of that name, or nil. Names compare without
// regard to case.
func (d *Database) Table(name string) *Table {
	if t := d.byName[name]; t != nil {
		return t
	}
	return d.byName[fold(name)]
}

// Table is a table that the map lists: sharded by its key, or a reference
// table with a copy on every shard that holds the database's tables.
type Table struct {
	Database  *Database
	Name      string
	Key       string // the column whose value places a row; empty for a reference table
	Placement Placement
	Sequence  string // the column that Shardway numbers, unique over all shards; may be empty
	Reference bool
	Fold      string  // FoldNone, FoldRTrim or FoldASCIICI; crc32 only
	KeyType   KeyType // the declared type of the key column; the zero value when not declared
}

// Sharded reports whether rows of the table are spread by a key.
func (t *Table) Sharded() bool { return !t.Reference }

// Version returns the version of the map; versions only grow.
func (m *Map) Version() uint64 { return m.version }

// Shards returns all shards in natural order of their ids (s2 before s10).
func (m *Map) Shards() []*Shard { return m.shards }

// Shard returns the shard of that id, or nil. Ids compare exactly.
func (m *Map) Shard(id string) *Shard { return m.byID[id] }

// Databases returns the listed databases sorted by name.
func (m *Map) Databases() []*Database { return m.databases }

// Database returns the listed database of that name, or nil. Names compare
// without regard to case, as on a server with lower_case_table_names=1; two
// names that differ by case alone are an error in a map.
func (m *Map) Database(name string) *Database {
	if d := m.byName[name]; d != nil {
		return d
	}
	return m.byName[fold(name)]
}

// Table returns the listed table, or nil. Names compare without regard to case.
func (m *Map) Table(db, name string) *Table {
	d := m.Database(db)
	if d == nil {
		return nil
	}
	return d.Table(name)
}

// DefaultShard returns where the tables of db that are not listed live whole:
// the database's default_shard, else the map's, else the first shard. It is
// never nil; db may be a database that is not listed, or empty.
func (m *Map) DefaultShard(db string) *Shard {
	if d := m.Database(db); d != nil {
		return d.Default
	}
	if m.defaultShard != nil {
		return m.defaultShard
	}
	return m.shards[0]
}

// Equal reports whether both maps say the same, whatever their versions,
// comments and order of writing.
func (m *Map) Equal(o *Map) bool {
	return slices.Equal(m.canonical(0), o.canonical(0))
}

// fold gives the form in which names of databases and tables compare.
func fold(name string) string { return strings.ToLower(name) }

// naturalCompare orders ids so that runs of digits compare as numbers.
func naturalCompare(a, b string) int {
	for i, j := 0, 0; ; {
		if i >= len(a) || j >= len(b) {
			if c := (len(a) - i) - (len(b) - j); c != 0 {
				return c
			}
			return strings.Compare(a, b)
		}
		if isDigit(a[i]) && isDigit(b[j]) {
			x, y := digits(a[i:]), digits(b[j:])
			i, j = i+len(x), j+len(y)
			x, y = strings.TrimLeft(x, "0"), strings.TrimLeft(y, "0")
			if len(x) != len(y) {
				return len(x) - len(y)
			}
			if c := strings.Compare(x, y); c != 0 {
				return c
			}
			continue
		}
		if a[i] != b[j] {
			return int(a[i]) - int(b[j])
		}
		i, j = i+1, j+1
	}
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// digits returns the run of digits that s begins with.
func digits(s string) string {
	n := 0
	for n < len(s) && isDigit(s[n]) {
		n++
	}
	return s[:n]
}
