package shardmap

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

func (p *parser) databases(m *Map, n *yaml.Node) {
	for _, e := range p.entries(n, "databases") {
		name, path := e.key.Value, join("databases", e.key.Value)
		if p.full() {
			return
		}
		if !p.name(e.key, path, "a database") {
			continue
		}
		if d := m.byName[fold(name)]; d != nil {
			p.errorf(e.key, path, "differs from database %q by case alone; names compare without regard to case", d.Name)
			continue
		}
		if d := p.database(m, e.value, name, path); d != nil {
			m.addDatabase(d)
		}
	}
	slices.SortFunc(m.databases, func(a, b *Database) int { return strings.Compare(a.Name, b.Name) })
}

func (m *Map) addDatabase(d *Database) {
	m.databases = append(m.databases, d)
	m.byName[fold(d.Name)] = d
	m.byName[d.Name] = d // saves folding where the name is written alike
}

func (p *parser) database(m *Map, n *yaml.Node, name, path string) *Database {
	f := p.fields(n, path, "slots", "owners", "moves", "default_shard", "tables")
	if f == nil {
		return nil
	}
	d := &Database{Name: name, byName: map[string]*Table{}}
	switch {
	case f["default_shard"] != nil:
		d.Default, d.ownDefault = p.shardRef(m, f["default_shard"], path+".default_shard"), true
	case m.defaultShard != nil:
		d.Default = m.defaultShard
	case len(m.shards) > 0:
		d.Default = m.shards[0]
	}
	for _, e := range p.entries(f["tables"], path+".tables") {
		tpath := path + ".tables." + e.key.Value
		if p.full() {
			return nil
		}
		if !p.name(e.key, tpath, "a table") {
			continue
		}
		if t := d.byName[fold(e.key.Value)]; t != nil {
			p.errorf(e.key, tpath, "differs from table %q by case alone; names compare without regard to case", t.Name)
			continue
		}
		if t := p.table(e.value, e.key.Value, tpath); t != nil {
			d.addTable(t)
		}
	}
	slices.SortFunc(d.Tables, func(a, b *Table) int { return strings.Compare(a.Name, b.Name) })

	sharded := slices.ContainsFunc(d.Tables, (*Table).Sharded)
	if f["slots"] == nil {
		if sharded || f["owners"] != nil || f["moves"] != nil {
			p.errorf(n, path+".slots", "is missing; write slots: 1024, or as many as there are shards to adopt data sharded by id %% n")
		}
		return d
	}
	v, ok := p.uint(f["slots"], path+".slots", 1, MaxSlots)
	if !ok {
		return nil
	}
	d.Slots = int(v)
	if p.slots += d.Slots; p.slots > maxTotalSlots {
		p.errorf(f["slots"], path+".slots", "brings the slots of all databases to %d; at most %d are allowed", p.slots, maxTotalSlots)
		return nil
	}
	if f["owners"] == nil {
		p.errorf(n, path+".owners", "is missing; give every slot to a shard, as in owners: {%s: [\"0-%d\"]}", cmp.Or(firstID(m), "s0"), d.Slots-1)
		return nil
	}
	before := len(p.problems)
	p.owners(m, d, f["owners"], path+".owners")
	if len(p.problems) == before {
		p.moves(m, d, f["moves"], path+".moves")
		d.noteHolders(m)
	}
	return d
}

func firstID(m *Map) string {
	if len(m.shards) == 0 {
		return ""
	}
	return m.shards[0].ID
}

func (d *Database) addTable(t *Table) {
	t.Database = d
	d.Tables = append(d.Tables, t)
	d.byName[fold(t.Name)] = t
	d.byName[t.Name] = t
}

// name checks an identifier by the servers' limits.
func (p *parser) name(n *yaml.Node, path, what string) bool {
	s := n.Value
	if s == "" || utf8.RuneCountInString(s) > 64 || strings.ContainsRune(s, 0) || strings.HasSuffix(s, " ") {
		p.errorf(n, path, "is no name of %s; names have 1 to 64 characters and don't end with a space", what)
		return false
	}
	return true
}

