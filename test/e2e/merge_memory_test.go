package e2e

import (
	"bytes"
	"context"
	"fmt"
	"testing"
	"time"

	"shardway/test/cluster"
)

// mergeMemory is what the daemon may grow by while it merges rows.
const mergeMemory = 64 << 20

// TestMergeMemory orders the rows of four shards, the first 100 of them and all: what that takes of the daemon's memory
// doesn't grow with the rows. SHARDWAY_ROWS is how many each shard has.
func TestMergeMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("-short")
	}
	if why := cluster.MariaDB.Missing(); why != "" {
		t.Skip(why)
	}
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	const shards = 4
	c, err := cluster.Start(ctx, cluster.Options{Flavor: cluster.MariaDB, Shards: shards})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	rows := fromEnv(t, "SHARDWAY_ROWS", 20_000)
	e := &env{T: t, ctx: ctx, c: c, binary: plainBinary, db: cluster.Data{
		Name: "merged", Slots: shards, Tables: []cluster.Placed{{Name: "customers", Key: "id", Placement: "mod"}},
		Script: []string{"CREATE TABLE customers (id BIGINT NOT NULL PRIMARY KEY, name VARCHAR(60) NOT NULL, total DECIMAL(10,2) NOT NULL, note VARCHAR(100) NOT NULL)"},
	}}
	e.must(c.Load(ctx, e.db))
	for i, sh := range c.Shards {
		e.must(sh.Primary.Exec(ctx, "SET sql_log_bin = 0", fmt.Sprintf("INSERT INTO merged.customers SELECT %d * seq + %d, CONCAT('customer ', MD5(seq * %d)), seq MOD 100000 / 7, REPEAT('n', seq MOD 100) "+
			"FROM seq_0_to_%d", shards, i, i+1, rows-1), "SET sql_log_bin = 1"))
	}
	d := e.serve(settings{"limits": "{gather_rows: 1}"}) // so that it is merged
	w := e.dial(d, nil)
	if got, err := w.one("SELECT COUNT(*) FROM customers"); err != nil || got != fmt.Sprint(shards*rows) {
		t.Fatal(got, err)
	}
	for _, limit := range []int{100, shards * rows} {
		before, began := d.rss(), time.Now()
		w.deadline(30 * time.Minute)
		sql := "SELECT id, name, total, note FROM customers ORDER BY name, total DESC, id"
		if limit < shards*rows {
			sql += fmt.Sprintf(" LIMIT %d", limit)
		}
		e.must(w.send(comQuery, []byte(sql)))
		most, n := before, 0
		var last []byte
		e.must(w.eachRow(func(row []byte) {
			if n++; n%1000 == 0 {
				most = max(most, d.rss())
			}
			_, row = lenenc(row[1+int(row[0]):]) // the id is short
			name := row[:32+len("customer ")]
			if bytes.Compare(last, name) > 0 {
				t.Fatalf("%q comes after %q", name, last)
			}
			last = append(last[:0], name...)
		}))
		took := time.Since(began)
		most = max(most, d.rss())
		if n != limit {
			t.Errorf("%d rows, want %d", n, limit)
		}
		if most-before > mergeMemory {
			t.Errorf("%s took %d MiB of memory", sql, (most-before)>>20)
		}
		t.Logf("note: %d rows of %d in order in %v: the daemon's memory was %d MiB before, %d MiB at most", n, shards*rows, took.Round(time.Millisecond), before>>20, most>>20)
	}
}

// eachRow reads the rows of one result set and keeps none.
func (w *wire) eachRow(row func([]byte)) error {
	p, err := w.readPacket()
	if err != nil {
		return err
	}
	if p[0] == 0xff {
		return parseError(p)
	}
	n, _ := lenenc(p)
	for range n {
		if _, err := w.readPacket(); err != nil {
			return err
		}
	}
	for {
		p, err := w.readPacket()
		switch {
		case err != nil:
			return err
		case p[0] == 0xff:
			return parseError(p)
		case p[0] == 0xfe:
			return nil
		}
		row(p)
	}
}
