package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// Users 1 and 2 are on one shard, 9 and 10 on the other.
var transactionScripts = map[string]string{
	"commit": `
		BEGIN
		UPDATE users SET age = age + 1 WHERE id = 1
		UPDATE users SET age = age + 1 WHERE id = 9
		SELECT age FROM users WHERE id = 9
		b: /* shardway: primary */ SELECT age FROM users WHERE id = 9
		COMMIT
		b: /* shardway: primary */ SELECT age FROM users WHERE id = 9
		b: /* shardway: primary */ SELECT age FROM users WHERE id = 1`,
	"rollback": `
		START TRANSACTION
		UPDATE users SET age = 1 WHERE id = 1
		INSERT INTO users (id, name) VALUES (9000009, 'x')
		DELETE FROM users WHERE id = 10
		ROLLBACK
		SELECT age FROM users WHERE id = 1
		SELECT * FROM users WHERE id = 10
		SELECT * FROM users WHERE id = 9000009`,
	"savepoints": `
		BEGIN
		SAVEPOINT first
		UPDATE users SET age = 50 WHERE id = 1
		SAVEPOINT a
		UPDATE users SET age = 51 WHERE id = 9
		UPDATE users SET age = 51 WHERE id = 1
		SAVEPOINT b
		UPDATE users SET age = 52 WHERE id = 9
		ROLLBACK TO b
		SELECT age FROM users WHERE id = 9
		ROLLBACK TO SAVEPOINT a
		SELECT age FROM users WHERE id = 9
		SELECT age FROM users WHERE id = 1
		ROLLBACK TO b
		SAVEPOINT a
		UPDATE users SET age = 53 WHERE id = 10
		RELEASE SAVEPOINT a
		ROLLBACK TO a
		ROLLBACK TO first
		SELECT age FROM users WHERE id = 1
		SELECT age FROM users WHERE id = 10
		UPDATE users SET age = 54 WHERE id = 10
		COMMIT
		SELECT age FROM users WHERE id = 10
		SELECT age FROM users WHERE id = 1
		ROLLBACK TO first`,
	"chain": `
		SET TRANSACTION ISOLATION LEVEL READ COMMITTED
		BEGIN
		UPDATE users SET age = 60 WHERE id = 1
		UPDATE users SET age = 60 WHERE id = 9
		COMMIT AND CHAIN
		UPDATE users SET age = 61 WHERE id = 9
		UPDATE users SET age = 61 WHERE id = 1
		ROLLBACK AND CHAIN
		SELECT age FROM users WHERE id = 9
		b: UPDATE users SET age = 62 WHERE id = 9
		SELECT age FROM users WHERE id = 9
		COMMIT
		SET completion_type = 'CHAIN'
		BEGIN
		UPDATE users SET age = 63 WHERE id = 1
		UPDATE users SET age = 63 WHERE id = 9
		COMMIT
		UPDATE users SET age = 64 WHERE id = 1
		UPDATE users SET age = 64 WHERE id = 9
		ROLLBACK AND NO CHAIN
		SELECT age FROM users WHERE id = 9`,
	"implicit commit": `
		BEGIN
		UPDATE users SET age = 70 WHERE id = 1
		UPDATE users SET age = 70 WHERE id = 9
		BEGIN
		b: /* shardway: primary */ SELECT age FROM users WHERE id = 9
		UPDATE users SET age = 71 WHERE id = 9
		UPDATE users SET age = 71 WHERE id = 1
		CREATE TABLE made (id INT)
		b: /* shardway: primary */ SELECT age FROM users WHERE id = 9
		ROLLBACK
		SELECT age FROM users WHERE id = 1
		BEGIN
		UPDATE users SET age = 72 WHERE id = 9
		UPDATE users SET age = 72 WHERE id = 1
		DROP TABLE made
		ROLLBACK
		SELECT age FROM users WHERE id = 9
		BEGIN
		UPDATE users SET age = 73 WHERE id = 9
		DROP TABLE IF EXISTS made
		ROLLBACK
		SELECT age FROM users WHERE id = 9`,
	"autocommit": `
		SET autocommit = 0
		UPDATE users SET age = 80 WHERE id = 9
		UPDATE users SET age = 80 WHERE id = 1
		SET autocommit = 0
		b: /* shardway: primary */ SELECT age FROM users WHERE id = 9
		ROLLBACK
		SELECT age FROM users WHERE id = 9
		UPDATE users SET age = 81 WHERE id = 9
		UPDATE users SET age = 81 WHERE id = 1
		SET autocommit = 1
		b: /* shardway: primary */ SELECT age FROM users WHERE id = 9
		b: /* shardway: primary */ SELECT age FROM users WHERE id = 1
		BEGIN
		UPDATE users SET age = 82 WHERE id = 9
		UPDATE users SET age = 82 WHERE id = 1
		SET autocommit = 1
		SET autocommit = 0
		UPDATE users SET age = 83 WHERE id = 10
		ROLLBACK
		SELECT age FROM users WHERE id = 10
		SELECT age FROM users WHERE id = 1
		COMMIT
		SET autocommit = 1`,
	"read only": `
		START TRANSACTION READ ONLY
		SELECT age FROM users WHERE id = 1
		SELECT age FROM users WHERE id = 9
		UPDATE users SET age = 1 WHERE id = 9
		INSERT INTO users (id, name) VALUES (9000001, 'x')
		COMMIT
		SET TRANSACTION READ ONLY
		BEGIN
		SELECT age FROM users WHERE id = 9
		SELECT age FROM users WHERE id = 1
		DELETE FROM users WHERE id = 1
		ROLLBACK
		BEGIN
		DELETE FROM users WHERE id = 1
		ROLLBACK`,
	"isolation": `
		b: SET SESSION innodb_lock_wait_timeout = 1
		SET TRANSACTION ISOLATION LEVEL SERIALIZABLE
		BEGIN
		SELECT age FROM users WHERE id = 1
		SELECT age FROM users WHERE id = 9
		b: UPDATE users SET age = 90 WHERE id = 9
		COMMIT
		b: UPDATE users SET age = 91 WHERE id = 9
		SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED
		BEGIN
		SELECT age FROM users WHERE id = 1
		SELECT age FROM users WHERE id = 9
		b: UPDATE users SET age = 92 WHERE id = 9
		SELECT age FROM users WHERE id = 9
		COMMIT
		SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ
		BEGIN
		SELECT age FROM users WHERE id = 1
		SELECT age FROM users WHERE id = 9
		b: UPDATE users SET age = 93 WHERE id = 9
		SELECT age FROM users WHERE id = 9
		SET TRANSACTION READ ONLY
		COMMIT`,
	"snapshot": `
		START TRANSACTION WITH CONSISTENT SNAPSHOT
		b: UPDATE users SET age = 94 WHERE id = 1
		b: UPDATE users SET age = 94 WHERE id = 9
		SELECT age FROM users WHERE id = 1
		SELECT age FROM users WHERE id = 9
		UPDATE users SET score = 1 WHERE id = 2
		UPDATE users SET score = 1 WHERE id = 10
		COMMIT
		SELECT age FROM users WHERE id = 9
		SELECT score FROM users WHERE id = 10`,
	"failed statements": `
		BEGIN
		UPDATE users SET age = 96 WHERE id = 1
		INSERT INTO users (id, name) VALUES (9, 'twice')
		UPDATE users SET age = 96 WHERE id = 9
		INSERT INTO users (id, name) VALUES (1, 'twice')
		UPDATE users SET nothing = 1 WHERE id = 10
		SELEKT
		COMMIT
		SELECT age FROM users WHERE id = 1
		SELECT age FROM users WHERE id = 9`,
	"statements over shards": `
		INSERT INTO users (id, name) VALUES (9000002, 'c'), (9, 'twice')
		SELECT id FROM users WHERE id = 9000002
		BEGIN
		UPDATE users SET age = 40 WHERE id = 1
		UPDATE users SET score = score + 1 WHERE id IN (1, 2, 9, 10)
		SELECT id, score FROM users WHERE id IN (1, 2, 9, 10) ORDER BY id
		b: /* shardway: primary */ SELECT id, score FROM users WHERE id IN (1, 2, 9, 10) ORDER BY id
		INSERT INTO users (id, name) VALUES (9000002, 'c'), (9, 'twice')
		SELECT id FROM users WHERE id = 9000002
		SELECT SUM(score), MAX(age) FROM users WHERE id IN (1, 2, 9, 10)
		SELECT u.id, (SELECT COUNT(*) FROM users v WHERE v.score > u.score) n FROM users u WHERE u.id IN (1, 9) ORDER BY u.id
		SAVEPOINT a
		DELETE FROM users WHERE id IN (1, 9)
		SELECT COUNT(*) FROM users WHERE id IN (1, 2, 9, 10)
		ROLLBACK TO a
		SELECT COUNT(*) FROM users WHERE id IN (1, 2, 9, 10)
		COMMIT
		b: /* shardway: primary */ SELECT id, score FROM users WHERE id IN (1, 2, 9, 10) ORDER BY id
		SET autocommit = 0
		UPDATE users SET score = 0 WHERE id IN (1, 9)
		SELECT id, score FROM users WHERE id IN (1, 9) ORDER BY id
		b: /* shardway: primary */ SELECT id, score FROM users WHERE id IN (1, 9) ORDER BY id
		ROLLBACK
		SELECT id, score FROM users WHERE id IN (1, 9) ORDER BY id
		COMMIT
		SET autocommit = 1`,
	"rows brought together in a branch": `
		BEGIN
		UPDATE users SET score = 500 WHERE id = 9
		UPDATE users SET score = 400 WHERE id = 1
		SELECT u.id, (SELECT COUNT(*) FROM users v WHERE v.score > u.score) n FROM users u WHERE u.id IN (1, 9) ORDER BY u.id
		SELECT u.id, c.name FROM users u JOIN countries c ON c.code = u.country WHERE u.id IN (1, 9) ORDER BY u.id
		SELECT a.id, b.id FROM users a JOIN users b ON a.id = b.id - 8 WHERE a.id IN (1, 2) ORDER BY 1
		UPDATE users SET score = 501 WHERE id = 9
		COMMIT
		SELECT id, score FROM users WHERE id IN (1, 9) ORDER BY id`,
	"warnings and ids": `
		BEGIN
		UPDATE users SET age = 97 WHERE id = 1
		SELECT CAST('7x' AS SIGNED) FROM users WHERE id = 9
		SHOW WARNINGS
		SET @n = 5
		UPDATE users SET age = @n WHERE id = 9
		SELECT @n
		UPDATE users SET age = 98 WHERE id = 10
		SELECT ROW_COUNT()
		COMMIT
		SELECT ROW_COUNT()
		SHOW WARNINGS
		SELECT age FROM users WHERE id = 9`,
}

