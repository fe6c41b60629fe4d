//go:build gms_pure_go

package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
)

func testEngines(t *testing.T) *engines {
	t.Helper()
	all, err := startEngines(shardCount, replicas, fill)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(all.close)
	return all
}

func open(t *testing.T, n node, params string) *sql.DB {
	t.Helper()
	db, err := sql.Open("mysql", fmt.Sprintf("%s:%s@tcp(%s)/%s?%s", serverUser, serverPassword, n.Addr, database, params))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func TestEnginesHaveTheirOwnIdentityAndShareAShardsRows(t *testing.T) {
	began := time.Now()
	all := testEngines(t)
	t.Logf("started in %v", time.Since(began))
	for i, n := range all.nodes {
		db := open(t, n, "")
		var host string
		var readOnly bool
		var id, users, orders int
		err := db.QueryRow("SELECT @@hostname, @@read_only, @@server_id, (SELECT COUNT(*) FROM users), (SELECT COUNT(*) FROM orders)").
			Scan(&host, &readOnly, &id, &users, &orders)
		if err != nil {
			t.Fatal(err)
		}
		if host != n.Name || readOnly == n.Primary || id != i+1 || users != userCount/2 || orders != orderCount/2 {
			t.Errorf("%s: hostname %q, read_only %v, server_id %d, %d users, %d orders", n.Name, host, readOnly, id, users, orders)
		}
		_, err = db.Exec("UPDATE users SET name = ? WHERE id = ?", n.Name, 2+i/3)
		if n.Primary != (err == nil) {
			t.Errorf("%s: update: %v", n.Name, err)
		}
	}
	var name string
	if err := open(t, all.nodes[5], "").QueryRow("SELECT name FROM users WHERE id = 3").Scan(&name); err != nil || name != "s1-primary" {
		t.Errorf("a replica reads %q, %v after its primary's update", name, err)
	}
}

func TestEngineTransactions(t *testing.T) {
	all := testEngines(t)
	ctx := context.Background()
	a, b, replica := open(t, all.nodes[0], ""), open(t, all.nodes[0], ""), open(t, all.nodes[1], "")
	for _, commit := range []bool{false, true} {
		tx, err := a.BeginTx(ctx, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tx.Exec("UPDATE users SET name = 'changed' WHERE id = 2"); err != nil {
			t.Fatal(err)
		}
		written := make(chan error, 1)
		go func() {
			_, err := b.Exec("UPDATE users SET name = 'other' WHERE id = 4")
			written <- err
		}()
		var name string
		if err := replica.QueryRow("SELECT name FROM users WHERE id = 2").Scan(&name); err != nil || name == "changed" {
			t.Errorf("an uncommitted row is seen: %q, %v", name, err)
		}
		want := name
		if commit {
			want = "changed"
			err = tx.Commit()
		} else {
			err = tx.Rollback()
		}
		if err := errors.Join(err, <-written); err != nil {
			t.Fatal(err)
		}
		var other string
		err = replica.QueryRow("SELECT u.name, v.name FROM users u, users v WHERE u.id = 2 AND v.id = 4").Scan(&name, &other)
		if err != nil || name != want || other != "other" {
			t.Errorf("commit %v: the row is %q, want %q; the other writer's is %q; %v", commit, name, want, other, err)
		}
	}
	ro, err := replica.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		t.Fatalf("a read-only transaction on a replica: %v", err)
	}
	var n int
	if err := errors.Join(ro.QueryRow("SELECT COUNT(*) FROM users").Scan(&n), ro.Commit()); err != nil {
		t.Errorf("a read-only transaction on a replica: %v", err)
	}
}

func TestEngineStatementsSideBySide(t *testing.T) {
	all := testEngines(t)
	const writers, updates = 4, 25
	var work sync.WaitGroup
	for i, n := range all.nodes[:3] {
		db := open(t, n, "interpolateParams="+map[bool]string{true: "true", false: "false"}[i == 0])
		for range writers {
			work.Go(func() {
				for j := range updates {
					var err error
					if n.Primary {
						_, err = db.Exec("UPDATE countries SET name = CONCAT(name, ?) WHERE code = 'ke'", "x")
					} else {
						var country string
						err = db.QueryRow("SELECT c.name FROM users u JOIN countries c ON c.code = u.country WHERE u.id = ?", 2*j+2).Scan(&country)
					}
					if err != nil {
						t.Error(err)
					}
				}
			})
		}
	}
	work.Wait()
	var name string
	want := "Kenya" + strings.Repeat("x", writers*updates)
	if err := open(t, all.nodes[1], "").QueryRow("SELECT name FROM countries WHERE code = 'ke'").Scan(&name); err != nil || name != want {
		t.Errorf("after %d updates the name is %q, %v", writers*updates, name, err)
	}
}

// A connection's temporary table hides the shard's own of the same name from this connection alone, also on a replica,
// which lets nothing else be changed.
func TestEngineTemporaryTables(t *testing.T) {
	all := testEngines(t)
	for _, n := range all.nodes[:2] {
		db, other := open(t, n, ""), open(t, n, "")
		db.SetMaxOpenConns(1)
		count := func(db *sql.DB, want int) {
			t.Helper()
			var n int
			if err := db.QueryRow("SELECT COUNT(*) FROM users").Scan(&n); err != nil || n != want {
				t.Errorf("%d rows, %v, want %d", n, err, want)
			}
		}
		if _, err := db.Exec("DROP TEMPORARY TABLE users"); err == nil {
			t.Error("DROP TEMPORARY TABLE dropped the shard's own")
		}
		for _, statement := range []string{"CREATE TEMPORARY TABLE users (id INT PRIMARY KEY, name VARCHAR(9), KEY (name))", "INSERT INTO users VALUES (1, 'a')"} {
			if _, err := db.Exec(statement); err != nil {
				t.Fatalf("%s: %s: %v", n.Name, statement, err)
			}
		}
		count(db, 1)
		count(other, userCount/2)
		if _, err := db.Exec("INSERT INTO countries VALUES ('xx', 'none')"); (err == nil) != n.Primary {
			t.Errorf("%s: a write besides the temporary table: %v", n.Name, err)
		}
		if _, err := db.Exec("DROP TEMPORARY TABLE IF EXISTS users"); err != nil {
			t.Error(err)
		}
		count(db, userCount/2)
	}
}

func TestEngineRefusesAWrongPassword(t *testing.T) {
	all := testEngines(t)
	db, err := sql.Open("mysql", fmt.Sprintf("%s:wrong@tcp(%s)/", serverUser, all.nodes[0].Addr))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	var refused *mysql.MySQLError
	if err := db.Ping(); !errors.As(err, &refused) || refused.Number != 1045 {
		t.Errorf("login with a wrong password: %v", err)
	}
}

func TestPlainXA(t *testing.T) {
	for query, want := range map[string]string{
		"XA START 'a','b',1":            "START TRANSACTION",
		"XA END 'a','b',1":              "SET @xa = NULL",
		"XA PREPARE 'a','b',1":          "SET @xa = NULL",
		"XA COMMIT 'a','b',1 ONE PHASE": "COMMIT",
		"XA ROLLBACK 'a'":               "ROLLBACK",
		"SELECT 'XA COMMIT'":            "SELECT 'XA COMMIT'",
		"XA nonsense":                   "XA nonsense",
	} {
		if got := plainXA(query); got != want {
			t.Errorf("plainXA(%q) = %q, want %q", query, got, want)
		}
	}
}
