package rebalance

import (
	"context"
	"maps"
	"slices"
	"strings"

	"shardway/shardmap"
	"shardway/shardmap/rebalance/rows"
	"shardway/shardmap/server"
)

// views makes the source's views over sharded tables where the copies go, before that shard owns its first slots: each
// shard with slots has them, so that it can answer for its own rows by them. Nobody defines views meanwhile: proxies refuse
// it while slots move, and what was planned before has passed.
func (f *flow) views(ctx context.Context) error {
	d := f.mv.Database
	if d.Holds(f.to.shard) {
		return nil // it has them
	}
	f.v.r.making.Lock()
	defer f.v.r.making.Unlock()
	missing, err := f.missingViews(ctx)
	if err != nil {
		return mayView(err, d)
	}
	left, err := f.to.s.CreateViews(ctx, missing)
	if err != nil {
		return mayView(err, d)
	}
	for _, v := range slices.SortedFunc(maps.Keys(left), func(a, b *rows.View) int { return strings.Compare(a.Name, b.Name) }) {
		f.v.r.warn("view %s of %s isn't made on %s, since it reads what isn't there: %s", v, f.from.shard.ID, f.to.shard.ID, left[v])
	}
	return nil
}

// missingViews are the views that the shard of the copies lacks.
func (f *flow) missingViews(ctx context.Context) ([]*rows.View, error) {
	d := f.mv.Database
	views, err := f.from.s.Views(ctx, d.Name)
	if err != nil || len(views) == 0 {
		return nil, err
	}
	there, err := f.to.s.Views(ctx, d.Name)
	if err != nil {
		return nil, err
	}
	var missing []*rows.View
	for _, v := range rows.Over(views, d, f.v.r.current().Databases()) {
		at := slices.IndexFunc(there, func(o *rows.View) bool { return o.Name == v.Name })
		switch {
		case at < 0:
			missing = append(missing, v)
		case !v.Same(there[at]):
			return nil, stop("view %s is another one at %s than at %s: DROP VIEW there, and start again", v, f.to.addr, f.from.addr)
		}
	}
	return missing, nil
}

// mayView is for an error that a lack of rights may be behind.
func mayView(err error, d *shardmap.Database) error {
	switch server.Code(err) {
	case 1142, 1143, 1227, 1370:
		return stop("GRANT CREATE VIEW, SHOW VIEW ON %s.* to the account, and SELECT on what its views read: %w", shardmap.QuoteName(d.Name), err)
	}
	return err
}