// A transaction over several shards looks to its client as one on one server does.
func TestTransactions(t *testing.T) {
	onBoth(t, "spread", app, func(e *env) {
		d := e.serve(nil)
		for name, script := range transactionScripts {
			e.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
				e := &env{T: t, ctx: e.ctx, c: e.c, db: e.db}
				e.must(e.c.Sync(e.ctx)) // what the other scripts have written is on the replicas
				sharded := map[string]*wire{"a": e.dial(d, nil), "b": e.dial(d, nil)}
				plain := map[string]*wire{"a": e.plain(nil), "b": e.plain(nil)}
				for line := range strings.Lines(script) {
					sql := strings.TrimSpace(line)
					if sql == "" {
						continue
					}
					who := "a"
					if rest, other := strings.CutPrefix(sql, "b: "); other {
						who, sql = "b", rest
					}
					got, err := sharded[who].query(sql)
					e.must(err)
					want, err := plain[who].query(sql)
					e.must(err)
					if g, w := transactionReply(got), transactionReply(want); g != w {
						e.Errorf("%s: %s\n got %s\nwant %s", who, sql, g, w)
					}
				}
			})
		}
		e.noBranches()
	})
}

// transactionReply is what a client learns from a reply.
func transactionReply(rs []result) string {
	var b strings.Builder
	for _, r := range rs {
		if r.Err != nil {
			fmt.Fprintf(&b, "error %d (%s)", r.Err.Code, r.Err.State)
			continue
		}
		const flags = statusInTrans | statusAutocommit | statusTransReadonly
		fmt.Fprintf(&b, "affected %d, id %d, status %x, warnings %d, rows %q; ", r.OK.Affected, r.OK.InsertID, r.OK.Status&flags, r.OK.Warnings, r.Rows)
	}
	return b.String()
}

