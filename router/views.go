package router

import (
	"bytes"
	"context"
	"slices"
	"strings"

	"shardway/protocol"
	"shardway/router/exec"
	"shardway/router/parse"
	"shardway/router/parse/rewrite"
	"shardway/router/plan"
	"shardway/shardmap"
)

// viewDepth bounds how deep views are nested in views.
const viewDepth = 32

// flatView is a view with the SELECTs of the views over sharded tables that it names in their places.
type flatView struct {
	sql      string
	listed   bool               // it reads tables that the map lists
	database *shardmap.Database // of the sharded ones among them; nil if there are none
	home     bool               // it reads what the default shard alone has
}

// of takes over that the view reads sharded tables of a database.
func (v *flatView) of(d *shardmap.Database) {
	v.home = v.home || v.database != nil && v.database != d
	v.database = d
}

// standIn is the SELECT of a view where its name was.
type standIn struct{ sql, name []byte }

// withoutViews puts the SELECTs of views over sharded tables in the places of their names, since the view that a shard
// has shows that shard's rows. It gives t itself where a statement names none, and tells the planner of those that DDL names.
func (s *session) withoutViews(ctx context.Context, o *Options, t *text, m *shardmap.Map) (*text, error) {
	st := t.st
	s.facts.Views = nil
	if len(m.Shards()) == 1 || st.Hints.Shard != "" {
		return t, nil
	}
	switch st.Kind {
	case parse.DDL:
		return t, s.viewFacts(ctx, o, st, m)
	case parse.Select, parse.Insert, parse.Replace, parse.Update, parse.Delete, parse.Do, parse.Set, parse.Call, parse.LoadData:
	default:
		return t, nil
	}
	var found map[[2]int]*flatView
	for i := range st.Blocks {
		for j := range st.Blocks[i].Tables {
			write := st.Blocks[i].Tables[j].Write || st.Blocks[i].Role == parse.RoleInsertTarget
			v, err := s.viewIn(ctx, o, m, &st.Blocks[i].Tables[j], write)
			if err != nil {
				return nil, err
			}
			if v == nil {
				continue
			}
			if found == nil {
				found = map[[2]int]*flatView{}
			}
			found[[2]int{i, j}] = v
		}
	}
	if found == nil {
		return t, nil
	}
	other := &text{file: t.file, original: t, spread: true}
	var err error
	if other.sql, other.standIns, err = s.flattened(t.sql, st, found); err != nil {
		return nil, err
	}
	for _, v := range found {
		other.spread = other.spread && !v.home
	}
	d := new(parse.Digest)
	other.st = s.parse(o, d, other.sql)
	other.args = d.Args
	if other.st.Kind != st.Kind {
		return nil, protocol.Errorf(1235, "42000", "shardway: this statement can't be read with the SELECTs of its views over sharded tables in their places (%s): name the tables instead of the views", other.st.ParseError)
	}
	if e := t.execution; e != nil {
		// The types and bytes of the bound values are the client's; only the text is another.
		stmt := *e.stmt
		stmt.st, stmt.prepared, stmt.args = other.st, s.x.Prepared(string(other.sql)), other.args
		other.args = stmt.bind()
		other.execution = &execution{stmt: &stmt, exec: e.exec}
	}
	return other, nil
}

// viewIn is the view over sharded tables that a statement names as a table; nil for any other table. One that is written
// to is refused.
func (s *session) viewIn(ctx context.Context, o *Options, m *shardmap.Map, t *parse.Table, write bool) (*flatView, error) {
	if t.Source >= 0 || t.Name == "" {
		return nil, nil
	}
	db := t.DB
	if db == "" {
		db = s.x.Schema()
	}
	_, temporary := s.x.TempTables()
	if slices.Contains(temporary, strings.ToLower(db+"."+t.Name)) {
		return nil, nil
	}
	v, err := s.viewOf(ctx, o, m, db, t.Name, 0)
	switch {
	case err != nil || v == nil || !v.listed:
		return nil, err
	case write:
		return nil, protocol.Errorf(1235, "42000", "shardway: %s.%s is a view over tables that the map lists, and which shards its rows are on isn't known to a write: write to the tables themselves", db, t.Name)
	case v.database == nil:
		return nil, nil
	}
	return v, nil
}

// viewOf is the view of a name, nil for what is no view. Tables of databases that the map doesn't list aren't looked at.
func (s *session) viewOf(ctx context.Context, o *Options, m *shardmap.Map, db, name string, depth int) (*flatView, error) {
	if d := m.Database(db); d == nil || len(d.Tables) == 0 || m.Table(db, name) != nil {
		return nil, nil
	}
	v, err := s.x.View(ctx, m.DefaultShard(db).ID, db, name)
	if err != nil || v == nil {
		return nil, err
	}
	return s.flatten(ctx, o, m, db, name, v, depth)
}

