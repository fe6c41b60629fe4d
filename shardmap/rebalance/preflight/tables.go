package preflight

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"shardway/shardmap"
	"shardway/shardmap/rebalance/rows"
)

// looks are the tables of the moves as the servers describe them.
type looks map[string]*rows.Table // by shard id and table

// checkTables looks at all tables whose rows go to another shard.
func (r *run) checkTables(ctx context.Context) {
	found := looks{}
	for _, t := range r.d.Tables {
		r.checkTable(ctx, t, found)
	}
}

// checkTable looks at one table on all sides.
func (r *run) checkTable(ctx context.Context, t *shardmap.Table, found looks) {
	name := r.d.Name + "." + t.Name
	before := len(r.report.Failed())
	concerned, made, looked := false, []string{}, map[string]bool{}
	for _, v := range r.moves {
		if !comes(t, v) {
			continue
		}
		concerned = true
		from, to := r.look(ctx, t, v.From, found), r.look(ctx, t, v.To, found)
		for _, side := range []struct {
			shard *shardmap.Shard
			table *rows.Table
		}{{v.From, from}, {v.To, to}} {
			if side.table != nil && !looked[side.shard.ID] {
				looked[side.shard.ID] = true
				r.checkShape(t, side.shard, side.table, side.shard.ID == v.From.ID)
			}
		}
		switch {
		case from == nil:
			continue
		case to == nil:
			if r.primaries[v.To.ID] != nil && !slices.Contains(made, v.To.ID) {
				made = append(made, v.To.ID)
			}
			continue
		}
		if diff := from.Diff(to); len(diff) > 0 && !looked[v.From.ID+" "+v.To.ID] {
			looked[v.From.ID+" "+v.To.ID] = true
			r.add(name, "shape", Failed, "make them alike with ALTER TABLE, through Shardway or on each shard", "it isn't the same on %s and %s: %s", v.From.ID, v.To.ID, strings.Join(diff, "; "))
			continue
		}
		if !t.Reference {
			r.checkEmpty(ctx, t, v, to)
			r.checkUnique(ctx, t, v, from)
		}
	}
	if concerned && len(looked) == 0 && len(r.report.Failed()) == before {
		r.add(name, "shape", Warning, "make it, or take it out of the map", "the map lists it, but the shards don't have it")
		return
	}
	if concerned && len(r.report.Failed()) == before {
		text := "it can be moved"
		if len(made) > 0 {
			text += "; it will be made on " + strings.Join(made, ", ")
		}
		r.add(name, "shape", OK, "", "%s", text)
	}
}

// comes says whether rows of a table come to the target of a move: reference tables don't where it has copies already,
// as the default shard does without slots of its own.
func comes(t *shardmap.Table, v *shardmap.Move) bool { return !t.Reference || !t.Database.Holds(v.To) }

// look describes a table on a shard, nil where there is none.
func (r *run) look(ctx context.Context, t *shardmap.Table, sh *shardmap.Shard, found looks) *rows.Table {
	key := sh.ID + " " + t.Name
	if d, ok := found[key]; ok {
		return d
	}
	s := r.primaries[sh.ID]
	if s == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, s.Limit)
	defer cancel()
	d, err := rows.Describe(ctx, s.DB, r.d.Name, t.Name)
	if err != nil && !errors.Is(err, rows.ErrNoTable) {
		r.add(r.d.Name+"."+t.Name, "shape", Failed, "", "on %s: %s", sh.ID, err)
	}
	if err != nil {
		d = nil
	}
	found[key] = d
	return d
}

// checkShape looks at what a table is on one shard.
func (r *run) checkShape(t *shardmap.Table, sh *shardmap.Shard, d *rows.Table, source bool) {
	name := r.d.Name + "." + t.Name
	failed := func(what, fix, format string, args ...any) {
		r.add(name, what, Failed, fix, "on "+sh.ID+": "+format, args...)
	}
	for _, p := range d.Problems() {
		failed("shape", "change it with ALTER TABLE, on all shards", "%s", p)
	}
	if t.Key != "" && !slices.ContainsFunc(d.Columns, func(c rows.Column) bool { return strings.EqualFold(c.Name, t.Key) }) {
		failed("shape", "correct the map", "it has no column %s, which is the key in the map", t.Key)
	}
	for _, trigger := range d.Triggers {
		failed("triggers", fmt.Sprintf("DROP TRIGGER %s on all shards until the rebalance is finished", trigger.Name),
			"trigger %s would act on copied rows, a second time", trigger.Name)
	}
	for _, f := range d.Foreign {
		if action := actions(f); action != "" {
			failed("foreign keys", fmt.Sprintf("ALTER TABLE %s DROP FOREIGN KEY %s, and make it anew without an action", d, f.Name),
				"foreign key %s has %s: what that changes isn't in the binary log", f.Name, action)
		}
		if !strings.EqualFold(f.ToSchema, r.d.Name) || r.d.Table(f.ToTable) == nil {
			failed("foreign keys", "list that table in the map, or drop the foreign key", "foreign key %s refers to %s.%s, which doesn't move along", f.Name, f.ToSchema, f.ToTable)
		}
	}
	if !source || t.Reference {
		return
	}
	for _, f := range d.Referenced {
		if !strings.EqualFold(f.Schema, r.d.Name) || r.d.Table(f.Table) == nil {
			failed("foreign keys", "list that table in the map, or drop the foreign key", "foreign key %s of %s.%s, which doesn't move along, refers to it", f.Name, f.Schema, f.Table)
		}
	}
}

