package cluster

import (
	"context"
	"fmt"
	"strings"
)

// Data is a database that is laid out over the shards of a cluster.
type Data struct {
	Name   string
	Slots  int
	Script []string // makes the tables with all their rows; no statement names the database
	Tables []Placed // those that the map lists; all others live on the first shard
	Shards int      // how many of the cluster's shards own slots; 0: all
	Also   [][]int  // by shard, the slots of which it has rows besides its own; it may be shorter than the shards are many
}

// Placed is a table that the map lists.
type Placed struct {
	Name      string
	Key       string // the column that places a row; empty for a reference table
	Placement string // mod or crc32
	Options   string // more keys of the map's table, as `sequence: id`
}

// Slot is SQL that computes the slot of a row.
func (p Placed) Slot(slots int) string {
	if p.Placement == "crc32" && strings.Contains(p.Options, "fold: rtrim") {
		return fmt.Sprintf("MOD(CRC32(RTRIM(`%s`)), %d)", p.Key, slots)
	}
	if p.Placement == "crc32" {
		return fmt.Sprintf("MOD(CRC32(`%s`), %d)", p.Key, slots)
	}
	return fmt.Sprintf("MOD(MOD(`%s`, %d) + %d, %d)", p.Key, slots, slots, slots)
}

// owned returns the first slot and the last that a shard owns: equal ranges. A shard that owns none has a first one
// behind the last.
func (d Data) owned(shard, shards int) (first, last int) {
	if shard >= shards {
		return d.Slots, d.Slots - 1
	}
	return shard * d.Slots / shards, (shard+1)*d.Slots/shards - 1
}

// on are the shards that own slots.
func (d Data) on(shards []*Shard) []*Shard {
	if d.Shards > 0 && d.Shards < len(shards) {
		return shards[:d.Shards]
	}
	return shards
}

// Map is the database's entry in the map, for [Cluster.Map].
func (d Data) Map(shards []*Shard) string {
	shards = d.on(shards)
	var b strings.Builder
	fmt.Fprintf(&b, "  %s:\n    slots: %d\n    owners: {", d.Name, d.Slots)
	for i, sh := range shards {
		if i > 0 {
			b.WriteString(", ")
		}
		first, last := d.owned(i, len(shards))
		fmt.Fprintf(&b, "%s: [\"%d-%d\"]", sh.ID, first, last)
	}
	fmt.Fprintf(&b, "}\n    default_shard: %s\n    tables:\n", shards[0].ID)
	for _, t := range d.Tables {
		words := []string{"reference: true"}
		if t.Key != "" {
			words = []string{"key: " + t.Key, "placement: " + t.Placement}
		}
		if t.Options != "" {
			words = append(words, t.Options)
		}
		fmt.Fprintf(&b, "      %s: {%s}\n", t.Name, strings.Join(words, ", "))
	}
	return b.String()
}

// Load makes the database anew: all of it on the plain server, and on each
// shard the rows that belong there. It returns when the replicas have it too.
func (c *Cluster) Load(ctx context.Context, d Data) error {
	base := append([]string{"DROP DATABASE IF EXISTS " + d.Name, "CREATE DATABASE " + d.Name, "USE " + d.Name}, d.Script...)
	listed := map[string]bool{}
	for _, t := range d.Tables {
		listed[t.Name] = true
	}
	home := map[*Server]int{}
	var all []*Server
	for i, sh := range c.Shards {
		home[sh.Primary] = i
		all = append(all, sh.Primary)
	}
	if c.Plain != nil {
		home[c.Plain] = -1
		all = append(all, c.Plain)
	}
	if err := each(all, func(s *Server) error {
		if err := s.Exec(ctx, base...); err != nil || home[s] < 0 {
			return err
		}
		first, last := d.owned(home[s], len(d.on(c.Shards)))
		var keep []string
		for _, t := range d.Tables {
			if t.Key != "" {
				keep = append(keep, fmt.Sprintf("DELETE FROM %s.%s WHERE %s NOT BETWEEN %d AND %d", d.Name, t.Name, t.Slot(d.Slots), first, last)+d.spared(t, home[s]))
			}
		}
		if home[s] > 0 {
			names, err := s.Text(ctx, "SELECT GROUP_CONCAT(table_name) FROM information_schema.tables WHERE table_type='BASE TABLE' AND table_schema='"+d.Name+"'")
			if err != nil {
				return err
			}
			for name := range strings.SplitSeq(names, ",") {
				if name != "" && !listed[name] {
					keep = append(keep, fmt.Sprintf("DROP TABLE %s.%s", d.Name, name))
				}
			}
		}
		return s.Exec(ctx, keep...)
	}); err != nil {
		return err
	}
	return c.Sync(ctx)
}

