package shardmap_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"shardway/shardmap"
)

const shopMap = `# who owns what
version: 1   # grows
shards:
  s0: {primary: "127.0.0.1:3310", replicas: [{addr: "127.0.0.1:3311", weight: 1, zone: a}, {addr: "127.0.0.1:3312"}]}
  s1: {primary: "127.0.0.1:3320", replicas: [{addr: "127.0.0.1:3321"}]}
databases:
  shop:
    slots: 1024
    owners: {s0: ["0-511"], s1: ["512-1023"]}      # ranges
    default_shard: s0
    tables:
      users:     {key: id,      placement: mod,   sequence: id}
      orders:    {key: user_id, placement: mod,   sequence: id}
      sessions:  {key: token,   placement: crc32}
      countries: {reference: true}
`

func mustParse(t testing.TB, text string) *shardmap.Map {
	t.Helper()
	m, err := shardmap.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestParse(t *testing.T) {
	m := mustParse(t, shopMap)
	if m.Version() != 1 || len(m.Shards()) != 2 || len(m.Databases()) != 1 {
		t.Fatalf("version %d, %d shards, %d databases", m.Version(), len(m.Shards()), len(m.Databases()))
	}
	s0 := m.Shard("s0")
	if s0.Primary.Addr != "127.0.0.1:3310" || len(s0.Replicas) != 2 || s0.Replicas[0].Zone != "a" || s0.Replicas[1].Weight != 1 {
		t.Errorf("s0 is %+v", s0)
	}
	if m.Shard("s2") != nil || m.Shard("S0") != nil {
		t.Error("an unknown shard was found")
	}
	shop := m.Database("SHOP")
	if shop == nil || shop.Owner(511).ID != "s0" || shop.Owner(512).ID != "s1" {
		t.Errorf("shop is %+v", shop)
	}
	users := m.Table("Shop", "USERS")
	if users == nil || users.Key != "id" || users.Placement != shardmap.Mod || users.Sequence != "id" || !users.Sharded() || users.Database != shop {
		t.Errorf("users is %+v", users)
	}
	if c := m.Table("shop", "countries"); c == nil || !c.Reference || c.Sharded() {
		t.Errorf("countries is %+v", c)
	}
	if m.Table("shop", "nothing") != nil || m.Table("nothing", "users") != nil {
		t.Error("an unlisted table was found")
	}
	if d := m.DefaultShard("shop"); d != s0 {
		t.Errorf("the default shard of shop is %v", d)
	}
	if d := m.DefaultShard("elsewhere"); d != s0 {
		t.Errorf("the default shard of an unlisted database is %v", d)
	}
}

func TestDefaultShard(t *testing.T) {
	m := mustParse(t, `
version: 1
default_shard: s10
shards: {s10: {primary: "a:1"}, s2: {primary: "b:1"}}
databases:
  a: {}
  b: {default_shard: s2}
`)
	if ids := m.Shards()[0].ID + m.Shards()[1].ID; ids != "s2s10" || m.Shards()[1].Index != 1 {
		t.Errorf("shards are in the order %s", ids)
	}
	for db, want := range map[string]string{"": "s10", "a": "s10", "b": "s2", "c": "s10"} {
		if got := m.DefaultShard(db).ID; got != want {
			t.Errorf("the default shard of %q is %s, want %s", db, got, want)
		}
	}
}

// edit replaces text in the map of the contract.
func edit(old, repl string) string {
	if !strings.Contains(shopMap, old) {
		panic(old)
	}
	return strings.Replace(shopMap, old, repl, 1)
}

func TestParseErrors(t *testing.T) {
	for _, tt := range []struct{ name, text, want string }{
		{"empty", "", "the text is empty"},
		{"no mapping", "- 1", "line 1: must be a mapping with the keys version, shards, databases, default_shard, not a list"},
		{"syntax", "version: [1", "line 1: "},
		{"second document", shopMap + "---\nversion: 2\n", "a second YAML document"},
		{"unknown key", edit("default_shard", "defaultshard"), "line 10: databases.shop.defaultshard: is not known here; known are slots, owners, moves, default_shard, tables"},
		{"unknown top key", shopMap + "shard: 1\n", "line 16: shard: is not known here"},
		{"duplicate key", edit("    default_shard: s0\n", "    default_shard: s0\n    slots: 4\n"), "line 11: databases.shop.slots: is written twice, first in line 8; keep one"},
		{"duplicate shard", edit("  s1: {primary", "  s0: {primary"), "line 5: shards.s0: is written twice"},
		{"duplicate table", edit("      orders:  ", "      users:  "), "line 13: databases.shop.tables.users: is written twice"},
		{"table by case", edit("      orders:  ", "      USERS:  "), `differs from table "users" by case alone`},
		{"no version", edit("version: 1", "# no"), "version: is missing; write version: 1"},
		{"bad version", edit("version: 1", "version: one"), `line 2: version: must be a whole number from 1 to 9223372036854775807, not "one"`},
		{"zero version", edit("version: 1", "version: 0"), "line 2: version: must be a whole number"},
		{"no shards", "version: 1\nshards: {}\n", "line 2: shards: must name at least one shard"},
		{"shards missing", "version: 1\n", "shards: must name at least one shard"},
		{"bad shard id", edit("  s1: {primary", "  's 1': {primary"), "line 5: shards.s 1: is no shard id"},
		{"no primary", edit(`primary: "127.0.0.1:3320", `, ""), "line 5: shards.s1: has no primary; add primary:"},
		{"bad addr", edit("127.0.0.1:3320", "127.0.0.1"), `line 5: shards.s1.primary: "127.0.0.1" is no server address; write HOST:PORT`},
		{"bad port", edit("127.0.0.1:3320", "127.0.0.1:99999"), "has no port from 1 to 65535"},
		{"bad socket", edit("127.0.0.1:3320", "unix:run/x.sock"), "has no absolute path"},
		{"same server", edit("127.0.0.1:3321", "127.0.0.1:3312"), `line 5: shards.s1.replicas[0]: "127.0.0.1:3312" already is shards.s0.replicas[1]; a server belongs to one shard, once`},
		{"weight", edit("weight: 1,", "weight: -1,"), `line 4: shards.s0.replicas[0].weight: must be a whole number from 0 to 1000, not "-1"`},
		{"heavy", edit("weight: 1,", "weight: 1001,"), "from 0 to 1000"},
		{"slots zero", edit("slots: 1024", "slots: 0"), `line 8: databases.shop.slots: must be a whole number from 1 to 1048576, not "0"`},
		{"slots many", edit("slots: 1024", "slots: 1048577"), "from 1 to 1048576"},
		{"slots none", edit("slots: 1024", ""), "databases.shop.slots: is missing; write slots: 1024"},
		{"owners none", edit(`owners: {s0: ["0-511"], s1: ["512-1023"]}`, ""), "databases.shop.owners: is missing; give every slot to a shard"},
		{"owned twice", edit("512-1023", "511-1023"), "line 9: databases.shop.owners.s1[0]: slot 511 is owned by s0 and by s1"},
		{"owned by none", edit("512-1023", "514-1023"), "line 9: databases.shop.owners: nobody owns slots 512-513; every slot has one owner"},
		{"one by none", edit("512-1023", "513-1023"), "nobody owns slot 512;"},
		{"beyond", edit("512-1023", "512-1024"), `line 9: databases.shop.owners.s1[0]: "512-1024" goes beyond the last slot, 1023`},
		{"unknown owner", edit(`s1: ["512-1023"]`, `s2: ["512-1023"]`), `line 9: databases.shop.owners.s2: names shard "s2", which is not under shards; known are s0, s1`},
		{"unknown default", edit("default_shard: s0", "default_shard: s9"), `line 10: databases.shop.default_shard: names shard "s9"`},
		{"ranges no list", edit(`["512-1023"]`, `"512-1023"`), `must be a list of ranges, not "512-1023"`},
		{"key and reference", edit("{reference: true}", "{reference: true, key: id}"), "line 15: databases.shop.tables.countries.key: stands beside reference: true"},
		{"neither", edit("{reference: true}", "{}"), "line 15: databases.shop.tables.countries: has neither key nor reference"},
		{"reference false", edit("{reference: true}", "{reference: false}"), "has neither key nor reference"},
		{"reference text", edit("{reference: true}", "{reference: 'true'}"), "must be true or false"},
		{"no placement", edit("{key: token,   placement: crc32}", "{key: token}"), "line 14: databases.shop.tables.sessions.placement: is missing; write mod for an integer key, crc32 for any other"},
		{"bad placement", edit("crc32", "md5"), `line 14: databases.shop.tables.sessions.placement: must be mod or crc32, not "md5"`},
		{"fold of mod", edit("{key: id,      placement: mod,", "{key: id, fold: rtrim, placement: mod,"), "users.fold: is for placement crc32"},
		{"bad fold", edit("placement: crc32", "placement: crc32, fold: ci"), "must be rtrim or ascii_ci"},
		{"bad type", edit("placement: crc32", "placement: crc32, key_type: text"), `"text" is not a key type`},
		{"type of other placement", edit("placement: crc32", "placement: crc32, key_type: int"), "int doesn't fit placement crc32"},
		{"char", edit("placement: crc32", "placement: crc32, key_type: char(8)"), "char drops trailing spaces; add fold: rtrim"},
		{"binary fold", edit("placement: crc32", "placement: crc32, fold: rtrim, key_type: varbinary(8)"), "remove fold"},
		{"anchor", edit(`{primary: "127.0.0.1:3320"`, `&a {primary: "127.0.0.1:3320"`), "line 5: shards.s1: uses an anchor or an alias"},
		{"alias", "version: 1\nshards: &x {s0: {primary: \"a:1\"}}\ndatabases: *x\n", "an anchor or an alias"},
		{"empty key", edit("key: token", "key: ''"), "sessions.key: must be a text"},
		{"many slots together", manyDatabases(9), "at most 4194304 are allowed"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := shardmap.Parse([]byte(tt.text))
			if err == nil {
				t.Fatal("no error")
			}
			if !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error\n%v\nwant\n%s", err, tt.want)
			}
		})
	}
}