// checkEmpty looks for rows that the target has in the moved slots already.
func (r *run) checkEmpty(ctx context.Context, t *shardmap.Table, v *shardmap.Move, d *rows.Table) {
	list, err := r.primaries[v.To.ID].Query(ctx, fmt.Sprintf("SELECT 1 AS one FROM %s WHERE %s LIMIT 1", d, v.SlotSQL(t, "")))
	switch {
	case err != nil: // the copy looks as well
		r.add(r.d.Name+"."+t.Name, "empty slots", Warning, "", "whether %s has rows in the moved slots can't be told: %s", v.To.ID, err)
	case len(list) > 0:
		r.add(r.d.Name+"."+t.Name, "empty slots", Failed, "see what they are (`shardctl verify` lists them), and remove them first",
			"%s has rows in the moved slots already, which %s owns", v.To.ID, v.From.ID)
	}
}

// actions are what a foreign key does by itself.
func actions(f rows.Foreign) string {
	var out []string
	for _, a := range []struct{ on, does string }{{"ON UPDATE", f.OnUpdate}, {"ON DELETE", f.OnDelete}} {
		switch a.does {
		case "CASCADE", "SET NULL", "SET DEFAULT":
			out = append(out, a.on+" "+a.does)
		}
	}
	return strings.Join(out, ", ")
}

// checkSpace says how much goes where, since a server can't be asked how much
// room its disks have.
func (r *run) checkSpace(ctx context.Context) {
	for _, s := range r.sides() {
		if !s.target {
			continue
		}
		has := "unknown"
		if rows, err := s.Query(ctx, "SELECT SUM(DATA_LENGTH+INDEX_LENGTH) AS bytes FROM information_schema.TABLES WHERE TABLE_SCHEMA = ?", r.d.Name); err == nil && len(rows) == 1 {
			has = bytes(rows[0]["bytes"])
		}
		comes := "an unknown amount"
		if n, ok := r.Bytes[s.shard.ID]; ok {
			comes = "about " + bytes(fmt.Sprint(n))
		}
		r.add(s.String(), "space", Note, "see that its disk, and its replicas', have room for twice what comes: the rows and the binary log",
			"%s comes to it, and it has %s of database %s; SQL can't tell how much is free", comes, has, r.d.Name)
	}
}

// bytes writes a number of bytes for people.
func bytes(text string) string {
	var n float64
	if _, err := fmt.Sscan(text, &n); err != nil {
		return "0 B"
	}
	unit := 0
	for n >= 1024 && unit < 4 {
		n /= 1024
		unit++
	}
	return fmt.Sprintf("%.4g %s", n, []string{"B", "KiB", "MiB", "GiB", "TiB"}[unit])
}

// checkDefault says what stays on a shard that is drained.
func (r *run) checkDefault(ctx context.Context) {
	s := r.primaries[r.d.Default.ID]
	if s == nil || !slices.Contains(r.Drained, r.d.Default.ID) {
		return
	}
	list, err := s.Query(ctx, "SELECT TABLE_NAME AS name FROM information_schema.TABLES WHERE TABLE_SCHEMA = ? AND TABLE_TYPE = 'BASE TABLE' ORDER BY TABLE_NAME", r.d.Name)
	if err != nil {
		r.add(s.String(), "default shard", Warning, "", "%s", err)
		return
	}
	var stay []string
	for _, row := range list {
		if r.d.Table(row["name"]) == nil {
			stay = append(stay, row["name"])
		}
	}
	if len(stay) == 0 {
		stay = []string{"none now"}
	}
	r.add(s.String(), "default shard", Warning, "to be rid of the shard, copy them and shardway.sequences to another one by hand and change default_shard; until then it stays in the map",
		"it is the default shard of %s: tables that the map doesn't list stay there whole: %s", r.d.Name, strings.Join(stay, ", "))
}
