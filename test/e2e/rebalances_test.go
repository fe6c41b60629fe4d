package e2e

import (
	"maps"
	"testing"
	"time"

	"shardway/test/cluster"
)

// TestRebalances: slots go from shard to shard and back while clients of three proxies read and write. None of them sees an
// error, each reads what it wrote, and at the end each row is on its owner alone.
func TestRebalances(t *testing.T) {
	clients := count(t, "SHARDWAY_CLIENTS", 16)
	onTenants(t, 3*time.Minute, func(f *fleet) {
		l := f.startTenants(clients)
		l.more(2000)
		l.end()
		errs := l.settle(func(slot int) string {
			if slot < f.db.Slots/2 {
				return "s0"
			}
			return "s1"
		})
		f.Logf("note: errors %v", maps.Clone(errs))
	})
}

// onTenants runs a test on a fleet over four shards of which two own the slots, for each kind of server.
func onTenants(t *testing.T, limit time.Duration, test func(f *fleet)) {
	t.Helper()
	for _, flavor := range cluster.Flavors() {
		t.Run(string(flavor), func(t *testing.T) {
			servers := cluster.Options{Flavor: flavor, Shards: 4, Replicas: 1}
			startFleetOf(t, limit, servers, tenantData(64, 2), nil, func(e *env) { e.must(e.c.Load(e.ctx, e.db)) }, test)
		})
	}
}
