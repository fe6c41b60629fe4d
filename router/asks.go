package router

import (
	"context"
	"strings"

	"shardway/router/plan"
	"shardway/shardmap"
)

// plan plans a statement, and does it again with the columns of its tables where these let it find a better plan. It
// works without them where a server doesn't tell.
func (s *session) plan(ctx context.Context, t *text, m *shardmap.Map, f *plan.Facts) plan.Plan {
	f.Tables, f.Numbered = nil, nil
	p := plan.Build(t.st, t.args, m, f)
	asks := plan.Asks(p)
	if len(asks) == 0 {
		return p
	}
	f.Tables, f.Numbered = make(map[string][]string, len(asks)), map[string]string{}
	for i := range asks {
		a := &asks[i]
		shard := m.DefaultShard(a.DB)
		if table := m.Table(a.DB, a.Name); table != nil && table.Sharded() {
			shard = table.Database.Owner(0)
		}
		columns, err := s.x.Columns(ctx, shard.ID, a.DB, a.Name)
		if err != nil {
			return p
		}
		name := strings.ToLower(a.DB + "." + a.Name)
		f.Tables[name] = columns
		if t.st.Insert == nil {
			continue
		}
		if f.Numbered[name], err = s.x.Numbered(ctx, shard.ID, a.DB, a.Name); err != nil {
			return p
		}
	}
	return plan.Build(t.st, t.args, m, f)
}