func (p *parser) table(n *yaml.Node, name, path string) *Table {
	f := p.fields(n, path, "key", "key_type", "placement", "fold", "sequence", "reference")
	if f == nil {
		return nil
	}
	t := &Table{Name: name}
	if r := f["reference"]; r != nil {
		if r.Kind != yaml.ScalarNode || r.Tag != "!!bool" {
			p.errorf(r, path+".reference", "must be true or false, not %s", kindName(r))
			return nil
		}
		t.Reference = strings.EqualFold(r.Value, "true")
	}
	if t.Reference {
		for _, k := range []string{"key", "key_type", "placement", "fold"} {
			if f[k] != nil {
				p.errorf(f[k], path+"."+k, "stands beside reference: true; a reference table is whole on every shard and has no key: remove one of them")
			}
		}
		p.sequence(t, f["sequence"], path+".sequence")
		return t
	}
	if f["key"] == nil {
		p.errorf(n, path, "has neither key nor reference; write {key: COLUMN, placement: mod}, or {reference: true} for a copy on every shard, or take the table out to keep it whole on the default shard")
		return nil
	}
	var ok bool
	if t.Key, ok = p.text(f["key"], path+".key"); !ok || !p.name(f["key"], path+".key", "a column") {
		return nil
	}
	if f["placement"] == nil {
		p.errorf(n, path+".placement", "is missing; write mod for an integer key, crc32 for any other")
		return nil
	}
	switch placement := Placement(f["placement"].Value); placement {
	case Mod, CRC32:
		t.Placement = placement
	default:
		p.errorf(f["placement"], path+".placement", "must be mod or crc32, not %s", kindName(f["placement"]))
		return nil
	}
	p.sequence(t, f["sequence"], path+".sequence")
	p.fold(t, f["fold"], path+".fold")
	if k := f["key_type"]; k != nil {
		p.keyType(t, k, path+".key_type")
	}
	return t
}

func (p *parser) sequence(t *Table, n *yaml.Node, path string) {
	if n == nil {
		return
	}
	var ok bool
	if t.Sequence, ok = p.text(n, path); ok {
		p.name(n, path, "a column")
	}
}

func (p *parser) fold(t *Table, n *yaml.Node, path string) {
	if n == nil {
		return
	}
	if t.Placement != CRC32 {
		p.errorf(n, path, "is for placement crc32; an integer key needs none: remove it")
		return
	}
	switch n.Value {
	case FoldRTrim, FoldASCIICI:
		t.Fold = n.Value
	default:
		p.errorf(n, path, "must be rtrim or ascii_ci, not %s; leave it out for a key that is equal byte by byte", kindName(n))
	}
}

func (p *parser) keyType(t *Table, n *yaml.Node, path string) {
	s, ok := p.text(n, path)
	if !ok {
		return
	}
	k, err := parseKeyType(s)
	switch {
	case err != nil:
		p.errorf(n, path, "%s", err)
	case k.Integer() != (t.Placement == Mod):
		p.errorf(n, path, "%s doesn't fit placement %s; mod is for integers, crc32 for char, varchar, binary and varbinary", k, t.Placement)
	case k.Name == "char" && t.Fold == FoldNone:
		p.errorf(n, path, "char drops trailing spaces; add fold: rtrim")
	case strings.HasSuffix(k.Name, "binary") && t.Fold != FoldNone:
		p.errorf(n, path, "%s is equal byte by byte; remove fold", k)
	default:
		t.KeyType = k
	}
}

// owners reads the ranges of each shard and checks that every slot is owned
// once.
func (p *parser) owners(m *Map, d *Database, n *yaml.Node, path string) {
	before := len(p.problems)
	d.owners = make([]*Shard, d.Slots)
	for _, e := range p.entries(n, path) {
		spath := join(path, e.key.Value)
		if p.full() {
			return
		}
		s := m.byID[e.key.Value]
		if s == nil {
			p.errorf(e.key, spath, "names shard %q, which is not under shards; %s", e.key.Value, m.known())
			continue
		}
		for i, item := range p.items(e.value, spath, "ranges") {
			r, err := parseRange(item.Value, d.Slots)
			if item.Kind != yaml.ScalarNode {
				err = fmt.Errorf("must be a range, not %s", kindName(item))
			}
			if err != nil {
				p.errorf(item, fmt.Sprintf("%s[%d]", spath, i), "%s", err)
				continue
			}
			// A range ends at its first conflict, so the work is bounded by
			// the slots and the problems.
			for slot := r.from; slot <= r.to; slot += r.step {
				if o := d.owners[slot]; o != nil {
					p.errorf(item, fmt.Sprintf("%s[%d]", spath, i), "slot %d is owned by %s and by %s; every slot has one owner", slot, o.ID, s.ID)
					break
				}
				d.owners[slot] = s
			}
			if p.full() {
				return
			}
		}
	}
	if len(p.problems) > before {
		return
	}
	var free []int
	for slot, s := range d.owners {
		if s == nil {
			free = append(free, slot)
		}
	}
	if len(free) > 0 {
		p.errorf(n, path, "nobody owns slot%s %s; every slot has one owner", plural(len(free)), formatSlots(free, 5))
	}
}

func plural(n int) string {
	if n == 1 {
		return ""
	}
	return "s"
}
