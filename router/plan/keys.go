package plan

import (
	"slices"
	"strings"

	"shardway/router/parse"
	"shardway/router/parse/rewrite"
	"shardway/router/plan/ties"
	"shardway/shardmap"
)

// Values are those of a column of an earlier copy: rows of another table that must equal one of them can be left where
// they are when they don't.
type Values struct {
	Copy   int    // of Gather.Copies
	Column string // lower case
	// Places is the table whose key is compared with them, so that each of them says on which shard its rows are; nil
	// where the column isn't the key.
	Places *shardmap.Table
}

// sorted puts the copies into the order in which they are filled, with what the rows of the earlier ones say about those of
// the later ones.
func (w *bringing) sorted(copies []Copy, at *shardmap.Shard) []Copy {
	all := ties.Of(w.b.st.Blocks, w.list, w.holder)
	if len(all) == 0 {
		return copies
	}
	copies = append(copies, w.few(all, copies, at)...)
	shapes := make([]ties.Copy, len(copies))
	for i := range copies {
		c := &copies[i]
		shapes[i].Members, shapes[i].First = c.members, c.Few
		for _, list := range c.lists {
			shapes[i].Bound = append(shapes[i].Bound, list < 0 || len(c.Where[list]) > 0)
		}
	}
	order, keys := ties.Sort(shapes, all)
	out := make([]Copy, len(order))
	for i, k := range order {
		out[i] = copies[k]
		for _, key := range keys[i] {
			out[i].keyed(&key, &out[key.Copy], w.source(key.Member))
		}
	}
	return out
}

// few are copies of tables that are whole where the statement is finished, and that may have so few rows which matter that
// their values choose those of others. They are copied so that these rows and the others are of one moment.
func (w *bringing) few(all []ties.Tie, copies []Copy, at *shardmap.Shard) (list []Copy) {
	copied := map[int]bool{}
	for i := range copies {
		for _, member := range copies[i].members {
			copied[member] = true
		}
	}
	for i := range w.groups {
		g := &w.groups[i]
		if !w.whole(g, at) || g.need.count() == 0 && g.kind != kindReference || !w.b.f.Reopens && (len(g.members) > 1 || w.common(g.members[0])) {
			continue
		}
		ties := slices.ContainsFunc(all, func(t ties.Tie) bool { return copied[t.To] && slices.Contains(g.members, t.From) })
		if !ties {
			continue
		}
		c := w.copy(g, g.members, g.table)
		if where, _ := c.Condition(nil); where != "" {
			c.Few, c.Home, c.Shards = true, at, []*shardmap.Shard{at}
			list = append(list, c)
		}
	}
	return list
}

// common reports whether a table is named in a common table expression.
func (w *bringing) common(member int) bool {
	at := w.list[member].Token
	return slices.ContainsFunc(w.commons, func(c parse.Common) bool { return at >= c.Body && at < c.End })
}

// keyed leaves out the rows that have none of an earlier copy's values.
func (c *Copy) keyed(key *ties.Key, from *Copy, s *source) {
	for k, member := range c.members {
		list := c.lists[k]
		if member != key.Member || list < 0 {
			continue
		}
		v := &Values{Copy: key.Copy, Column: key.Of}
		if s.kind == kindSharded && strings.EqualFold(s.table.Key, key.Column) {
			v.Places = s.table
		}
		c.Where[list] = append(c.Where[list], Filter{
			SQL:     rewrite.Quote(key.Column) + " IN (the values of " + from.DB + "." + from.Name + "." + key.Of + ")",
			Columns: []string{key.Column}, Of: v,
		})
	}
}
