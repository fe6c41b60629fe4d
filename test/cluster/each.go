package cluster

import (
	"context"
	"testing"
	"time"
)

// OnEach starts a cluster of each kind of servers, runs a test on it within limit,
// and closes it: on one kind after the other, or together at the same time. A kind
// that isn't installed is skipped with the reason.
func OnEach(t *testing.T, together bool, limit time.Duration, options func(Flavor) Options, test func(ctx context.Context, t *testing.T, c *Cluster)) {
	t.Helper()
	for _, f := range Flavors() {
		t.Run(string(f), func(t *testing.T) {
			if together {
				t.Parallel()
			}
			if why := f.Missing(); why != "" {
				t.Skip(why)
			}
			ctx, cancel := context.WithTimeout(t.Context(), limit)
			defer cancel()
			o := options(f)
			o.Flavor = f
			c, err := Start(ctx, o)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = c.Close() }) // a test may have ended servers
			test(ctx, t, c)
		})
	}
}

// Of is the options of clusters whose kind of servers makes no difference to them.
func Of(o Options) func(Flavor) Options { return func(Flavor) Options { return o } }
