//go:build gms_pure_go

package main

import (
	"bufio"
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// startDemo runs the demo on free ports until the test ends, and returns its addresses and what it printed.
func startDemo(t *testing.T) (listen, admin, printed string) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r, w := io.Pipe()
	ended := make(chan error, 1)
	began := time.Now()
	go func() {
		err := run(ctx, []string{"--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"}, w)
		ended <- errors.Join(err, w.Close())
	}()
	t.Cleanup(func() {
		cancel()
		go func() { _, _ = io.Copy(io.Discard, r) }()
		if err := <-ended; err != nil {
			t.Errorf("the demo ended with %v", err)
		}
		if _, err := net.DialTimeout("tcp", listen, time.Second); err == nil {
			t.Error("the proxy's port is still open")
		}
		// A goroutine that has said it is done may still be about to return.
		for deadline := time.Now().Add(10 * time.Second); ; runtime.Gosched() {
			left := serving()
			if left == "" {
				break
			}
			if time.Now().After(deadline) {
				t.Errorf("a goroutine outlives the demo:\n%s", left)
				break
			}
		}
	})
	lines := bufio.NewScanner(r)
	var text strings.Builder
	for lines.Scan() {
		fmt.Fprintln(&text, lines.Text())
		if strings.Contains(lines.Text(), "Ctrl-C ends the demo") {
			break
		}
	}
	printed = text.String()
	port := regexp.MustCompile(`mysql -h127\.0\.0\.1 -P(\d+) -uapp -papp shop`).FindStringSubmatch(printed)
	ready := regexp.MustCompile(`http://([\d.:]+)/readyz`).FindStringSubmatch(printed)
	if port == nil || ready == nil {
		t.Fatalf("the tour doesn't say how to connect:\n%s\n%v", printed, lines.Err())
	}
	// Half a second on an idle machine; the bound is for a busy one with the race detector.
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("the demo took %v to start", took)
	}
	return "127.0.0.1:" + port[1], ready[1], printed
}

