package e2e

import (
	"fmt"
	"maps"
	"slices"
)

// settle compares the clients' books with the rows of all shards, each of which must be on its owner's primary alone, and
// the replicas with the primaries. The caller holds quiet, or the clients have ended. owner says which shard owns a slot.
func (l *tenants) settle(owner func(slot int) string) (errs map[string]int) {
	f := l.f
	f.Helper()
	errs = map[string]int{}
	accounts, entries, tokens := map[int64][2]int64{}, map[row]bool{}, map[string]int64{}
	lost, doubled, misplaced := 0, 0, 0
	for _, sh := range f.c.Shards {
		for _, t := range f.db.Tables {
			if t.Key == "" || t.Name == historyTable {
				continue
			}
			slot := fmt.Sprintf("MOD(CRC32(`%s`), %d)", t.Key, f.db.Slots)
			if t.Placement == "mod" {
				slot = fmt.Sprintf("MOD(MOD(`%s`, %d) + %d, %d)", t.Key, f.db.Slots, f.db.Slots, f.db.Slots)
			}
			has, err := sh.Primary.Text(f.ctx, fmt.Sprintf("SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = '%s' AND table_name = '%s'", f.db.Name, t.Name))
			f.must(err)
			if has == "0" {
				continue
			}
			columns := map[string]string{"accounts": "id, 0, n, all_n, ''", "entries": "account, seq, 0, 0, ''", "tokens": "0, 0, n, 0, token"}[t.Name]
			rows, err := sh.Primary.DB().QueryContext(f.ctx, fmt.Sprintf("SELECT %s, %s FROM %s.%s", slot, columns, f.db.Name, t.Name))
			f.must(err)
			for rows.Next() {
				var slot int
				var id, seq, n, m int64
				var token string
				f.must(rows.Scan(&slot, &id, &seq, &n, &m, &token))
				if owner(slot) != sh.ID {
					misplaced++
					if misplaced < 5 {
						f.Errorf("%s: a row of %s in slot %d, which %s owns: %d %d %s", sh.ID, t.Name, slot, owner(slot), id, seq, token)
					}
					continue
				}
				switch t.Name {
				case "accounts":
					if _, twice := accounts[id]; twice {
						doubled++
					}
					accounts[id] = [2]int64{n, m}
				case "entries":
					if entries[row{id, int(seq)}] {
						doubled++
					}
					entries[row{id, int(seq)}] = true
				case "tokens":
					if _, twice := tokens[token]; twice {
						doubled++
					}
					tokens[token] = n
				}
			}
			f.must(rows.Err())
			_ = rows.Close()
		}
	}
	for _, c := range l.clients {
		for kind, n := range c.errs {
			errs[kind] += n
			if (kind != kindRetry || !l.faults.Load()) && errs[kind] == n {
				f.Logf("the first error of client %d (%s): %s", c.n, kind, c.first[kind])
			}
		}
		for id, want := range c.n0 {
			got, there := accounts[id]
			if !there || !want.has(got[0]) || !c.all.has(got[1]) {
				lost++
				f.Errorf("account %d of client %d: there %v, n = %d and all_n = %d, want %v and %v", id, c.n, there, got[0], got[1], want, c.all)
			}
			delete(accounts, id)
		}
		for at, sure := range c.rows {
			if sure && !entries[at] {
				lost++
				f.Errorf("entry %v of client %d is lost", at, c.n)
			}
			delete(entries, at)
		}
		for token, want := range c.tokens {
			if got, there := tokens[token]; !there || !want.has(got) {
				lost++
				f.Errorf("%s of client %d: there %v, n = %d, want %v", token, c.n, there, got, want)
			}
			delete(tokens, token)
		}
	}
	if n := len(accounts) + len(entries) + len(tokens); n+doubled+misplaced+lost > 0 {
		f.Errorf("lost or wrong %d, doubled %d, misplaced %d, there and not in the books %d", lost, doubled, misplaced, n)
	}
	l.copies(owner)
	f.must(f.c.Sync(f.ctx))
	return errs
}

// copies checks the reference table on each shard that owns slots.
func (l *tenants) copies(owner func(slot int) string) {
	f := l.f
	f.Helper()
	owners := map[string]bool{}
	for slot := range f.db.Slots {
		owners[owner(slot)] = true
	}
	for _, id := range slices.Sorted(maps.Keys(owners)) {
		for _, sh := range f.c.Shards {
			if sh.ID != id {
				continue
			}
			text, err := sh.Primary.Text(f.ctx, "SELECT CONCAT(COUNT(*), ' ', SUM(n)) FROM "+f.db.Name+".kinds")
			f.must(err)
			var rows, n int64
			_, err = fmt.Sscan(text, &rows, &n)
			f.must(err)
			if least := l.kinds.Load(); rows != 3 || n < least || n > least+l.unsure.Load() {
				f.Errorf("%s: the reference table has %d rows and n = %d, want 3 and %d to %d", id, rows, n, least, least+l.unsure.Load())
			}
		}
	}
}
