package compose

import (
	"context"
	"database/sql"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
)

// The shards as docker/config/shards.yaml lists them, the primary first, and a
// user of the sample database on each.
var (
	shards = map[string][]string{"s0": {"s0a", "s0b", "s0c"}, "s1": {"s1a", "s1b", "s1c"}}
	user   = map[string]int{"s0": 7, "s1": 800}
)

// stack is the running services.
type stack struct {
	*testing.T
	ctx   context.Context
	db    *sql.DB // through Shardway
	admin string
}

// open fails the test unless the services run, and skips it where nobody
// started them for it.
func open(t *testing.T) *stack {
	t.Helper()
	if os.Getenv("COMPOSE") == "" {
		t.Skip("needs the containers of docker/compose.yaml: run make compose-test")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	t.Cleanup(cancel)
	s := &stack{T: t, ctx: ctx}
	s.admin = s.port("shardway", 4480)
	s.db = s.connect(s.port("shardway", 4406), "app", setting("APP_PASSWORD", "app"), "shop")
	s.ready()
	return s
}

func setting(name, otherwise string) string {
	if v := os.Getenv(name); v != "" {
		return v
	}
	return otherwise
}

// must fails the test at once.
func (s *stack) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

// compose runs a command of docker compose; the environment says how that is
// called and which files it reads.
func (s *stack) compose(args ...string) string {
	s.Helper()
	out, err := s.run(append(strings.Fields(os.Getenv("COMPOSE")), args...))
	s.must(err)
	return out
}

// docker runs a command of docker's own.
func (s *stack) docker(args ...string) string {
	s.Helper()
	out, err := s.run(append([]string{"docker"}, args...))
	s.must(err)
	return out
}

func (s *stack) run(words []string) (string, error) {
	cmd := exec.CommandContext(s.ctx, words[0], words[1:]...)
	cmd.Dir = "../.."
	var errs strings.Builder
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w\n%s%s", strings.Join(words, " "), err, out, &errs)
	}
	return strings.TrimSpace(string(out)), nil
}

// shardOf is the shard of a user.
func shardOf(id int) string {
	if id%1024 <= 511 {
		return "s0"
	}
	return "s1"
}

// deleteUsers takes back what a test inserted.
func (s *stack) deleteUsers(first, last int) {
	s.Helper()
	for id := first; id <= last; id++ {
		_, err := s.db.ExecContext(context.WithoutCancel(s.ctx), "DELETE FROM users WHERE id = ?", id)
		s.must(err)
	}
}

// port is where a service's port can be reached from here.
func (s *stack) port(service string, port int) string {
	s.Helper()
	addr := s.compose("port", service, fmt.Sprint(port))
	if !strings.HasPrefix(addr, "127.0.0.1:") {
		s.Fatalf("port %d of %s is at %q, not on loopback alone", port, service, addr)
	}
	return addr
}

// connect is a pool of connections, closed with the test.
func (s *stack) connect(addr, user, password, database string) *sql.DB {
	s.Helper()
	c := mysql.NewConfig()
	c.User, c.Passwd, c.Net, c.Addr, c.DBName = user, password, "tcp", addr, database
	c.Timeout, c.ReadTimeout = 5*time.Second, 30*time.Second
	c.Logger = &mysql.NopLogger{}
	connector, err := mysql.NewConnector(c)
	s.must(err)
	db := sql.OpenDB(connector)
	s.Cleanup(func() { db.Close() })
	return db
}

// server is a pool of connections to one MySQL server, as root.
func (s *stack) server(name string) *sql.DB {
	s.Helper()
	return s.connect(s.port(name, 3306), "root", setting("MYSQL_ROOT_PASSWORD", "root"), "")
}

// servers are those of all shards.
func servers() []string {
	return slices.Sorted(func(yield func(string) bool) {
		for _, names := range shards {
			for _, name := range names {
				if !yield(name) {
					return
				}
			}
		}
	})
}

// one is the only value of a query.
func one(ctx context.Context, q interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}, query string, args ...any,
) (string, error) {
	var v string
	err := q.QueryRowContext(ctx, query, args...).Scan(&v)
	return v, err
}

