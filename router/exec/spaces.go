package exec

import (
	"context"
	"encoding/hex"
	"strings"
	"sync"

	"shardway/router/backend"
	"shardway/router/exec/merge"
)

// spaceCache knows how collations pad, by their names.
type spaceCache struct {
	mu    sync.Mutex
	known map[string]padding
}

// padding is how a collation compares texts of different lengths.
type padding struct {
	merge.Padding
	why string // it can't be compared by weights; "" if it can
}

// padding says how a collation pads, for merge.Options. It is asked of a server once.
func (s *Session) padding(ctx context.Context, shard, collation string) (merge.Padding, error) {
	cache := &s.x.spaces
	cache.mu.Lock()
	p, ok := cache.known[collation]
	cache.mu.Unlock()
	if !ok {
		var err error
		if p, err = s.askPadding(ctx, shard, collation); err != nil {
			return merge.Padding{}, err
		}
		cache.mu.Lock()
		if cache.known == nil {
			cache.known = map[string]padding{}
		}
		cache.known[collation] = p
		cache.mu.Unlock()
	}
	if p.why != "" {
		return merge.Padding{}, &merge.UnmergeableError{Why: "texts of collation " + collation + " can't be compared by their weights: " + p.why}
	}
	return p.Padding, nil
}

// askPadding finds out how a collation pads. One whose weights have several levels can't be padded at its end.
func (s *Session) askPadding(ctx context.Context, shard, collation string) (padding, error) {
	charset, _, _ := strings.Cut(collation, "_")
	if !isName(collation) {
		return padding{why: "it has no name"}, nil
	}
	if charset == collation {
		return padding{}, nil // binary
	}
	c, err := s.x.cluster.Acquire(ctx, backend.Want{Shard: shard, Role: backend.Any})
	if err != nil {
		return padding{}, acquireError(err)
	}
	r := &Request{Shard: shard, Read: true}
	// Another client's sql_select_limit or character set would make the answer another one.
	if err := s.sync(c, (&state{schema: stateOf(c.State).schema}).handle()); err != nil {
		return padding{}, unready(c, r, err)
	}
	in := func(text string) string { return "CONVERT(" + text + " USING " + charset + ") COLLATE " + collation }
	// The last value is the longer of two texts that are equal if it pads, and is sorted first by the number then.
	res, err := c.Query("SELECT " + in("'a'") + "=" + in("'a '") + ", HEX(WEIGHT_STRING(" + in("'a'") + ")), HEX(WEIGHT_STRING(" + in("'a '") + ")), HEX(WEIGHT_STRING(" + in("' '") + ")), " +
		"(SELECT n FROM (SELECT 'a ' x, 1 n UNION ALL SELECT 'a', 2) t ORDER BY " + in("CONCAT(x, '')") + ", n LIMIT 1)")
	if err != nil {
		return padding{}, unready(c, r, s.lost(c, err, true))
	}
	c.Release()
	if len(res.Rows) != 1 || len(res.Rows[0]) != 5 {
		return padding{why: "the server doesn't say how it pads"}, nil
	}
	text := func(i int) string {
		if v := res.Rows[0][i]; v != nil {
			return *v
		}
		return ""
	}
	if text(0) != "1" {
		return padding{}, nil
	}
	space, err := hex.DecodeString(text(3))
	switch {
	case err != nil || len(space) == 0:
		return padding{why: "a space has no weight"}, nil
	case text(2) != text(1)+text(3) && text(2) != text(1):
		return padding{why: "they have several levels"}, nil
	}
	return padding{Padding: merge.Padding{Space: space, Cut: text(4) == "2"}}, nil
}

// isName says whether a text may stand in SQL as the name of a collation.
func isName(text string) bool {
	for i := range len(text) {
		c := text[i]
		if c != '_' && (c < '0' || c > '9') && (c < 'a' || c > 'z') {
			return false
		}
	}
	return text != ""
}
