package preflight

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"shardway/shardmap"
	"shardway/shardmap/rebalance/rows"
)

// views are the two primaries of moves that bring a shard its first slots, where the source has views: those over sharded
// tables are made on the target.
func (r *run) views(ctx context.Context) (list []*shardmap.Move) {
	for _, v := range r.moves {
		from, to := r.primaries[v.From.ID], r.primaries[v.To.ID]
		if r.d.Holds(v.To) || from == nil || to == nil {
			continue
		}
		n, err := from.Text(ctx, "SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA = ? AND TABLE_TYPE = 'VIEW'", r.d.Name)
		if err == nil && n != "0" { // an error is told where tables are looked at
			list = append(list, v)
		}
	}
	return list
}

// viewRights are what the account needs on a primary for views.
func (r *run) viewRights(ctx context.Context, s *side) []right {
	if slices.ContainsFunc(r.views(ctx), func(v *shardmap.Move) bool { return v.From.ID == s.shard.ID || v.To.ID == s.shard.ID }) {
		return []right{{"CREATE VIEW"}, {"SHOW VIEW"}}
	}
	return nil
}

// checkViews says which views will be made, and looks at those that are there.
func (r *run) checkViews(ctx context.Context) {
	looked := map[string]bool{}
	for _, v := range r.views(ctx) {
		if looked[v.To.ID] {
			continue
		}
		looked[v.To.ID] = true
		about := r.primaries[v.To.ID].String()
		from, err := r.viewsOf(ctx, v.From)
		if err != nil {
			r.add(r.primaries[v.From.ID].String(), "views", Failed, viewFix(r.d.Name), "%s", err)
			continue
		}
		there, err := r.viewsOf(ctx, v.To)
		if err != nil {
			r.add(about, "views", Failed, viewFix(r.d.Name), "%s", err)
			continue
		}
		before := len(r.report.Failed())
		var made []string
		for _, view := range rows.Over(from, r.d, r.m.Databases()) {
			at := slices.IndexFunc(there, func(o *rows.View) bool { return o.Name == view.Name })
			switch {
			case at < 0:
				made = append(made, view.Name)
			case !view.Same(there[at]):
				r.add(about, "views", Failed, fmt.Sprintf("DROP VIEW %s there", view), "view %s is another one than on %s", view, v.From.ID)
			}
		}
		if len(made) > 0 && len(r.report.Failed()) == before {
			r.add(about, "views", OK, "", "those of %s over sharded tables will be made: %s", v.From.ID, strings.Join(made, ", "))
		}
	}
}

func viewFix(db string) string {
	return "GRANT CREATE VIEW, SHOW VIEW ON " + shardmap.QuoteName(db) + ".* to the account, and SELECT on what its views read"
}

func (r *run) viewsOf(ctx context.Context, sh *shardmap.Shard) ([]*rows.View, error) {
	p := r.primaries[sh.ID]
	ctx, cancel := context.WithTimeout(ctx, r.Statement)
	defer cancel()
	s, err := rows.Connect(ctx, p.DB, p.Addr)
	if err != nil {
		return nil, err
	}
	defer func() { _ = s.Close() }() // it only reads
	return s.Views(ctx, r.d.Name)
}