// flatten finds out what a view reads.
func (s *session) flatten(ctx context.Context, o *Options, m *shardmap.Map, db, name string, v *exec.View, depth int) (*flatView, error) {
	no := func(why string) error {
		return protocol.Errorf(1235, "42000", "shardway: the view %s.%s can't be read over several shards, since %s", db, name, why)
	}
	switch {
	case depth > viewDepth:
		return nil, no("it is nested too deep in other views")
	case v.SQL == "":
		return nil, no("the server doesn't show its SELECT to Shardway's account: GRANT SHOW VIEW, SELECT ON `" + db + "`.* to it")
	}
	d := new(parse.Digest)
	d.Scan([]byte(v.SQL), 0)
	st := o.Statements.Statement(d)
	flat := &flatView{sql: v.SQL}
	found := map[[2]int]*flatView{}
	for i := range st.Blocks {
		for j := range st.Blocks[i].Tables {
			t := &st.Blocks[i].Tables[j]
			if t.Source >= 0 || t.Name == "" {
				continue
			}
			schema := t.DB
			if schema == "" {
				schema = db
			}
			if table := m.Table(schema, t.Name); table != nil {
				flat.listed = true
				if table.Sharded() {
					flat.of(table.Database)
				}
				continue
			}
			inner, err := s.viewOf(ctx, o, m, schema, t.Name, depth+1)
			switch {
			case err != nil:
				return nil, err
			case inner == nil || inner.database == nil:
				flat.home = true
			default:
				flat.home = flat.home || inner.home
				flat.of(inner.database)
				found[[2]int{i, j}] = inner
			}
			flat.listed = flat.listed || inner != nil && inner.listed
		}
	}
	if st.Kind != parse.Select {
		for _, table := range m.Database(db).Tables {
			if table.Sharded() && slices.Contains(st.Words, strings.ToLower(table.Name)) {
				return nil, no("its SELECT can't be read (" + st.ParseError + ")")
			}
		}
		return flat, nil
	}
	if flat.database == nil {
		return flat, nil
	}
	if len(found) > 0 {
		sql, _, err := s.flattened([]byte(v.SQL), st, found)
		if err != nil {
			return nil, err
		}
		flat.sql = string(sql)
	}
	if !o.mariaDB() { // which writes the names of the view's columns into its SELECT
		sql, ok := rewrite.Renamed(flat.sql, v.Columns)
		if !ok {
			return nil, no("the names of its columns aren't found in its SELECT")
		}
		flat.sql = sql
	}
	if strings.Contains(flat.sql, `\`) && s.facts.PlainBackslash {
		return nil, no("it has a backslash in it, which is read otherwise under the session's sql_mode NO_BACKSLASH_ESCAPES")
	}
	if charset := s.facts.Charset; !strings.HasPrefix(charset, "utf8") && strings.IndexFunc(flat.sql, func(r rune) bool { return r > 127 }) >= 0 {
		return nil, no("it has characters in it that the session's character_set_client, " + charset + ", may not have: use utf8mb4")
	}
	return flat, nil
}

// flattened is a text with views in the places of their names, which are by block and table.
func (s *session) flattened(sql []byte, st *parse.Statement, views map[[2]int]*flatView) (flat []byte, list []standIn, err error) {
	n, references, ok := st.References()
	if !ok {
		return nil, nil, protocol.Errorf(1235, "42000", "shardway: the names of views over sharded tables aren't found in this statement: name the tables instead of the views, or send a SELECT of its own")
	}
	type change struct {
		at   rewrite.Range
		text string
	}
	var changes []change
	for _, r := range references {
		v := views[[2]int{r.Block, r.Table}]
		if v == nil {
			continue
		}
		table := &st.Blocks[r.Block].Tables[r.Table]
		in := standIn{sql: []byte("(" + v.sql + ")"), name: []byte(rewrite.Quote(table.Name))}
		if table.Alias == "" {
			in.sql = append(in.sql, " AS "+rewrite.Quote(table.Name)...)
		}
		if table.DB != "" {
			in.name = []byte(rewrite.Quote(table.DB) + "." + rewrite.Quote(table.Name))
		}
		list = append(list, in)
		changes = append(changes, change{r.Name, string(in.sql)})
		visible := table.Alias
		if visible == "" {
			visible = table.Name
		}
		// A SELECT in the place of a view is in no schema: schema.view.column is view.column.
		for k := range len(n.Tokens) - 4 {
			if n.Tokens[k+1].Up == "." && n.Tokens[k+3].Up == "." && n.Tokens[k].IsName() && n.Tokens[k+2].IsName() && strings.EqualFold(n.Name(k+2), visible) {
				changes = append(changes, change{at: rewrite.Range{From: k, To: k + 2}})
			}
		}
	}
	slices.SortFunc(changes, func(a, b change) int { return a.at.From - b.at.From })
	t := rewrite.New(n)
	from := 0
	for _, c := range changes {
		if c.at.From < from {
			continue // of two views with one name
		}
		t.Copy(rewrite.Range{From: from, To: c.at.From})
		if c.text != "" {
			t.Text(c.text)
		}
		from = c.at.To
	}
	t.Copy(rewrite.Range{From: from, To: len(n.Tokens) - 1})
	flat, err = t.Append(nil, &rewrite.Fill{SQL: sql})
	return flat, list, err
}

// named is a text for a shard with the views' names, where every shard has them: so the columns are a view's.
func (t *text) named(sql []byte) []byte {
	if !t.spread {
		return sql
	}
	for i := range t.standIns {
		sql = bytes.ReplaceAll(sql, t.standIns[i].sql, t.standIns[i].name)
	}
	return sql
}

// viewFacts tells the planner of the views that DDL names.
func (s *session) viewFacts(ctx context.Context, o *Options, st *parse.Statement, m *shardmap.Map) error {
	if !strings.HasSuffix(st.Name, " view") {
		return nil
	}
	for i := range st.Blocks {
		for j := range st.Blocks[i].Tables {
			table := &st.Blocks[i].Tables[j]
			if table.Source >= 0 || table.Name == "" {
				continue
			}
			db := table.DB
			if db == "" {
				db = s.x.Schema()
			}
			v, err := s.viewOf(ctx, o, m, db, table.Name, 0)
			if err != nil {
				return err
			}
			if v == nil {
				continue
			}
			if s.facts.Views == nil {
				s.facts.Views = map[string]plan.View{}
			}
			s.facts.Views[strings.ToLower(db+"."+table.Name)] = plan.View{Database: v.database, Spread: v.database != nil && !v.home}
		}
	}
	return nil
}