// logging turns the general log of all servers on until the test ends, and
// returns a function that counts the queries with a text, by server.
func (s *stack) logging() func(text string) map[string]int {
	s.Helper()
	all := map[string]*sql.DB{}
	for _, name := range servers() {
		db := s.server(name)
		all[name] = db
		for _, q := range []string{"SET GLOBAL log_output = 'TABLE'", "SET GLOBAL general_log = ON"} {
			_, err := db.ExecContext(s.ctx, q)
			s.must(err)
		}
	}
	s.Cleanup(func() {
		for _, db := range all {
			_, _ = db.ExecContext(context.WithoutCancel(s.ctx), "SET GLOBAL general_log = OFF") // the server may be gone
		}
	})
	return func(text string) map[string]int {
		s.Helper()
		counts := map[string]int{}
		for name, db := range all {
			var n int
			s.must(db.QueryRowContext(s.ctx, "SELECT COUNT(*) FROM mysql.general_log WHERE command_type IN ('Query', 'Execute') "+
				"AND user_host NOT LIKE 'root%' AND LOCATE(?, CONVERT(argument USING utf8mb4)) > 0", text).Scan(&n))
			if n > 0 {
				counts[name] = n
			}
		}
		return counts
	}
}

// get asks the admin address.
func (s *stack) get(path, token string) (int, string) {
	req, err := http.NewRequestWithContext(s.ctx, http.MethodGet, "http://"+s.admin+path, http.NoBody)
	if err != nil {
		return 0, err.Error()
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err.Error()
	}
	return resp.StatusCode, string(body)
}

// eventually waits until what returns "", and fails with what it says else.
func (s *stack) eventually(what func() string) {
	s.Helper()
	deadline := time.Now().Add(time.Minute)
	for {
		why := what()
		if why == "" {
			return
		}
		if time.Now().After(deadline) {
			s.Fatal(why)
		}
		select {
		case <-s.ctx.Done():
			s.Fatal(why)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// ready waits until Shardway uses every server.
func (s *stack) ready() {
	s.Helper()
	s.eventually(func() string {
		if code, body := s.get("/readyz", ""); code != http.StatusOK {
			return body
		}
		rows, err := s.db.QueryContext(s.ctx, "SHOW SHARDWAY SERVERS")
		if err != nil {
			return err.Error()
		}
		defer rows.Close()
		states, err := columns(rows, "server", "state")
		if err != nil {
			return err.Error()
		}
		for _, st := range states {
			if st[1] != "up" {
				return fmt.Sprintf("%s is %s", st[0], st[1])
			}
		}
		if len(states) != len(servers()) {
			return fmt.Sprintf("Shardway knows %d servers, not %d", len(states), len(servers()))
		}
		return ""
	})
}

// columns reads the named columns of all rows.
func columns(rows *sql.Rows, names ...string) ([][]string, error) {
	have, err := rows.Columns()
	if err != nil {
		return nil, err
	}
	var all [][]string
	for rows.Next() {
		cells, into := make([]sql.NullString, len(have)), make([]any, len(have))
		for i := range cells {
			into[i] = &cells[i]
		}
		if err := rows.Scan(into...); err != nil {
			return nil, err
		}
		row := make([]string, len(names))
		for i, name := range names {
			at := slices.Index(have, name)
			if at < 0 {
				return nil, fmt.Errorf("there is no column %s among %v", name, have)
			}
			row[i] = cells[at].String
		}
		all = append(all, row)
	}
	return all, rows.Err()
}

// kill ends services as kill -9 does; the test leaves them running again.
func (s *stack) kill(services ...string) {
	s.Helper()
	s.compose(append([]string{"kill"}, services...)...)
	s.Cleanup(func() {
		again := *s
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
		defer cancel()
		again.ctx = ctx
		again.start(services...)
	})
}

// start starts services that were killed and waits until Shardway uses them.
func (s *stack) start(services ...string) {
	s.Helper()
	s.compose(append([]string{"start"}, services...)...)
	s.ready()
}

// clients runs f on several clients at a time, each with its number.
func clients(n int, f func(client int)) {
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { f(i) })
	}
	wg.Wait()
}
