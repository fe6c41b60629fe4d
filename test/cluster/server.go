package cluster

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/go-sql-driver/mysql"
)

// Server is one server process. Its exported fields don't change.
type Server struct {
	Name   string // s0p, s0r1, plain
	ID     int    // @@server_id
	Port   int
	Addr   string // 127.0.0.1:Port
	Socket string // path of its unix socket
	Dir    string // its data, log and socket
	Flavor Flavor

	tls       Files
	args      []string
	namespace string
	detached  bool
	primary   *Server // the one it follows, nil for a primary

	mu     sync.Mutex
	cmd    *exec.Cmd     // the process, nil when not running
	exited chan struct{} // closed when the process has been waited for
	db     *sql.DB
}

// Start starts the server, again if it was stopped, and returns when it
// answers. One that was a replica before goes on to follow its primary.
func (s *Server) Start(ctx context.Context) error {
	s.mu.Lock()
	if s.cmd != nil {
		s.mu.Unlock()
		return errors.New("is running already")
	}
	again := s.exited != nil
	cmd := s.Flavor.command(s)
	if s.namespace != "" {
		cmd = exec.Command("ip", append([]string{"netns", "exec", s.namespace}, cmd.Args...)...)
	}
	cmd.Dir = s.Dir
	// Its own process group, so that Ctrl-C in a terminal reaches only us; and
	// it dies with us, however we die.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if s.detached {
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	}
	if err := cmd.Start(); err != nil {
		s.mu.Unlock()
		return err
	}
	exited := make(chan struct{})
	s.cmd, s.exited = cmd, exited
	s.mu.Unlock()
	// Ends with the process; Kill and Stop wait for it.
	go func() {
		_ = cmd.Wait()
		s.mu.Lock()
		s.cmd = nil
		s.mu.Unlock()
		close(exited)
	}()
	if err := s.waitUp(ctx, exited); err != nil {
		return errors.Join(err, s.Kill())
	}
	if !again {
		return nil
	}
	// Roles may have changed since the cluster was started.
	rows, err := s.DB().QueryContext(ctx, s.Flavor.following())
	if err != nil {
		return err
	}
	replica := rows.Next()
	if err := errors.Join(rows.Err(), rows.Close()); err != nil || !replica {
		return err
	}
	return s.Exec(ctx, s.Flavor.refollow()...)
}

// waitUp waits until the server answers a query, and fails when it ends.
func (s *Server) waitUp(ctx context.Context, exited <-chan struct{}) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		err := s.Exec(ctx, "DO 1")
		if err == nil {
			return nil
		}
		select {
		case <-exited:
			return fmt.Errorf("ended while starting:\n%s", s.Log())
		case <-ctx.Done():
			return fmt.Errorf("didn't answer in time: %w\n%s", err, s.Log())
		case <-tick.C:
		}
	}
}

// waitReceiving waits until a replica is connected to its primary.
func (s *Server) waitReceiving(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		running, err := s.receiving(ctx)
		if err != nil || running {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("didn't follow %s in time: %w\n%s", s.primary.Name, ctx.Err(), s.Log())
		case <-tick.C:
		}
	}
}

// receiving says whether a replica's receiver is connected.
func (s *Server) receiving(ctx context.Context) (bool, error) {
	rows, err := s.DB().QueryContext(ctx, s.Flavor.following())
	if err != nil {
		return false, err
	}
	defer func() { _ = rows.Close() }()
	names, err := rows.Columns()
	if err != nil || !rows.Next() {
		return false, errors.Join(err, rows.Err())
	}
	cells, into := make([]sql.RawBytes, len(names)), make([]any, len(names))
	for i := range cells {
		into[i] = &cells[i]
	}
	if err := rows.Scan(into...); err != nil {
		return false, err
	}
	i := slices.IndexFunc(names, func(name string) bool { return name == "Replica_IO_Running" || name == "Slave_IO_Running" })
	return i >= 0 && string(cells[i]) == "Yes", nil
}

// Log returns the end of the server's error log.
func (s *Server) Log() string {
	b, err := os.ReadFile(filepath.Join(s.Dir, "error.log"))
	if err != nil {
		return err.Error()
	}
	return string(b[max(0, len(b)-4000):])
}

// signal sends a signal if the server runs and returns the channel that is
// closed when it has ended; nil if it wasn't running.
func (s *Server) signal(sig syscall.Signal) <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cmd == nil {
		return nil
	}
	_ = s.cmd.Process.Signal(sig)
	return s.exited
}

// Kill ends the server as kill -9 does and returns when it is gone.
func (s *Server) Kill() error { return s.end(syscall.SIGKILL) }

// Stop shuts the server down in order and returns when it is gone.
func (s *Server) Stop() error { return s.end(syscall.SIGTERM) }

func (s *Server) end(sig syscall.Signal) error {
	exited := s.signal(sig)
	if exited == nil {
		return nil
	}
	select {
	case <-exited:
		return nil
	case <-time.After(startTimeout):
		return fmt.Errorf("%s didn't end on %s", s.Name, sig)
	}
}

// Pause makes the server hang (SIGSTOP): connections stay, nothing answers.
func (s *Server) Pause() { s.signal(syscall.SIGSTOP) }

