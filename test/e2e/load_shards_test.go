package e2e

import (
	"fmt"
	"strings"
	"testing"
)

// load runs a LOAD DATA LOCAL with a file that is sent in packets of a size.
func (w *wire) load(q, file string, packet int) (result, error) {
	if err := w.send(comQuery, []byte(q)); err != nil {
		return result{}, err
	}
	p, err := w.readPacket()
	if err != nil || p[0] == 0xff {
		if err == nil {
			return result{Err: parseError(p)}, nil
		}
		return result{}, err
	}
	if p[0] != 0xfb {
		return result{}, fmt.Errorf("%q where a file was to be asked for", p)
	}
	for file != "" {
		n := min(packet, len(file))
		if err := w.writePacket([]byte(file[:n])); err != nil {
			return result{}, err
		}
		file = file[n:]
	}
	if err := w.writePacket(nil); err != nil {
		return result{}, err
	}
	return w.oneResult()
}

// TestJ17LoadDataLocalOverShards: the rows of a client's file go to their shards, and what comes of it is what comes of
// it on one server that holds all rows.
func TestJ17LoadDataLocalOverShards(t *testing.T) {
	onBoth(t, "loads", app, func(e *env) {
		if e.mysql() {
			e.must(e.c.Exec(e.ctx, "SET GLOBAL local_infile = ON"))
			e.Cleanup(func() { _ = e.c.Exec(e.ctx, "SET GLOBAL local_infile = OFF") })
		}
		d := e.serve(nil)
		with := func(o *wireOptions) { o.caps = capLocalFiles }
		w, plain := e.dial(d, with), e.plain(with)
		both := func(q, file string, packet int) {
			e.Helper()
			got, err1 := w.load(q, file, packet)
			want, err2 := plain.load(q, file, packet)
			if err1 != nil || err2 != nil {
				e.Fatalf("%s: %v, %v", q, err1, err2)
			}
			e.sameReplies(q, []result{got}, []result{want})
		}
		// same compares what is stored, shard by shard.
		same := func(table, key string) {
			e.Helper()
			rows := func(w *wire, hint string) (all []string) {
				got, err := w.text(hint + "SELECT * FROM " + table)
				e.must(err)
				for _, r := range got {
					all = append(all, strings.Join(r, "|"))
				}
				return all
			}
			want := map[string]bool{}
			for _, r := range rows(plain, "") {
				want[r] = true
			}
			n := 0
			for _, shard := range []string{"s0", "s1"} {
				for _, r := range rows(w, "/* shardway: primary shard="+shard+" */ ") {
					if n++; !want[r] {
						e.Errorf("%s of %s has %s, which the plain server hasn't", table, shard, r)
					}
				}
			}
			if table == "countries" {
				n /= 2 // both shards have them all
			}
			if n != len(want) {
				e.Errorf("%s: %d rows, want %d", table, n, len(want))
			}
			if key == "" {
				return
			}
			for shard, slots := range map[string]string{"s0": "< 8", "s1": ">= 8"} {
				if got, err := w.one(fmt.Sprintf("/* shardway: primary shard=%s */ SELECT COUNT(*) FROM %s WHERE NOT (MOD(MOD(%s, 16) + 16, 16) %s)", shard, table, key, slots)); got != "0" || err != nil {
					e.Errorf("%s rows of %s aren't %s's, %v", got, table, shard, err)
				}
			}
		}
		var csv, one strings.Builder
		for i := range 3000 {
			id := 1000 + i
			fmt.Fprintf(&csv, "\"%d\";\"name \"\"%d\"\", %s\n of two lines\";\\N;%d\r\n", id, i, strings.Repeat("x", i%40), i%150)
			fmt.Fprintf(&one, "%d\tname %d\tx%d@example.org\t%d\n", 16*id, id, id, i%150)
		}
		const split = "LOAD DATA LOCAL INFILE 'users.csv' INTO TABLE users CHARACTER SET utf8mb4 FIELDS TERMINATED BY ';' OPTIONALLY ENCLOSED BY '\"' LINES TERMINATED BY '\\r\\n' " +
			"IGNORE 1 LINES (id, name, email, @age) SET age = @age + 1, country = 'de'"
		const whole = "LOAD DATA LOCAL INFILE 'users.tsv' INTO TABLE users (id, name, email, age)"

		// Rows of one shard are a statement like any other.
		both(whole, one.String(), 1000)
		both(whole, one.String(), 100) // all there already
		both(strings.Replace(whole, "INTO", "REPLACE INTO", 1), one.String(), 1<<20)
		same("users", "id")
		both(whole, "", 1)
		both(whole, "7\tseven\n", 3) // is there; two fields are missing
		if got, err := w.text("SHOW WARNINGS"); err != nil || len(got) == 0 {
			e.Errorf("SHOW WARNINGS: %v, %v", got, err)
		}
		// Rows of several shards are a transaction over these.
		head := "id;name;email;age\r\n"
		refused := func(w *wire, q, file, want string) {
			e.Helper()
			r, err := w.load(q, file, 5000)
			e.must(err)
			if r.Err == nil || !strings.Contains(r.Err.Message, want) {
				e.Errorf("%s: %v, want %s", q, r.Err, want)
			}
			if got, err := w.one("SELECT 1"); got != "1" || err != nil {
				e.Fatalf("after a file that was refused: %s, %v", got, err)
			}
		}
		if _, err := w.query("SET shardway_cross_shard = 'forbid'"); err != nil {
			e.Error(err)
		}
		refused(w, split, head+csv.String(), "row 9 belongs to shard s0 and the rows before it to s1")
		same("users", "id")
		// A long file, whose last row is of another shard: nothing is stored.
		var long strings.Builder
		for i := range 90000 {
			fmt.Fprintf(&long, "%d\t%s\n", 16*(100000+i), strings.Repeat("y", 100))
		}
		refused(w, "LOAD DATA LOCAL INFILE 'long' INTO TABLE users (id, name)", long.String()+"9\tnine\n", "row 90001 belongs to shard s1")
		same("users", "id")
		if _, err := w.query("BEGIN"); err != nil {
			e.Error(err)
		}
		refused(w, "LOAD DATA LOCAL INFILE 'long' INTO TABLE users (id, name)", long.String(), "in a transaction a file of more than")
		if _, err := w.query("ROLLBACK"); err != nil {
			e.Error(err)
		}
		for _, c := range []struct{ file, want string }{
			{"x\tname\n", "row 1 has \"x\" for the key id"},
			{"16\tn\n\\N\tname\n", "row 2 has NULL"},
			{"16\tn\n\n", "row 2 has \"\""},
			{"99999999999999999999\tn\n", "row 1 has"},
		} {
			refused(w, "LOAD DATA LOCAL INFILE 'bad' INTO TABLE users (id, name)", c.file, c.want)
		}
		refused(w, "LOAD DATA LOCAL INFILE 'bad' INTO TABLE users (name, id)", "a\nb\n", "row 1 ends before its key")
		refused(w, "LOAD DATA LOCAL INFILE 'bad' INTO TABLE nothing (name, id)", "a\nb\n", "doesn't exist")
		refused(w, "LOAD DATA LOCAL INFILE 'bad' INTO TABLE countries", "xx\ty\n", "every shard's copy")
		same("users", "id")

		if _, err := w.query("SET shardway_cross_shard = 'atomic'"); err != nil {
			e.Error(err)
		}
		// A connection that the session keeps takes the rows of its shard, but the others haven't what it has.
		if _, err := w.query("CREATE TEMPORARY TABLE kept (id INT)"); err != nil {
			e.Error(err)
		}
		both(strings.Replace(whole, "INTO", "REPLACE INTO", 1), one.String(), 1<<20)
		refused(w, split, head+csv.String(), "keeps a connection for its temporary table")
		if _, err := w.query("DROP TEMPORARY TABLE kept"); err != nil {
			e.Error(err)
		}
		for _, packet := range []int{100000, 777} {
			both(split, head+csv.String(), packet)
			if got, err := w.one("SELECT ROW_COUNT()"); err != nil || got != map[int]string{100000: "3000", 777: "0"}[packet] {
				e.Errorf("ROW_COUNT() is %s, %v", got, err)
			}
		}
		same("users", "id")
		both("LOAD DATA LOCAL INFILE 'c' INTO TABLE countries FIELDS TERMINATED BY ','", "xx,Xanadu\nyy,Yonder\n", 4)
		same("countries", "")
		both("LOAD DATA LOCAL INFILE 'kinds' INTO TABLE kinds (id, i8)", "100\t1000\n116\t5\n108\t-1000\n", 4)
		if got, err := w.text("SHOW WARNINGS"); err != nil || len(got) != 2 {
			e.Errorf("SHOW WARNINGS: %v, %v", got, err)
		}
		same("kinds", "id")
		var tokens strings.Builder
		for i := range 500 {
			fmt.Fprintf(&tokens, "token-%d\t%d\tdata\\\t%d\n", i, i, i)
		}
		both("LOAD DATA LOCAL INFILE 's' INTO TABLE sessions", tokens.String(), 1000)
		same("sessions", "")
		// What a shard says against it is said, and the session goes on.
		refused(w, "LOAD DATA LOCAL INFILE 'bad' INTO TABLE users (id, nothing)", "1\t2\n9\t3\n", "Unknown column")
		refused(w, "LOAD DATA LOCAL INFILE 'bad' INTO TABLE users (id, name)", "1001\t2\n1009\t3\nz\t1\n", "row 3 has \"z\"")
		same("users", "id")
		// A client that goes away takes nothing with it.
		cut := e.dial(d, with)
		e.must(cut.send(comQuery, []byte("LOAD DATA LOCAL INFILE 'cut' INTO TABLE users (id, name)")))
		if p, err := cut.readPacket(); err != nil || p[0] != 0xfb {
			e.Fatalf("%q, %v", p, err)
		}
		e.must(cut.writePacket([]byte(long.String()[:9<<20])))
		cut.close()
		e.until("the rest of a file is gone", func() bool {
			got, err := w.one("/* shardway: primary shard=s0 */ SELECT COUNT(*) FROM users WHERE name LIKE 'yyy%'")
			return got == "0" && err == nil
		})
	})
}