func manyDatabases(n int) string {
	var b strings.Builder
	b.WriteString("version: 1\nshards: {s0: {primary: \"a:1\"}}\ndatabases:\n")
	for i := range n {
		fmt.Fprintf(&b, "  d%d: {slots: 1048576, owners: {s0: [\"0-1048575\"]}}\n", i)
	}
	return b.String()
}

// A hostile file repeats a whole-range owner; the work must stay bounded.
func TestParseHostileOwners(t *testing.T) {
	text := "version: 1\nshards: {s0: {primary: \"a:1\"}}\ndatabases: {d: {slots: 1048576, owners: {s0: [" + strings.Repeat(`"0-1048575",`, 100000) + "]}}}"
	_, err := shardmap.Parse([]byte(text))
	if err == nil || strings.Count(err.Error(), "\n") > 30 {
		t.Errorf("error %.200v", err)
	}
}

func TestParseReportsAll(t *testing.T) {
	_, err := shardmap.Parse([]byte(strings.NewReplacer("crc32", "md5", "127.0.0.1:3320", "x", "slots: 1024", "slots: 0").Replace(shopMap)))
	for _, want := range []string{"shard map: 3 errors", "line 5:", "line 8:", "line 14:"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v lacks %q", err, want)
		}
	}
}

func TestMarshalKeepsTheText(t *testing.T) {
	m := mustParse(t, shopMap)
	got, err := m.WithVersion(42).Marshal()
	if err != nil {
		t.Fatal(err)
	}
	if want := strings.Replace(shopMap, "version: 1 ", "version: 42 ", 1); string(got) != want {
		t.Errorf("got\n%s", got)
	}
	if back := mustParse(t, string(got)); back.Version() != 42 || !back.Equal(m) {
		t.Error("it reads back as another map")
	}
}