// spared is SQL that goes on with a condition for the rows that a shard doesn't keep.
func (d Data) spared(t Placed, shard int) string {
	if shard >= len(d.Also) || len(d.Also[shard]) == 0 {
		return ""
	}
	return " AND " + t.Slot(d.Slots) + " NOT IN (" + strings.Trim(strings.ReplaceAll(fmt.Sprint(d.Also[shard]), " ", ","), "[]") + ")"
}

// Shop is the sample database of the documentation: users and their orders,
// sessions and countries.
func Shop() Data {
	const digits = "(SELECT 0 d UNION ALL SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3 UNION ALL SELECT 4 " +
		"UNION ALL SELECT 5 UNION ALL SELECT 6 UNION ALL SELECT 7 UNION ALL SELECT 8 UNION ALL SELECT 9)"
	return Data{
		Name: "shop", Slots: 1024,
		Script: []string{
			"CREATE TABLE countries (code CHAR(2) PRIMARY KEY, name VARCHAR(60) NOT NULL)",
			"CREATE TABLE users (id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY, name VARCHAR(80) NOT NULL, " +
				"country CHAR(2) NOT NULL, created DATETIME NOT NULL DEFAULT CURRENT_TIMESTAMP)",
			"CREATE TABLE orders (id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY, user_id BIGINT NOT NULL, " +
				"total DECIMAL(10,2) NOT NULL, placed DATE NOT NULL, KEY (user_id))",
			"CREATE TABLE sessions (token VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin PRIMARY KEY, user_id BIGINT NOT NULL, seen DATETIME NOT NULL)",
			"CREATE TABLE settings (name VARCHAR(40) PRIMARY KEY, value VARCHAR(200) NOT NULL)",
			"CREATE TABLE digits (d INT PRIMARY KEY)",
			"INSERT INTO digits SELECT d FROM " + digits + " x",
			"INSERT INTO countries VALUES ('de','Germany'), ('fr','France'), ('jp','Japan'), ('pl','Poland'), ('us','United States')",
			"INSERT INTO users (id, name, country, created) SELECT 1+a.d+10*b.d+100*c.d, CONCAT('user ', 1+a.d+10*b.d+100*c.d), " +
				"ELT(1+MOD(a.d,5),'de','fr','jp','pl','us'), '2026-01-01 12:00:00' FROM digits a, digits b, digits c",
			"INSERT INTO orders (id, user_id, total, placed) SELECT 3*id+k.d, id, 5+MOD(id*7+k.d, 90), '2026-02-01' FROM users, digits k WHERE k.d < 3",
			"INSERT INTO sessions SELECT SHA2(id, 256), id, '2026-02-02 08:00:00' FROM users",
			"INSERT INTO settings VALUES ('currency','EUR'), ('tax','19')",
			"DROP TABLE digits",
		},
		Tables: []Placed{
			{Name: "users", Key: "id", Placement: "mod", Options: "sequence: id"},
			{Name: "orders", Key: "user_id", Placement: "mod", Options: "sequence: id"},
			{Name: "sessions", Key: "token", Placement: "crc32", Options: "fold: rtrim, key_type: varchar(64)"},
			{Name: "countries"},
		},
	}
}
