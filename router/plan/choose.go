package plan

import (
	"slices"
	"strings"

	"shardway/router/parse"
	"shardway/shardmap"
)

// targets checks what the statement writes: tables that are on several shards can be written only where the key says
// where.
func (b *builder) targets() Plan {
	switch b.st.Kind {
	case parse.Admin:
		if p := b.maintained(); p != nil {
			return p
		}
		return nil
	case parse.Show:
		return b.sized()
	case parse.Select:
		return b.sizedSelect()
	case parse.Lock, parse.LoadData, parse.Handler:
		for i := range b.all() {
			if r := b.allShards(&b.all()[i]); r != nil {
				return r
			}
		}
		return nil
	case parse.DDL:
		if p := b.settled(); p != nil {
			return p
		}
		if p := b.databases(); p != nil {
			return p
		}
		return b.defined()
	default:
	}
	for i := range b.all() {
		if s := &b.all()[i]; s.written && s.kind == kindReference {
			b.writesCopy(s)
		}
	}
	if b.st.Insert != nil {
		if r := b.insert(b.st.Insert); r != nil {
			return r
		}
	}
	return b.assigned()
}

// writesCopy takes over that the statement writes to a table of which each shard has a copy.
func (b *builder) writesCopy(s *source) {
	b.wrote = s.table
	in := owners(s.table, b.m)
	if in.count() > 1 || b.st.Insert != nil && s.table.Sequence != "" {
		b.copies = s.table
		return
	}
	b.need.or(in)
}

// allShards refuses a statement that would have to act on each of a table's shards.
func (b *builder) allShards(s *source) Plan {
	if s.kind != kindSharded && s.kind != kindReference {
		return nil
	}
	in := owners(s.table, b.m)
	if in.count() == 1 {
		return nil
	}
	if b.st.Kind == parse.LoadData && b.st.Is(parse.FlagLocalInfile) {
		return b.load(s.table, in)
	}
	what := " is on "
	if s.kind == kindReference {
		what = " is a reference table with a copy on each of "
	}
	advice := "run it on each shard in turn, with " + b.hint() + " and so on"
	switch {
	case s.kind == kindReference:
	case b.st.Kind == parse.LoadData:
		advice = "split the file by shard and load each part with " + b.hint() + " and so on, or send INSERTs"
	case b.st.Kind == parse.Handler:
		advice = "use SELECT, or name a shard with " + b.hint()
	case strings.HasSuffix(b.st.Name, " view") && s.text.Write:
		return refuse(verb(b.st) + ": " + fullName(s.table) + " is listed in the map as a table: take another name")
	case strings.HasSuffix(b.st.Name, " view"):
		advice = "the view would show one shard's rows; query the table itself"
	}
	return refuse(verb(b.st) + ": " + fullName(s.table) + what + in.names(b.m) + ": " + advice)
}

// load plans a LOAD DATA LOCAL into a table on several shards. A session that is on a shard already has to stay there,
// which shows with the file's rows.
func (b *builder) load(t *shardmap.Table, in set) Plan {
	p := &Load{Table: t}
	for _, s := range b.m.Shards() {
		if in.has(s.Index) {
			p.Shards = append(p.Shards, s)
		}
	}
	return p
}

// assigned refuses an UPDATE of a key: the row would stay on the shard of its old key.
func (b *builder) assigned() Plan {
	for i := range b.st.Assign {
		a := &b.st.Assign[i]
		t := b.assignedTable(&a.Col)
		one := t != nil && onOne(t)
		if t == nil || one && !inMotion(t.Database) {
			continue
		}
		if whole := t.KeyType.Integer() || !t.KeyType.Declared() && t.Placement == shardmap.Mod; !a.Counted || whole {
			if b.sameKey(a) || b.sameSlot(a, t) {
				continue
			}
		}
		if one {
			b.wrote = t
			continue
		}
		clause := "SET"
		if b.st.Insert != nil {
			clause = "ON DUPLICATE KEY UPDATE"
		} else if len(b.st.Blocks[0].Tables) == 1 && !b.explained {
			b.moves = t
			continue
		}
		return refuse(clause + " assigns " + fullName(t) + "." + t.Key +
			", the key that decides the row's shard: delete the row and insert it with its new key")
	}
	return nil
}

// assignedTable is the sharded table whose key an assignment writes, or nil.
func (b *builder) assignedTable(col *parse.Column) *shardmap.Table {
	if ins := b.st.Insert; ins != nil {
		s := b.source(&ins.Table, parse.RoleQuery)
		if s.kind == kindSharded && strings.EqualFold(col.Name, s.table.Key) {
			return s.table
		}
		return nil
	}
	for i := range b.all() {
		s := &b.all()[i]
		if s.kind != kindSharded || b.st.Blocks[s.block].Role == parse.RoleQuery || !s.written || !strings.EqualFold(col.Name, s.table.Key) {
			continue
		}
		if col.Table >= 0 && (col.Block != s.block || &b.of(s.block)[col.Table] != s) {
			continue
		}
		return s.table
	}
	return nil
}

