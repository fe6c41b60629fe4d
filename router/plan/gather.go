package plan

import (
	"slices"
	"strconv"
	"strings"

	"shardway/router/parse"
	"shardway/router/parse/rewrite"
	"shardway/router/plan/ties"
	"shardway/shardmap"
)

// Gather brings rows to temporary tables on one server and runs the client's statement there.
type Gather struct {
	// Shard is where the statement is finished, on a server of Role; tables that aren't copied are read there.
	Shard *shardmap.Shard
	Role  Role
	// From is the role of the servers that rows are read from.
	From   Role
	Copies []Copy
	SQL    *rewrite.Template // nil: as the client sent it
	// Why says what made it run on several shards.
	Why string

	asks    []parse.Table
	touches touches
}

// Copy is a table whose rows are brought to a temporary one.
type Copy struct {
	DB, Table string
	Name      string            // of the temporary table, in DB: the table's own where it hides that
	Shards    []*shardmap.Shard // on which rows can matter, in the map's order
	// Home is a shard that has the table, which tells its columns. Listed says that the finishing one may tell them too.
	Home   *shardmap.Shard
	Listed bool
	// All says that every column may be needed; else Columns are names, in lower case, of which the table's may be. They
	// hold many names that are no columns.
	All     bool
	Columns []string
	// Where are the conditions for rows that can matter: a row meets all Filters of one of the lists. Without a list, or
	// with an empty one, every row can.
	Where [][]Filter
	// Few says that the table could be read where it is: it is copied only if few rows matter, so that their values choose
	// those of other tables.
	Few bool

	members, lists []int           // the places in the statement that it is for, and which of Where is each one's, -1 for none
	table          *shardmap.Table // nil: the map doesn't list it as sharded
}

func (*Gather) plan() {}

// String is "gather at shard role: copies; why".
func (p *Gather) String() string {
	var out strings.Builder
	out.WriteString("gather at " + p.Shard.ID + " " + p.Role.String() + ":")
	for i := range p.Copies {
		if i > 0 {
			out.WriteByte(',')
		}
		out.WriteByte(' ')
		out.WriteString(p.Copies[i].String())
	}
	if len(p.Copies) == 0 {
		out.WriteString(" no copies")
	}
	if p.SQL != nil {
		out.WriteString("; as " + p.SQL.String())
	}
	return out.String() + "; " + p.Why
}

// Reads is the number of shards that are read.
func (p *Gather) Reads() int {
	shards := map[*shardmap.Shard]bool{p.Shard: true}
	for i := range p.Copies {
		for _, s := range p.Copies[i].Shards {
			shards[s] = true
		}
	}
	return len(shards)
}

// Finds reports whether the tables are there too where the statement is finished, before their rows are brought.
func (p *Gather) Finds() bool {
	for i := range p.Copies {
		if c := &p.Copies[i]; !c.Listed && c.Home != p.Shard {
			return false
		}
	}
	return true
}

// String is the table, the shards, and the conditions.
func (c *Copy) String() string {
	out := c.DB + "." + c.Table
	if c.Name != c.Table {
		out += " as " + c.Name
	}
	ids := make([]string, len(c.Shards))
	for i, s := range c.Shards {
		ids[i] = s.ID
	}
	out += " from "
	if out += strings.Join(ids, "+"); len(ids) == 0 {
		out += "nowhere"
	}
	if where, _ := c.Condition(nil); where != "" {
		out += " where " + where
	}
	if c.Few {
		out += " if they are few"
	}
	var own strings.Builder
	for _, s := range c.Shards {
		if sql := c.own(s); sql != "" {
			own.WriteString(", on " + s.ID + " where " + sql)
		}
	}
	return out + own.String()
}

// Condition is what Where demands, "" for nothing. say gives the SQL of a Filter, "" for one that can't be sent and Never for
// one that no row meets; nil takes all as they are. never says that no row can matter.
func (c *Copy) Condition(say func(*Filter) string) (where string, never bool) {
	var any []string
	for _, list := range c.Where {
		var all []string
		for i := range list {
			sql := list[i].SQL
			if say != nil {
				sql = say(&list[i])
			}
			if sql != "" {
				all = append(all, sql)
			}
		}
		switch {
		case slices.Contains(all, Never):
			never = true
			continue
		case len(all) == 0:
			return "", false
		}
		any = append(any, strings.Join(all, " AND "))
	}
	if len(any) > 1 {
		for i := range any {
			any[i] = "(" + any[i] + ")"
		}
	}
	return strings.Join(any, " OR "), never && len(any) == 0
}

// Never is the condition that no row meets.
const Never = "FALSE"