func TestCheckWarns(t *testing.T) {
	_, problems := shardmap.Check([]byte(edit(`owners: {s0: ["0-511"], s1: ["512-1023"]}`, `owners: {s0: ["0-1023"]}`)))
	if len(problems) != 1 || !problems[0].Warning || !strings.Contains(problems[0].String(), "shard s1 owns no slots of shop") {
		t.Errorf("problems %v", problems)
	}
	m, problems := shardmap.Check([]byte(shopMap))
	if m == nil || len(problems) != 0 {
		t.Errorf("problems %v", problems)
	}
}

// randomMap writes a map with one to five shards and random owners.
func randomMap(rnd *rand.Rand) string {
	shards, slots := 1+rnd.IntN(5), 1+rnd.IntN(60)
	var b strings.Builder
	fmt.Fprintf(&b, "version: %d\nshards:\n", 1+rnd.IntN(9))
	for i := range shards {
		fmt.Fprintf(&b, "  s%d: {primary: {addr: \"h:%d\", zone: \"no\", weight: %d}}\n", i, 1000+i, rnd.IntN(3))
	}
	owned := make([][]string, shards)
	for s := range slots {
		o := rnd.IntN(shards)
		owned[o] = append(owned[o], fmt.Sprint(s))
	}
	fmt.Fprintf(&b, "databases:\n  \"my db\":\n    slots: %d\n    owners:\n", slots)
	for i, list := range owned {
		fmt.Fprintf(&b, "      s%d: [%s]\n", i, strings.Join(list, ", "))
	}
	b.WriteString("    tables: {t: {key: id, placement: mod}, \"ta:ble\": {key: null_, placement: crc32, fold: rtrim, key_type: varchar(9)}, \"null\": {reference: true}}\n")
	return b.String()
}