// sameKey is for `id = id`, which changes nothing, and `id = VALUES(id)`: the key of the row to insert, whose shard this is.
func (b *builder) sameKey(a *parse.Assignment) bool {
	v := &a.Val
	if v.Kind == parse.OperandInserted {
		return strings.EqualFold(v.Col.Name, a.Col.Name)
	}
	if ins := b.st.Insert; ins != nil && ins.Rows != nil {
		own := func(c *parse.Column) bool { return c.Qualifier == "" || strings.EqualFold(c.Qualifier, ins.Table.Name) }
		return v.Kind == parse.OperandColumn && strings.EqualFold(v.Col.Name, a.Col.Name) && own(&v.Col) && own(&a.Col)
	}
	return v.Kind == parse.OperandColumn && strings.EqualFold(v.Col.Name, a.Col.Name) &&
		v.Col.Table == a.Col.Table && v.Col.Block == a.Col.Block &&
		strings.EqualFold(v.Col.Qualifier, a.Col.Qualifier) && strings.EqualFold(v.Col.DB, a.Col.DB)
}

// sameSlot is for `SET id = 7 … WHERE id = 7`, as programs write that save all columns: the row stays in its slot. So
// does the one row that an INSERT finds instead of storing its own.
func (b *builder) sameSlot(a *parse.Assignment, t *shardmap.Table) bool {
	loc := t.Locate(b.value(&a.Val), b.store(false))
	if loc.Kind != shardmap.Placed {
		return false
	}
	if b.st.Insert != nil {
		return b.ins.table == t && b.ins.op != nil && b.ins.slot == loc.Slot
	}
	found := false
	for i := range b.all() {
		s := &b.all()[i]
		if s.table != t || b.st.Blocks[s.block].Role == parse.RoleQuery {
			continue
		}
		if s.op == nil || s.slot != loc.Slot || s.in.count() != 1 {
			return false
		}
		found = true
	}
	return found
}

// store is how a value is stored in this session.
func (b *builder) store(ignore bool) shardmap.Use {
	if b.f.Strict && !ignore {
		return shardmap.Insert
	}
	return shardmap.InsertLax
}

// gather adds up the shards that the statement must reach.
func (b *builder) gather() {
	st, f := b.st, b.f
	meta := st.Kind == parse.Show || st.Kind == parse.Describe
	reference := (*shardmap.Table)(nil)
	for i := range b.all() {
		s := &b.all()[i]
		switch s.kind {
		case kindSharded:
			if meta {
				reference = s.table
				continue
			}
			if s.in.all {
				s.in = rows(s.table, b.m)
			}
			b.need.or(s.in)
		case kindReference:
			reference = s.table
		case kindWhole:
			b.need.or(s.in)
		case kindTemporary:
			if pin := b.m.Shard(f.PinShard); pin != nil {
				s.in = only(pin)
				b.need.or(s.in)
			} else {
				b.gone = "the temporary table " + b.name(s.text)
			}
		case kindNone:
		}
	}
	if b.ins.table != nil {
		b.need.or(b.ins.in)
	}
	if st.Is(parse.FlagGetLock) || st.Is(parse.FlagReleaseLock) {
		b.locks = true
		b.need.or(only(b.m.DefaultShard("")))
	}
	if st.Is(parse.FlagSequenceNext) {
		b.sequence = true
		b.homes()
	}
	if f.PinShard != "" && (st.Is(parse.FlagUsesUserVar) || st.Is(parse.FlagSetsUserVar)) {
		if pin := b.m.Shard(f.PinShard); pin != nil {
			b.vars = true
			b.need.or(only(pin))
		} else {
			b.gone = "state that the statement may need (" + pinned(f) + ")"
		}
	}
	if st.Kind == parse.DDL && st.Is(parse.FlagTemporary) && len(f.TempTables) > 0 {
		// All temporary tables of a session are on one connection, so that they can be used together.
		if pin := b.m.Shard(f.PinShard); pin != nil {
			b.temps = true
			b.need.or(only(pin))
		}
	}
	if b.homely {
		b.homes()
	}
	b.held()
	if b.need.count() > 0 {
		b.place = placeTables
		if b.homely && len(b.all()) == 0 {
			b.place = placeHome
		}
		return
	}
	switch {
	case reference != nil:
		b.place = placeReference
		if meta {
			b.place = placeMeta
		}
		if st.Is(parse.FlagLocks) {
			// All who lock rows of a reference table must meet at one copy.
			b.need.or(only(reference.Database.Default))
			b.held()
		} else {
			b.prefer = reference.Database.Default
		}
	case b.mapped():
		b.place = placeNoRows
	case b.atHome():
		b.place, b.homely = placeHome, true
		b.homes()
	default:
		b.place = placeFree
	}
}