// gatherRows are the steps of a Gather for EXPLAIN ROUTE.
func gatherRows(p *Gather) (rows [][]string) {
	add := func(shard, role, servers, sql, why string) {
		rows = append(rows, []string{number(len(rows) + 1), shard, role, servers, sql, why})
	}
	for i := range p.Copies {
		c := &p.Copies[i]
		columns := "all columns"
		if !c.All {
			columns = "those of its columns that are named"
		}
		for _, s := range c.Shards {
			brought := "rows"
			if c.Few {
				brought = "rows, if they are few,"
			}
			sql, why := "SELECT … FROM "+c.DB+"."+c.Table, ""
			where, _ := c.Condition(nil)
			if where = c.Asked(where, s); where != "" {
				sql += " WHERE " + where
			}
			if c.own(s) != "" {
				why = "; " + strangers(c.table.Database, s)
			}
			add(s.ID, p.From.String(), strings.Join(servers(s, p.From), ", "), sql, brought+" for the temporary table "+c.DB+"."+c.Name+", "+columns+why)
		}
		if len(c.Shards) == 0 {
			add("", "shardway", "", "", "no row of "+c.DB+"."+c.Table+" can match: the temporary table "+c.DB+"."+c.Name+" is empty")
		}
	}
	sql := "as sent"
	if p.SQL != nil {
		sql = p.SQL.String()
	}
	add(p.Shard.ID, p.Role.String(), strings.Join(servers(p.Shard, p.Role), ", "), sql, p.Why)
	return rows
}

// brought plans a SELECT that needs several shards by bringing rows together. It gives a *Gather, or a *Refuse that says
// why not.
func (b *builder) brought() Plan {
	if why := b.unbringable(); why != "" {
		return b.unbrought(why)
	}
	found := b.st.Brings()
	if found.Why != "" {
		return b.unbrought(found.Why)
	}
	w := bringing{b: b, list: ties.Settle(b.st.Blocks, found.Tables, found.Loose, b.columns), commons: found.Commons, norm: found.Norm}
	w.group()
	return w.plan()
}

func (b *builder) unbrought(why string) Plan {
	p, ok := b.spread().(*Refuse)
	if ok {
		p.Message = strings.Replace(p.Message, ". Statements over several shards aren't supported: ", ". Its rows can't be brought to one server, since "+why+": ", 1)
	}
	return p
}

// unbringable says what in a SELECT has its meaning on the connection or shard where it runs, "" for nothing.
func (b *builder) unbringable() string {
	st := b.st
	switch {
	case st.Is(parse.FlagLocks):
		return "it locks rows (" + st.Why + ")"
	case st.Is(parse.FlagInto):
		return "its result goes INTO variables or a file"
	case st.Is(parse.FlagSetsUserVar):
		return "it assigns user variables"
	case st.Is(parse.FlagSetsLastInsertID):
		return "it sets LAST_INSERT_ID"
	case st.Is(parse.FlagGetLock), st.Is(parse.FlagReleaseLock):
		return "it takes or releases named locks"
	case st.Is(parse.FlagSequenceNext):
		return "it uses a sequence"
	case st.Is(parse.FlagStoredFunction):
		return "it calls a function that may be a stored one (" + st.Why + ")"
	case st.Is(parse.FlagConnectionID), st.Is(parse.FlagOwnVariable):
		return "it is about the connection (" + st.Why + ")"
	case st.Is(parse.FlagFoundRows), st.Is(parse.FlagRowCount), st.Is(parse.FlagDiagnostics):
		return "it is about another statement's result (" + st.Why + ")"
	case b.vars:
		return "it uses user variables that one connection alone has"
	case b.inTx() && b.f.OneShard:
		return "it runs in a transaction, which stays on one shard"
	}
	for i := range b.all() {
		if b.all()[i].kind == kindTemporary {
			return b.name(b.all()[i].text) + " is a temporary table of the session"
		}
	}
	return ""
}

// inTx reports whether a SELECT runs in a transaction, or opens one.
func (b *builder) inTx() bool { return b.f.InTx || !b.f.Autocommit }

// bringing is the work on a Gather.
type bringing struct {
	b      *builder
	list   []parse.Bring
	norm   *rewrite.Norm
	groups []tableGroup

	commons []parse.Common
	// Where a server opens a temporary table once: the references of tables that are copied, and further definitions of
	// common table expressions, by the one that they repeat.
	copied map[int]*tableGroup
	more   map[int][]*rewrite.Template
	names  int // given
	found  bool
}

// tableGroup are the places where a statement names one table.
type tableGroup struct {
	db, table string
	kind      kind
	members   []int              // of list
	need      set                // the shards on which rows can matter
	listed    *shardmap.Database // nil: the map doesn't list the table
}