// noBranches fails unless all branches have ended soon.
func (e *env) noBranches() {
	e.Helper()
	for _, sh := range e.c.Shards {
		e.until("no branch is in doubt on "+sh.ID, func() bool {
			rows, err := sh.Primary.DB().QueryContext(e.ctx, "XA RECOVER")
			e.must(err)
			any := rows.Next()
			e.must(rows.Close())
			return !any
		})
	}
}

// A statement over several shards that a server chooses as a deadlock's victim is run again, and its client sees no error.
func TestDeadlockIsRepeated(t *testing.T) {
	onEach(t, "txagain", app, func(e *env) {
		d := e.serve(nil)
		a, b := e.dial(d, nil), e.dial(d, nil)
		must := func(w *wire, sql string) result {
			e.Helper()
			rs, err := w.query(sql)
			if err != nil || rs[0].Err != nil {
				e.Fatalf("%s: %v %v", sql, err, rs)
			}
			return rs[0]
		}
		must(a, "BEGIN")
		for _, id := range []int{10, 24, 25, 26, 27, 28, 29, 30} { // who has changed fewer rows is the victim
			must(a, fmt.Sprintf("UPDATE users SET age = 1 WHERE id = %d", id))
		}
		done := make(chan result, 1)
		go func() {
			rs, err := b.query("UPDATE users SET age = 2 WHERE id BETWEEN 1 AND 15")
			if err != nil {
				rs = []result{{Err: &wireError{Message: err.Error()}}}
			}
			done <- rs[0]
		}()
		waits := time.NewTicker(200 * time.Millisecond) // InnoDB lists them anew no more often than each 100 ms
		defer waits.Stop()
		for {
			<-waits.C
			rows, err := e.onServer(e.c.Shards[1].Primary, "SELECT 1 FROM information_schema.INNODB_TRX WHERE trx_state = 'LOCK WAIT'")
			e.must(err)
			if len(rows) > 0 {
				break
			}
		}
		must(a, "UPDATE users SET age = 1 WHERE id = 9")
		must(a, "COMMIT")
		if got := <-done; got.Err != nil {
			e.Fatal(got.Err)
		}
		if n, err := a.one("/* shardway: primary */ SELECT COUNT(*) FROM users WHERE age = 2 AND id BETWEEN 1 AND 15"); err != nil || n == "0" {
			e.Error(n, err)
		}
		if n, err := a.one("/* shardway: primary */ SELECT COUNT(*) FROM users WHERE (age IS NULL OR age <> 2) AND id BETWEEN 1 AND 15"); err != nil || n != "0" {
			e.Error(n, err)
		}
		rows, err := a.text("SHOW SHARDWAY VARIABLES")
		e.must(err)
		if !slices.ContainsFunc(rows, func(row []string) bool { return row[0] == "status.deadlocks_repeated" && row[1] == "1" }) {
			e.Error("no deadlock was counted")
		}
		e.noBranches()
	})
}