// held finds tables that not every shard holds. A reference table that some of the shards lack which the statement needs is
// whole on its database's default shard then.
func (b *builder) held() {
	for again := true; again; {
		again, b.lack = false, set{}
		for i := range b.all() {
			s := &b.all()[i]
			if s.table == nil || s.kind == kindWhole || s.table.Database.HoldsAll() {
				continue
			}
			for _, sh := range b.m.Shards() {
				if s.table.Database.Holds(sh) {
					continue
				}
				if b.lack.or(only(sh)); s.kind == kindReference && !s.written && b.need.has(sh.Index) {
					s.kind, s.in, again = kindWhole, only(s.table.Database.Default), true
				}
			}
			if again {
				b.need.or(s.in)
				break
			}
			if b.need.count() == 0 && b.lack.count() == len(b.m.Shards()) { // no shard holds all
				b.need.or(only(s.table.Database.Default))
				again = true
				break
			}
		}
	}
}

// mapped reports whether the statement reads any table that has a place.
func (b *builder) mapped() bool {
	for i := range b.all() {
		if b.all()[i].kind != kindNone {
			return true
		}
	}
	return false
}

// atHome reports whether a statement that names no table belongs to its database's default shard.
func (b *builder) atHome() bool {
	switch b.st.Kind {
	case parse.Select, parse.Set, parse.Do, parse.Unlock, parse.Use, parse.Insert, parse.Replace, parse.Update, parse.Delete:
		return false
	case parse.Execute, parse.Deallocate:
		return b.f.PinShard == ""
	case parse.Show:
		return !slices.Contains(serverShows, b.st.Name) && !strings.HasPrefix(b.st.Name, "engine ")
	case parse.DDL:
		return !b.st.Is(parse.FlagTemporary)
	default:
		return true
	}
}

// homes adds the default shards of the databases that the statement names, or the session's.
func (b *builder) homes() {
	named := false
	for _, q := range b.st.Qualifiers {
		if b.m.Database(q) == nil && (b.st.Kind == parse.Unparsed || system(q)) {
			continue // of an unparsed text a qualifier may be a table's alias
		}
		named = true
		b.need.or(only(b.home(q)))
	}
	if !named || b.st.Kind == parse.Unparsed {
		b.need.or(only(b.home(b.f.DB)))
	}
}

// home is the shard on which the unlisted tables of a database live.
func (b *builder) home(db string) *shardmap.Shard {
	if system(db) {
		db = b.f.DB
	}
	return b.m.DefaultShard(db)
}

// choose makes the plan from the shards that the statement needs.
func (b *builder) choose() Plan {
	f := b.f
	if b.gone != "" {
		return &Refuse{Code: 1105, State: "HY000", Message: "shardway: the session keeps " + b.gone + " on shard " + f.PinShard +
			", which the map no longer has: connect again"}
	}
	var tx *shardmap.Shard // where the open transaction began
	for i, id := range f.TxShards {
		s := b.m.Shard(id)
		if s == nil {
			return &Refuse{Code: 1105, State: "HY000", Message: "shardway: the open transaction is on shard " + id +
				", which the map no longer has: ROLLBACK and try again"}
		}
		if i == 0 {
			tx = s
		}
	}
	var s *shardmap.Shard
	if b.copies != nil || b.pick != "" || b.moves != nil || b.need.count() > 1 || b.rowwise() {
		heap := *b // the builder of all other statements stays on the stack
		return heap.beyond()
	}
	switch b.need.count() {
	case 0:
		s = b.any(tx)
	default:
		s = b.m.Shards()[b.need.first()]
	}
	if r := b.joins(s); r != nil {
		return r
	}
	return b.one(s)
}

// any is the shard for a statement that any shard can answer which holds its tables.
func (b *builder) any(tx *shardmap.Shard) *shardmap.Shard {
	holds := func(s *shardmap.Shard) bool { return s != nil && !b.lack.has(s.Index) }
	if holds(tx) {
		return tx
	}
	if pin := b.m.Shard(b.f.PinShard); holds(pin) {
		return pin
	}
	if holds(b.prefer) {
		return b.prefer
	}
	if s := b.m.DefaultShard(b.f.DB); holds(s) {
		return s
	}
	return b.m.Shards()[slices.IndexFunc(b.m.Shards(), holds)]
}