func TestOwnersCoverAndExpandMovesNothing(t *testing.T) {
	rnd := rand.New(rand.NewPCG(5, 6))
	for range 300 {
		m := mustParse(t, randomMap(rnd))
		d := m.Databases()[0]
		count := 0
		for _, s := range m.Shards() {
			count += len(d.Owned(s.ID))
		}
		if count != d.Slots {
			t.Fatalf("%d slots are owned of %d", count, d.Slots)
		}
		factor := 2 + rnd.IntN(6)
		e, err := m.Expand(factor)
		if err != nil {
			t.Fatal(err)
		}
		if e.Version() != m.Version()+1 {
			t.Fatalf("version %d after %d", e.Version(), m.Version())
		}
		if h := shardmap.Hazards(m, e); len(h) > 0 {
			t.Fatalf("expand is called unsafe: %v", h)
		}
		text, err := e.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		back := mustParse(t, string(text))
		if !back.Equal(e) {
			t.Fatalf("reads back as another map:\n%s", text)
		}
		if back.Equal(m) {
			t.Fatal("the expanded map equals the old one")
		}
		before, after := m.Table("my db", "t"), back.Table("my db", "t")
		for range 200 {
			v := shardmap.Value{Kind: shardmap.Int, I: int64(rnd.Uint64())}
			if a, b := before.Locate(v, shardmap.Compare), after.Locate(v, shardmap.Compare); a.Shard.ID != b.Shard.ID || b.Slot%d.Slots != a.Slot {
				t.Fatalf("key %d moves from slot %d of %s to slot %d of %s", v.I, a.Slot, a.Shard.ID, b.Slot, b.Shard.ID)
			}
			s := shardmap.Value{Kind: shardmap.String, S: fmt.Appendf(nil, "%x", v.I)}
			a, b := m.Table("my db", "ta:ble").Locate(s, shardmap.Compare), back.Table("my db", "ta:ble").Locate(s, shardmap.Compare)
			if a.Shard.ID != b.Shard.ID {
				t.Fatalf("key %s moves from %s to %s", s.S, a.Shard.ID, b.Shard.ID)
			}
		}
	}
}

func TestExpandErrors(t *testing.T) {
	m := mustParse(t, shopMap)
	for _, factor := range []int{-1, 0, 1, 1025, 1 << 40} {
		if _, err := m.Expand(factor); err == nil {
			t.Errorf("Expand(%d) gives no error", factor)
		}
	}
	if _, err := mustParse(t, "version: 1\nshards: {s0: {primary: \"a:1\"}}\n").Expand(2); err == nil {
		t.Error("a map without slots was expanded")
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(shopMap))
	f.Add([]byte("version: 1\nshards: {s0: {primary: \"unix:/x\"}}\ndatabases: {d: {slots: 4, owners: {s0: [\"0-3\"]}, tables: {t: {key: a, placement: crc32, fold: ascii_ci, key_type: char(9)}}}}"))
	f.Add([]byte("a: &a [*a]"))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := shardmap.Parse(data)
		if err != nil {
			return
		}
		text, err := m.WithVersion(7).Marshal()
		if err != nil {
			t.Fatal(err)
		}
		back, err := shardmap.Parse(text)
		if err != nil {
			t.Fatalf("does not read back: %v\n%s", err, text)
		}
		if back.Version() != 7 || !back.Equal(m) {
			t.Fatalf("reads back as another map:\n%s", text)
		}
		for _, d := range m.Databases() {
			for slot := range d.Slots {
				if d.Owner(slot) == nil {
					t.Fatalf("slot %d has no owner", slot)
				}
			}
		}
	})
}
