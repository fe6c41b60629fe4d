package shardmap_test

import (
	"strings"
	"testing"

	"shardway/shardmap"
)

func TestDiffAndHazards(t *testing.T) {
	for _, tt := range []struct {
		name, old, repl string
		diff            string // a line of it
		hazard          string // part of one; empty: safe
	}{
		{"nothing", "# ranges", "# other words", "", ""},
		{"replica", `{addr: "127.0.0.1:3312"}`, `{addr: "127.0.0.1:3312", weight: 3}`, "~ shard s0 replica: 127.0.0.1:3312 -> 127.0.0.1:3312 weight 3", ""},
		{"new replica", `[{addr: "127.0.0.1:3321"}]`, `[{addr: "127.0.0.1:3321"}, "127.0.0.1:3322"]`, "+ shard s1 replica: 127.0.0.1:3322", ""},
		{"primary", "127.0.0.1:3320", "127.0.0.1:3399", "~ shard s1 primary: 127.0.0.1:3320 -> 127.0.0.1:3399", ""},
		{"new shard", "databases:\n", "  s2: {primary: \"c:1\"}\ndatabases:\n", "+ shard s2: primary c:1", ""},
		{"slots move", `s0: ["0-511"], s1: ["512-1023"]`, `s0: ["0-500"], s1: ["501-1023"]`, "~ database shop slots 501-511 (11 of 1024): s0 -> s1", "slots 501-511 (11 of 1024) would move from s0 to s1"},
		{"slots change", `slots: 1024
    owners: {s0: ["0-511"], s1: ["512-1023"]}`, `slots: 1000
    owners: {s0: ["0-511"], s1: ["512-999"]}`, "~ database shop slots: 1024 -> 1000", "which is no multiple"},
		{"multiplied, wrongly", `slots: 1024
    owners: {s0: ["0-511"], s1: ["512-1023"]}`, `slots: 2048
    owners: {s0: ["0-1023"], s1: ["1024-2047"]}`, "~ database shop slots 512-1023 (512 of 2048): s1 -> s0", "would move from s1 to s0"},
		{"key", "key: user_id", "key: id", "~ table shop.orders: {key: user_id, placement: mod, sequence: id} -> {key: id, placement: mod, sequence: id}", "table shop.orders changes its key from user_id to id"},
		{"placement", "{key: user_id, placement: mod,", "{key: user_id, placement: crc32,", "~ table shop.orders", "changes its placement from mod to crc32"},
		{"fold", "placement: crc32", "placement: crc32, fold: rtrim", "~ table shop.sessions", "changes its fold"},
		{"key's case", "key: user_id", "key: User_ID", "~ table shop.orders", ""},
		{"table gone", "      sessions:  {key: token,   placement: crc32}\n", "", "- table shop.sessions: {key: token, placement: crc32}", "would be looked for on the default shard alone"},
		{"table new", "      countries:", "      carts: {key: user_id, placement: mod}\n      countries:", "+ table shop.carts: {key: user_id, placement: mod}", ""},
		{"to reference", "{key: token,   placement: crc32}", "{reference: true}", "~ table shop.sessions", "is sharded and would be read from any shard"},
		{"from reference", "{reference: true}", "{key: id, placement: mod}", "~ table shop.countries", "is a copy on every shard and would be sharded"},
		{"default shard", "default_shard: s0", "default_shard: s1", "~ database shop default shard: s0 -> s1", "the default shard of shop changes from s0 to s1"},
		{"first shard", "  s0: {primary", "  s: {primary: \"z:1\"}\n  s0: {primary", "+ shard s: primary z:1", "databases that are not listed changes from s0 to s"},
		{"sequence", "placement: mod,   sequence: id}\n      sessions", "placement: mod}\n      sessions", "~ table shop.orders", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a, b := mustParse(t, shopMap), mustParse(t, edit(tt.old, tt.repl))
			text := shardmap.FormatChanges(shardmap.Diff(a, b))
			if tt.diff == "" && text != "" || !strings.Contains(text, tt.diff) {
				t.Errorf("diff\n%swant\n%s", text, tt.diff)
			}
			h := strings.Join(shardmap.Hazards(a, b), "\n")
			if tt.hazard == "" && h != "" || !strings.Contains(h, tt.hazard) {
				t.Errorf("hazards %q, want %q", h, tt.hazard)
			}
		})
	}
}