// joins refuses to take the open transaction to one more shard where it has to stay on one; nil otherwise.
func (b *builder) joins(s *shardmap.Shard) Plan {
	f := b.f
	if !f.OneShard || len(f.TxShards) == 0 || slices.Contains(f.TxShards, s.ID) || b.st.Is(parse.FlagImplicitCommit) {
		return nil
	}
	return refuse("the open transaction is on shard " + f.TxShards[0] + ", and this " + verb(b.st) + " needs shard " + s.ID + " (" + b.why(s) +
		"): transactions over several shards are forbidden (transactions.cross_shard); COMMIT or ROLLBACK first, or leave this statement out. The transaction is still open")
}

// one is the plan for a shard.
func (b *builder) one(s *shardmap.Shard) Plan {
	p := &One{Shard: s}
	b.fill(p)
	return p
}

func (b *builder) fill(p *One) {
	p.st, p.m, p.args, p.db, p.place = b.st, b.m, b.args, b.f.DB, b.place
	p.Role, p.role = b.chooseRole()
	add := func(n note) {
		if int(p.noted) == len(p.notes) {
			p.dropped = true
			return
		}
		p.notes[p.noted] = n
		p.noted++
	}
	if b.ins.table != nil {
		add(note{kind: noteInsert, table: b.ins.table, op: b.ins.op, slot: b.ins.slot})
	}
	for i := range b.all() {
		s := &b.all()[i]
		n := note{table: s.table, text: s.text, by: s.by, op: s.op, slot: s.slot}
		switch {
		case s.kind == kindSharded && s.by != nil:
			n.kind = noteBound
		case s.kind == kindSharded:
			n.kind = noteOwner
		case s.kind == kindReference:
			n.kind = noteReference
		case s.kind == kindWhole:
			n.kind = noteWhole
		case s.kind == kindTemporary:
			n.kind = noteTemporary
		default:
			continue
		}
		add(n)
	}
	for _, e := range [...]struct {
		on   bool
		kind noteKind
	}{{b.locks, noteLock}, {b.sequence, noteSequence}, {b.vars, noteVars}, {b.temps, noteTemps}} {
		if e.on {
			add(note{kind: e.kind})
		}
	}
}

// chooseRole says which server of the shard may serve the statement.
func (b *builder) chooseRole() (Role, roleReason) {
	st, f := b.st, b.f
	if b.anywhere() {
		return Any, roleSession
	}
	switch {
	case st.Hints.Primary:
		return Primary, roleHint
	case f.InTx && len(f.TxShards) == 0 && b.place == placeFree && st.Is(parse.FlagRead):
		return Any, roleTxLater
	case f.InTx && f.TxReadOnly && st.Is(parse.FlagRead):
		return Replica, roleTxReadOnly
	case f.InTx:
		return Primary, roleTx
	case !st.Is(parse.FlagRead):
		return Primary, roleWrite
	case !f.Autocommit:
		return Primary, roleNoAutocommit
	case st.Kind == parse.Show && (slices.Contains(primaryShows, st.Name) || strings.HasPrefix(st.Name, "engine ")):
		return Primary, roleShow
	default:
		return Replica, roleRead
	}
}

// anywhere reports whether the statement is about the session alone, so that any server can take it.
func (b *builder) anywhere() bool {
	switch b.st.Kind {
	case parse.Use, parse.Unlock, parse.Deallocate:
		return true
	case parse.Set:
		const busy = parse.FlagGetLock | parse.FlagReleaseLock | parse.FlagSequenceNext | parse.FlagStoredFunction
		if len(b.st.Blocks) > 0 || b.st.Inner != nil || b.st.Flags&busy != 0 {
			return false
		}
		for i := range b.st.Set {
			if s := b.st.Set[i].Scope; s == parse.ScopeGlobal || s == parse.ScopePersist {
				return false
			}
		}
		return true
	default:
		return false
	}
}

// temporary reports whether db.name is one of the session's temporary tables.
func (b *builder) temporary(db, name string) bool {
	for _, t := range b.f.TempTables {
		d, n, ok := strings.Cut(t, ".")
		if ok && strings.EqualFold(d, db) && strings.EqualFold(n, name) {
			return true
		}
	}
	return false
}

// serverShows are what SHOW shows of a server rather than of a database, primaryShows what differs between a primary
// and its replicas.
var (
	serverShows = []string{
		"binary log status", "binary logs", "binlog events", "character set", "charset", "collation", "create user", "engines",
		"grants", "master logs", "master status", "open tables", "plugins", "privileges", "processlist", "profile", "profiles",
		"relaylog events", "replica status", "replicas", "slave hosts", "slave status", "status", "variables",
	}
	primaryShows = []string{
		"open tables", "processlist", "status", "variables",
	}
)

// system reports whether db is one of the schemas that every server has for itself.
func system(db string) bool {
	return strings.EqualFold(db, "information_schema") || strings.EqualFold(db, "performance_schema") ||
		strings.EqualFold(db, "mysql") || strings.EqualFold(db, "sys")
}