// Continue ends a Pause.
func (s *Server) Continue() { s.signal(syscall.SIGCONT) }

// PID is the id of the server's process, 0 when it isn't running.
func (s *Server) PID() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cmd == nil {
		return 0
	}
	return s.cmd.Process.Pid
}

// DB is a pool of connections as root over the unix socket, with several
// statements in one query allowed.
func (s *Server) DB() *sql.DB {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.db == nil {
		c := mysql.NewConfig()
		c.User, c.Net, c.Addr = "root", "unix", s.Socket
		c.MultiStatements, c.InterpolateParams = true, true
		c.Logger = &mysql.NopLogger{} // a connection that died with a killed server is no news
		connector, err := mysql.NewConnector(c)
		if err != nil {
			panic(err) // the configuration is ours and constant
		}
		s.db = sql.OpenDB(connector)
		s.db.SetMaxIdleConns(4)
	}
	return s.db
}

func (s *Server) closeDB() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.db != nil {
		_ = s.db.Close()
		s.db = nil
	}
}

// Exec runs statements as root on one connection, one after the other.
func (s *Server) Exec(ctx context.Context, statements ...string) error {
	c, err := s.DB().Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	for _, q := range statements {
		if _, err := c.ExecContext(ctx, q); err != nil {
			return fmt.Errorf("%.200s: %w", q, err)
		}
	}
	return nil
}

// Text runs a query of one row and one column as root.
func (s *Server) Text(ctx context.Context, query string) (string, error) {
	var v sql.NullString
	if err := s.DB().QueryRowContext(ctx, query).Scan(&v); err != nil {
		return "", fmt.Errorf("%.200s: %w", query, err)
	}
	return v.String, nil
}

// Sync waits until a replica has what its primary has now.
func (s *Server) Sync(ctx context.Context) error {
	if s.primary == nil {
		return nil
	}
	pos, err := s.primary.Text(ctx, s.Flavor.position())
	if err != nil || pos == "" {
		return err
	}
	got, err := s.Text(ctx, s.Flavor.reached(strings.ReplaceAll(pos, "\n", ""), 30))
	if err != nil {
		return err
	}
	if got != "0" {
		return fmt.Errorf("didn't reach %s in 30 s:\n%s", pos, s.Log())
	}
	return nil
}

// Status returns the server's global counters whose names are LIKE the
// pattern, by lower-case name.
func (s *Server) Status(ctx context.Context, like string) (map[string]int64, error) {
	rows, err := s.DB().QueryContext(ctx, "SHOW GLOBAL STATUS LIKE '"+like+"'")
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	m := map[string]int64{}
	for rows.Next() {
		var name, value string
		if err := rows.Scan(&name, &value); err != nil {
			return nil, err
		}
		if n, err := strconv.ParseInt(value, 10, 64); err == nil {
			m[strings.ToLower(name)] = n
		}
	}
	return m, rows.Err()
}

// LogQueries empties the server's general log and turns it on or off.
func (s *Server) LogQueries(ctx context.Context, on bool) error {
	state := "OFF"
	if on {
		state = "ON"
	}
	// MariaDB would write the TRUNCATE to a replica's binary log, where it
	// collides with what the primary sends.
	return s.Exec(ctx, "SET GLOBAL general_log=OFF", "SET sql_log_bin=0", "TRUNCATE mysql.general_log",
		"SET sql_log_bin=1", "SET GLOBAL general_log="+state)
}

// Logged counts the entries of the general log that are of an application's
// command (Query or Execute) and contain the text.
func (s *Server) Logged(ctx context.Context, text string) (int, error) {
	quoted := strings.NewReplacer("\\", "\\\\", "'", "''").Replace(text)
	n, err := s.Text(ctx, "SELECT COUNT(*) FROM mysql.general_log WHERE command_type IN ('Query','Execute') AND user_host NOT LIKE 'root%' "+
		"AND LOCATE('"+quoted+"', CONVERT(argument USING utf8mb4)) > 0")
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(n)
}

// Remake makes the server, killed if it runs, a replica beside from anew, from a
// copy of from's data. From, a replica, is stopped for it and started again.
func (s *Server) Remake(ctx context.Context, from *Server) error {
	if err := errors.Join(s.Kill(), from.Stop()); err != nil {
		return err
	}
	data := filepath.Join(s.Dir, "data")
	if err := os.RemoveAll(data); err != nil {
		return err
	}
	if err := s.copyData(from.Dir); err != nil {
		return err
	}
	// It makes up an id of its own when it finds none.
	if err := os.Remove(filepath.Join(data, "auto.cnf")); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return each([]*Server{from, s}, func(s *Server) error { return s.Start(ctx) })
}

// copyData copies a data directory, of the template or of another server, to the
// server's own.
func (s *Server) copyData(dir string) error {
	from := filepath.Join(dir, "data")
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		to := filepath.Join(s.Dir, "data", rel)
		switch {
		case d.IsDir():
			return os.MkdirAll(to, 0o700)
		case !d.Type().IsRegular():
			return nil
		}
		return copyFile(path, to)
	})
}

// copyFile leaves the copying to the system.
func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}