// group sorts the table names of the statement by the tables that they mean.
func (w *bringing) group() {
	for i := range w.list {
		s := w.source(i)
		if s.kind == kindNone {
			continue
		}
		db := s.text.DB
		if db == "" {
			db = w.b.f.DB
		}
		if system(db) {
			continue
		}
		at := -1
		for k := range w.groups {
			if g := &w.groups[k]; strings.EqualFold(g.db, db) && strings.EqualFold(g.table, s.text.Name) {
				at = k
			}
		}
		if at < 0 {
			at = len(w.groups)
			g := tableGroup{db: db, table: s.text.Name, kind: s.kind}
			if s.table != nil {
				g.listed = s.table.Database
			}
			w.groups = append(w.groups, g)
		}
		g := &w.groups[at]
		g.members = append(g.members, i)
		g.need.or(s.in)
	}
}

func (w *bringing) source(i int) *source {
	return &w.b.of(w.list[i].Block)[w.list[i].Table]
}

// whole reports whether a shard has all rows of a table that can matter. In a transaction none has: the connection that
// finishes the statement isn't the transaction's.
func (w *bringing) whole(g *tableGroup, s *shardmap.Shard) bool {
	switch {
	case w.b.inTx():
		return false
	case g.listed != nil && !g.listed.Holds(s):
		return false
	case g.kind == kindReference, g.need.count() == 0:
		return true
	default:
		return g.need.count() == 1 && g.need.first() == s.Index
	}
}

// finish chooses the shard at which the fewest tables have to be copied.
func (w *bringing) finish() *shardmap.Shard {
	best, least := w.b.m.DefaultShard(w.b.f.DB), len(w.groups)+1
	try := func(s *shardmap.Shard) {
		n := 0
		for i := range w.groups {
			if !w.whole(&w.groups[i], s) {
				n++
			}
		}
		if n < least {
			best, least = s, n
		}
	}
	try(best)
	for _, s := range w.b.m.Shards() {
		try(s)
	}
	return best
}

func (w *bringing) plan() Plan {
	b := w.b
	p := &Gather{Shard: w.finish()}
	p.From, _ = b.chooseRole()
	if p.From == Any {
		p.From = Primary
	}
	p.Role = p.From
	for i := range w.groups {
		g := &w.groups[i]
		if w.whole(g, p.Shard) {
			continue
		}
		if b.f.Reopens {
			p.Copies = append(p.Copies, w.copy(g, g.members, g.table))
			continue
		}
		if w.copied == nil {
			w.copied = map[int]*tableGroup{}
		}
		for k, member := range g.members {
			w.copied[member] = g
			name := g.table
			if k > 0 {
				name = w.name(member)
			}
			p.Copies = append(p.Copies, w.copy(g, g.members[k:k+1], name))
		}
	}
	if len(w.copied) > 0 {
		if p.SQL = w.renamed(p); len(p.Copies) > maxCopies {
			return b.unbrought("it would take more than " + strconv.Itoa(maxCopies) + " temporary tables, since MySQL opens each once in a statement")
		}
	}
	p.Copies = w.sorted(p.Copies, p.Shard)
	p.Why = b.whyBrought()
	return p
}

// maxCopies bounds the temporary tables of a statement.
const maxCopies = 61

// copy is a copy for some of a table's references.
func (w *bringing) copy(g *tableGroup, members []int, name string) Copy {
	b := w.b
	c := Copy{DB: g.db, Table: g.table, Name: name, Home: b.home(g.db), Listed: g.kind != kindWhole, members: members}
	var need set
	for _, i := range members {
		br, s := &w.list[i], w.source(i)
		need.or(s.in)
		c.All = c.All || br.All
		c.Columns = append(c.Columns, br.Columns...)
		var list []Filter
		for k := range br.Demands {
			if f, ok := b.filter(&br.Demands[k]); ok {
				list = append(list, f)
			}
		}
		if s.in.count() == 0 && g.kind != kindReference {
			c.lists = append(c.lists, -1)
			continue
		}
		c.lists = append(c.lists, len(c.Where))
		c.Where = append(c.Where, list)
	}
	if slices.Sort(c.Columns); c.All {
		c.Columns = nil
	}
	c.Columns = slices.Compact(c.Columns)
	if g.kind == kindReference {
		from := c.Home
		for _, id := range b.f.TxShards {
			if s := b.m.Shard(id); s != nil && g.listed.Holds(s) {
				from = s // which is in the transaction already
			}
		}
		need = only(from)
	}
	for _, s := range b.m.Shards() {
		if need.has(s.Index) {
			c.Shards = append(c.Shards, s)
		}
	}
	if g.kind == kindWhole && len(c.Shards) > 0 {
		c.Home = c.Shards[0]
	}
	if g.kind == kindSharded {
		c.table = w.source(members[0]).table
	}
	return c
}

// whyBrought says which tables are where.
func (b *builder) whyBrought() string {
	var parts []string
	for i := range b.all() {
		s := &b.all()[i]
		if s.in.count() == 0 || s.kind != kindSharded && s.kind != kindWhole {
			continue
		}
		if part := b.name(s.text) + " is on " + s.in.names(b.m); !slices.Contains(parts, part) {
			parts = append(parts, part)
		}
	}
	return "needs several shards: " + strings.Join(parts, ", ")
}