// A deadlock over two servers, which neither can see, ends when one has waited for too long: with the error that
// deadlocks have.
func TestDeadlockOverShards(t *testing.T) {
	onEach(t, "txdead", app, func(e *env) {
		d := e.serve(nil)
		a, b := e.dial(d, nil), e.dial(d, nil)
		run := func(w *wire, statements ...string) {
			for _, sql := range statements {
				if rs, err := w.query(sql); err != nil || rs[0].Err != nil {
					e.Fatalf("%s: %v %v", sql, err, rs)
				}
			}
		}
		run(a, "SET SESSION innodb_lock_wait_timeout = 1", "BEGIN", "UPDATE users SET age = 1 WHERE id = 1", "UPDATE users SET age = 1 WHERE id = 2")
		run(b, "SET SESSION innodb_lock_wait_timeout = 20", "BEGIN", "UPDATE users SET age = 2 WHERE id = 9")
		done := make(chan error, 1)
		go func() {
			rs, err := b.query("UPDATE users SET age = 2 WHERE id = 1")
			if err == nil && rs[0].Err != nil {
				err = rs[0].Err
			}
			done <- err
		}()
		run(a, "UPDATE users SET age = 1 WHERE id = 10") // the branch is there before it waits
		began := time.Now()
		rs, err := a.query("UPDATE users SET age = 1 WHERE id = 9")
		e.must(err)
		if rs[0].Err == nil || rs[0].Err.Code != 1213 || !strings.Contains(rs[0].Err.Message, "rolled back") {
			e.Errorf("after %v: %+v", time.Since(began), rs[0])
		}
		e.must(<-done)
		run(b, "COMMIT")
		if age, err := a.one("/* shardway: primary */ SELECT age FROM users WHERE id = 1"); err != nil || age != "2" {
			e.Error(age, err)
		}
		if age, err := a.one("/* shardway: primary */ SELECT age FROM users WHERE id = 2"); err != nil || age == "1" {
			e.Error(age, err)
		}
		run(a, "SET shardway_cross_shard = 'forbid'", "BEGIN", "UPDATE users SET age = 3 WHERE id = 1")
		refused := func(sql string) {
			e.Helper()
			if rs, err := a.query(sql); err != nil || rs[0].Err == nil || rs[0].Err.Code != 1235 {
				e.Errorf("%s: %v %v", sql, rs, err)
			}
		}
		refused("UPDATE users SET age = 3 WHERE id = 9")
		refused("SELECT COUNT(*) FROM users")
		refused("SELECT * FROM users a JOIN users b ON a.id = b.age")
		run(a, "COMMIT", "SELECT COUNT(*) FROM users")
		refused("UPDATE users SET age = 3 WHERE id IN (1, 9)")
		refused("INSERT INTO users (id, name) VALUES (9000001, 'a'), (9000009, 'b')")
		if n, err := a.one("/* shardway: primary */ SELECT COUNT(*) FROM users WHERE age = 3"); err != nil || n != "1" {
			e.Error(n, err)
		}
	})
}