// serving returns the stack of a goroutine of the proxy or of an embedded server, "" if there is none.
func serving() string {
	stacks := make([]byte, 1<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	for stack := range strings.SplitSeq(string(stacks), "\n\n") {
		if strings.Contains(stack, "shardway/router") || strings.Contains(stack, "go-mysql-server") || strings.Contains(stack, "vitess") {
			return stack
		}
	}
	return ""
}

func client(t *testing.T, addr, params string) *sql.DB {
	t.Helper()
	db, err := sql.Open("mysql", fmt.Sprintf("app:app@tcp(%s)/shop%s", addr, params))
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	t.Cleanup(func() { db.Close() })
	return db
}

// answer returns all cells of a statement's answer.
func answer(t *testing.T, db *sql.DB, statement string, args ...any) (cells [][]string) {
	t.Helper()
	rows, err := db.Query(statement, args...)
	if err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	for rows.Next() {
		row := make([]sql.NullString, len(columns))
		into := make([]any, len(columns))
		for i := range row {
			into[i] = &row[i]
		}
		if err := rows.Scan(into...); err != nil {
			t.Fatal(err)
		}
		texts := make([]string, len(columns))
		for i := range row {
			texts[i] = row[i].String
		}
		cells = append(cells, texts)
	}
	if err := rows.Err(); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
	return cells
}

func TestTour(t *testing.T) {
	listen, admin, printed := startDemo(t)
	for _, s := range tour {
		if !strings.Contains(printed, s.sql+";\n") || !strings.Contains(printed, s.say) {
			t.Errorf("the tour doesn't show %s", s.sql)
		}
	}
	db := client(t, listen, "")

	served := map[string]int{}
	for range 4 {
		row := answer(t, db, tour[0].sql)
		if len(row) != 1 || row[0][0] != "7" || row[0][1] != "Hana" {
			t.Fatalf("user 7: %v", row)
		}
		served[row[0][2]]++
	}
	if served["s1-replica-1"] != 2 || served["s1-replica-2"] != 2 {
		t.Errorf("4 reads were served by %v", served)
	}

	// What each further statement answers: the number of rows that it changes, or a pattern of its rows.
	wants := map[string]any{
		"INSERT INTO orders": int64(1),
		"SELECT u.name":      `^\[(\[Hana \w+ s1-primary s1-replica-[12]\] ?){3}\]$`,
		"EXPLAIN ROUTE":      `s0 primary .*slot 8 of 1024`,
		"SELECT country":     `^\[\[de 334\] \[in 334\] \[br 333\]\]$`,
		"SELECT COUNT":       `^\[\[7 2\]\]$`,
		"UPDATE users SET n": int64(2),
		"BEGIN":              int64(0),
		"UPDATE users SET c": int64(1),
		"COMMIT":             int64(0),
		"SELECT id, name, c": `^\[\[7 Ada jp s1-\S+\] \[8 Ada jp s0-\S+\]\]$`,
	}
	asked := map[string]bool{}
	for _, s := range tour[1:] {
		for begin, want := range wants {
			if !strings.HasPrefix(s.sql, begin) {
				continue
			}
			asked[begin] = true
			if pattern, ok := want.(string); ok {
				if rows := fmt.Sprint(answer(t, db, s.sql)); !regexp.MustCompile(pattern).MatchString(rows) {
					t.Errorf("%s: %s", s.sql, rows)
				}
				continue
			}
			done, err := db.Exec(s.sql)
			if err != nil {
				t.Fatalf("%s: %v", s.sql, err)
			}
			if n, err := done.RowsAffected(); n != want || err != nil {
				t.Errorf("%s changed %d rows, %v", s.sql, n, err)
			}
		}
	}
	if len(asked) != len(wants) {
		t.Errorf("the tour has %v", asked)
	}
	ways := map[string]string{"SELECT country": "merge", "SELECT COUNT": "temporary table", "UPDATE users SET n": "affected rows are added up"}
	for _, s := range tour {
		for begin, way := range ways {
			if strings.HasPrefix(s.sql, begin) {
				if route := fmt.Sprint(answer(t, db, "EXPLAIN ROUTE "+s.sql)); !strings.Contains(route, way) {
					t.Errorf("%s isn't done by %s: %s", s.sql, way, route)
				}
			}
		}
	}
	more := regexp.MustCompile(`More: SHOW SHARDWAY (.*);`).FindStringSubmatch(printed)
	if more == nil {
		t.Fatal("the tour doesn't say what else there is to see")
	}
	for what := range strings.SplitSeq(more[1], " | ") {
		if rows := answer(t, db, "SHOW SHARDWAY "+what); len(rows) == 0 {
			t.Errorf("SHOW SHARDWAY %s is empty", what)
		}
	}

	if servers := answer(t, db, "SHOW SHARDWAY SERVERS"); len(servers) != shardCount*(1+replicas) {
		t.Errorf("SHOW SHARDWAY SERVERS: %v", servers)
	}
	for _, path := range []string{"/livez", "/readyz", "/metrics", "/api/v1/status"} {
		resp, err := http.Get("http://" + admin + path)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		if err := errors.Join(err, resp.Body.Close()); err != nil || resp.StatusCode != http.StatusOK {
			t.Errorf("%s: %s %s %v", path, resp.Status, body, err)
		}
	}
	http.DefaultClient.CloseIdleConnections()
}

func TestApplicationsOnTheDemo(t *testing.T) {
	listen, _, _ := startDemo(t)
	db := client(t, listen, "?parseTime=true")

	for id := 1; id <= 10; id++ { // prepared: the driver binds the values
		row := answer(t, db, "SELECT name, @@hostname FROM users WHERE id = ?", id)
		if shard := fmt.Sprintf("s%d-replica", id%2); len(row) != 1 || row[0][0] != names[id%len(names)] || !strings.HasPrefix(row[0][1], shard) {
			t.Errorf("user %d: %v", id, row)
		}
	}
	if row := answer(t, db, "SELECT name FROM countries WHERE code = 'ke'"); len(row) != 1 || row[0][0] != "Kenya" {
		t.Errorf("a reference table: %v", row)
	}
	if row := answer(t, db, "SELECT value, @@hostname FROM settings WHERE name = 'theme'"); len(row) != 1 || row[0][0] != "dark" || !strings.HasPrefix(row[0][1], "s0-") {
		t.Errorf("an unlisted table: %v", row)
	}

	tx, err := db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec("UPDATE users SET name = ? WHERE id = ?", "Ulla", 9); err != nil {
		t.Fatal(err)
	}
	var name, host string
	if err := tx.QueryRow("SELECT name, @@hostname FROM users WHERE id = 9").Scan(&name, &host); err != nil || name != "Ulla" || host != "s1-primary" {
		t.Errorf("in the transaction: %q at %q, %v", name, host, err)
	}
	if _, err := tx.Exec("UPDATE users SET name = 'Ulla' WHERE id = 8"); err != nil {
		t.Fatal(err)
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	if rows := answer(t, db, "SELECT name FROM users WHERE id IN (8, 9) AND name = 'Ulla'"); len(rows) > 0 {
		t.Errorf("after the rollback on both shards: %v", rows)
	}
	if row := answer(t, db, "SELECT name FROM users WHERE id < 20 ORDER BY name, id DESC LIMIT 1"); len(row) != 1 || row[0][0] != "Ada" {
		t.Errorf("texts of both shards in order: %v", row)
	}
	if row := answer(t, db, "SELECT SUM(price), AVG(price) FROM orders"); len(row) != 1 || row[0][0] != "351540" || row[0][1] != "87.885" {
		t.Errorf("a sum and an average over both shards: %v", row)
	}
	// The temporary table is dropped, and the shard's own of the same name isn't.
	for range 2 {
		row := answer(t, db, "SELECT COUNT(*) FROM users WHERE id > (SELECT AVG(id) FROM users)")
		if len(row) != 1 || row[0][0] != "1000" {
			t.Errorf("a gathered statement: %v", row)
		}
	}

	if _, err := db.Exec("SET time_zone = '+02:00', sql_mode = 'ANSI_QUOTES'"); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if row := answer(t, db, `SELECT @@time_zone, "name" FROM users WHERE id = 2`); len(row) != 1 || row[0][0] != "+02:00" || row[0][1] == "name" {
			t.Errorf("the session's variables on a replica: %v", row)
		}
	}
}

// An interrupt ends the demo even while a transaction is open and a statement runs; startDemo checks how it ended.
func TestInterrupt(t *testing.T) {
	listen, _, _ := startDemo(t)
	db := client(t, listen, "")
	tx, err := db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec("UPDATE users SET name = 'x' WHERE id = 3"); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	cut := make(chan error, 1)
	go func() { cut <- tx.QueryRow("SELECT SLEEP(60) FROM users WHERE id = 3").Scan(new(int)) }()
	if err := syscall.Kill(syscall.Getpid(), syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if err := <-cut; err == nil || time.Since(began) > 30*time.Second {
		t.Errorf("the statement ended after %v with %v", time.Since(began), err)
	}
}

func TestSQLCommand(t *testing.T) {
	listen, _, _ := startDemo(t)
	var out bytes.Buffer
	err := run(context.Background(), []string{
		"sql", "--listen", listen, "SELECT id, name FROM users WHERE id = 7",
		"UPDATE users SET name = 'x' WHERE id = 7", "SELECT nonsense FROM users WHERE id = 7",
	}, &out)
	if err == nil || !strings.Contains(err.Error(), "1 of 3") {
		t.Errorf("three statements, one wrong: %v", err)
	}
	for _, want := range []string{"id  name", "7   Hana", "OK", "nonsense"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
}

func TestPortInUse(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for flag, args := range map[string][]string{
		"--listen": {"--listen", taken.Addr().String(), "--admin", "127.0.0.1:0"},
		"--admin":  {"--listen", "127.0.0.1:0", "--admin", taken.Addr().String()},
	} {
		err := run(context.Background(), args, io.Discard)
		if err == nil || !strings.Contains(err.Error(), taken.Addr().String()+" is in use") || !strings.Contains(err.Error(), flag+" 127.0.0.1:0") {
			t.Errorf("with %s taken: %v", flag, err)
		}
	}
}
