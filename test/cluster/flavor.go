package cluster

import (
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
)

// Flavor is a kind of server.
type Flavor string

// The kinds of servers.
const (
	MariaDB Flavor = "mariadb" // mariadbd of the machine
	MySQL   Flavor = "mysql"   // mysqld of a Debian tree beside the machine's own, see MySQLRoot
)

// Flavors are all kinds of servers.
func Flavors() []Flavor { return []Flavor{MariaDB, MySQL} }

// MySQLRoot is the directory of the Debian tree that holds mysqld and its
// libraries: SHARDWAY_MYSQL_ROOT, or the place where `make test` puts it.
func MySQLRoot() string {
	if dir := os.Getenv("SHARDWAY_MYSQL_ROOT"); dir != "" {
		return dir
	}
	return "/var/cache/shardway/mysql-sid"
}

// Missing says why servers of this kind can't run here, and what to do; it is
// empty where they can.
func (f Flavor) Missing() string {
	switch f {
	case MariaDB:
		for _, name := range []string{"mariadbd", "mariadb-install-db"} {
			if _, err := program(name); err != nil {
				return fmt.Sprintf("%s isn't installed: install mariadb-server, or run make test-tools", name)
			}
		}
	case MySQL:
		for _, path := range []string{"usr/sbin/mysqld", "lib64/ld-linux-x86-64.so.2"} {
			if _, err := os.Stat(filepath.Join(MySQLRoot(), path)); err != nil {
				return fmt.Sprintf("no MySQL in %s: run make test-tools as root, or set SHARDWAY_MYSQL_ROOT", MySQLRoot())
			}
		}
	default:
		return fmt.Sprintf("no servers are called %q: mariadb and mysql are known", string(f))
	}
	return ""
}

// program finds a program also where ordinary users' PATH doesn't look.
func program(name string) (string, error) {
	if path, err := exec.LookPath(name); err == nil {
		return path, nil
	}
	for _, dir := range []string{"/usr/sbin", "/usr/libexec", "/sbin"} {
		path := filepath.Join(dir, name)
		if st, err := os.Stat(path); err == nil && st.Mode()&0o111 != 0 {
			return path, nil
		}
	}
	return "", fmt.Errorf("%s isn't installed", name)
}

// mysqlProgram makes a command of a program in MySQL's tree. The tree's own
// loader runs it with the tree's own libraries, which needs no chroot and so
// no root.
func mysqlProgram(path string, args ...string) *exec.Cmd {
	root := MySQLRoot()
	full := filepath.Join(root, path)
	lead := []string{"--library-path", filepath.Join(root, "usr/lib/x86_64-linux-gnu"), "--argv0", full, full}
	return exec.Command(filepath.Join(root, "lib64/ld-linux-x86-64.so.2"), append(lead, args...)...)
}

// Client makes a command of the flavor's own command-line client.
func (f Flavor) Client(args ...string) *exec.Cmd {
	if f == MySQL {
		return f.Tool("mysql", args...)
	}
	return f.Tool("mariadb", args...)
}

// Tool makes a command of a program beside the flavor's own command-line client.
func (f Flavor) Tool(name string, args ...string) *exec.Cmd {
	if f == MySQL {
		return mysqlProgram("usr/bin/"+name, append([]string{"--no-defaults"}, args...)...)
	}
	return exec.Command(name, append([]string{"--no-defaults"}, args...)...)
}

// runAs are the options that let a server run as the user we are.
func runAs() []string {
	if os.Geteuid() != 0 {
		return nil
	}
	if u, err := user.Current(); err == nil {
		return []string{"--user=" + u.Username}
	}
	return []string{"--user=root"}
}

// server is the path of the flavor's server.
func (f Flavor) server() (string, error) {
	if f == MySQL {
		return filepath.Join(MySQLRoot(), "usr/sbin/mysqld"), nil
	}
	return program("mariadbd")
}

// accounts is the SQL that every server begins with.
func (f Flavor) accounts() []string {
	const rights = "SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, REFERENCES, INDEX, ALTER, SHOW DATABASES, " +
		"CREATE TEMPORARY TABLES, LOCK TABLES, EXECUTE, REPLICATION CLIENT, CREATE VIEW, SHOW VIEW, CREATE ROUTINE, " +
		"ALTER ROUTINE, EVENT, TRIGGER, PROCESS, RELOAD"
	if f == MySQL {
		return []string{
			"CREATE USER '" + User + "'@'%' IDENTIFIED WITH caching_sha2_password BY '" + Password + "';",
			"GRANT " + rights + ", XA_RECOVER_ADMIN ON *.* TO '" + User + "'@'%';",
			"CREATE USER 'repl'@'%' IDENTIFIED WITH caching_sha2_password BY 'repl';",
			"GRANT REPLICATION SLAVE ON *.* TO 'repl'@'%';",
			"CREATE USER '" + Operator + "'@'%' IDENTIFIED WITH caching_sha2_password BY '" + Password + "';",
			"GRANT PROCESS, RELOAD, REPLICATION CLIENT, SYSTEM_VARIABLES_ADMIN, REPLICATION_SLAVE_ADMIN, CONNECTION_ADMIN ON *.* TO '" + Operator + "'@'%';",
			"GRANT SELECT, INSERT, UPDATE, CREATE ON shardway.* TO '" + Operator + "'@'%';",
		}
	}
	return []string{
		"FLUSH PRIVILEGES;", // loads the tables, which the installing server runs without
		"CREATE USER '" + User + "'@'%' IDENTIFIED VIA mysql_native_password USING PASSWORD('" + Password + "');",
		"GRANT " + rights + ", SLAVE MONITOR, CREATE ROUTINE ON *.* TO '" + User + "'@'%';",
		"CREATE USER 'repl'@'%' IDENTIFIED VIA mysql_native_password USING PASSWORD('repl');",
		"GRANT REPLICATION SLAVE ON *.* TO 'repl'@'%';",
		"CREATE USER '" + Operator + "'@'%' IDENTIFIED VIA mysql_native_password USING PASSWORD('" + Password + "');",
		"GRANT PROCESS, RELOAD, SLAVE MONITOR, READ_ONLY ADMIN, REPLICATION SLAVE ADMIN, REPLICATION MASTER ADMIN, CONNECTION ADMIN ON *.* TO '" + Operator + "'@'%';",
		"GRANT SELECT, INSERT, UPDATE, CREATE ON shardway.* TO '" + Operator + "'@'%';",
	}
}

// install makes a data directory with the accounts in it.
func (f Flavor) install(dir, data string) *exec.Cmd {
	sql := filepath.Join(dir, "accounts.sql")
	if f == MySQL {
		return mysqlProgram("usr/sbin/mysqld", append([]string{
			"--no-defaults", "--initialize-insecure",
			"--basedir=" + filepath.Join(MySQLRoot(), "usr"),
			"--lc-messages-dir=" + filepath.Join(MySQLRoot(), "usr/share/mysql"),
			"--datadir=" + data, "--init-file=" + sql, "--disable-log-bin",
			"--innodb-redo-log-capacity=8M", "--innodb-buffer-pool-size=32M",
			"--log-error=" + filepath.Join(dir, "install.log"),
		}, runAs()...)...)
	}
	path, err := program("mariadb-install-db")
	if err != nil {
		path = "mariadb-install-db"
	}
	return exec.Command(path, append([]string{
		"--no-defaults", "--datadir=" + data, "--auth-root-authentication-method=normal",
		"--skip-test-db", "--skip-name-resolve", "--innodb-log-file-size=8M", "--extra-file=" + sql,
		"--tmpdir=" + dir, // a server that starts deletes the temporary tables of others in its own
	}, runAs()...)...)
}

// command runs a server.
func (f Flavor) command(s *Server) *exec.Cmd {
	args := []string{
		"--no-defaults", "--datadir=" + filepath.Join(s.Dir, "data"), "--tmpdir=" + s.Dir,
		"--socket=" + s.Socket, "--bind-address=127.0.0.1", fmt.Sprintf("--port=%d", s.Port),
		fmt.Sprintf("--server-id=%d", s.ID), "--pid-file=" + filepath.Join(s.Dir, "pid"),
		"--log-error=" + filepath.Join(s.Dir, "error.log"), "--log-output=TABLE",
		"--skip-name-resolve", "--secure-file-priv=", "--max-connections=600", "--back-log=600",
		"--innodb-buffer-pool-size=32M", "--innodb-flush-log-at-trx-commit=2", "--sync-binlog=0",
		"--innodb-doublewrite=OFF", "--innodb-use-native-aio=OFF", "--performance-schema=OFF",
		"--max-allowed-packet=64M", "--log-bin=bin", "--binlog-format=ROW",
		"--ssl-ca=" + s.tls.CA, "--ssl-cert=" + s.tls.Cert, "--ssl-key=" + s.tls.Key,
	}
	args = append(args, runAs()...)
	if f == MySQL {
		args = append(args,
			"--basedir="+filepath.Join(MySQLRoot(), "usr"),
			"--lc-messages-dir="+filepath.Join(MySQLRoot(), "usr/share/mysql"),
			"--innodb-redo-log-capacity=8M", "--mysqlx=OFF", "--gtid-mode=ON", "--enforce-gtid-consistency=ON",
			"--skip-replica-start", "--log-replica-updates=ON", "--replica-net-timeout=10",
			"--innodb-io-capacity=2000")
		return mysqlProgram("usr/sbin/mysqld", append(args, s.args...)...)
	}
	path, err := program("mariadbd")
	if err != nil {
		path = "mariadbd"
	}
	args = append(args, "--innodb-log-file-size=8M", "--gtid-strict-mode=ON", "--log-slave-updates=ON",
		"--gtid-domain-id=1", "--slave-net-timeout=10", "--skip-slave-start",
		"--character-set-server=utf8mb4", "--collation-server=utf8mb4_general_ci")
	return exec.Command(path, append(args, s.args...)...)
}

// follow is the SQL that makes a server a replica of another.
func (f Flavor) follow(primary *Server) []string {
	if f == MySQL {
		return []string{
			"STOP REPLICA",
			fmt.Sprintf("CHANGE REPLICATION SOURCE TO SOURCE_HOST='127.0.0.1', SOURCE_PORT=%d, SOURCE_USER='repl', "+
				"SOURCE_PASSWORD='repl', SOURCE_AUTO_POSITION=1, GET_SOURCE_PUBLIC_KEY=1, SOURCE_CONNECT_RETRY=1, "+
				"SOURCE_RETRY_COUNT=100000, SOURCE_HEARTBEAT_PERIOD=1", primary.Port),
			"START REPLICA",
			"SET GLOBAL read_only=ON",
		}
	}
	return []string{
		"STOP SLAVE",
		fmt.Sprintf("CHANGE MASTER TO MASTER_HOST='127.0.0.1', MASTER_PORT=%d, MASTER_USER='repl', MASTER_PASSWORD='repl', "+
			"MASTER_USE_GTID=slave_pos, MASTER_CONNECT_RETRY=1, MASTER_HEARTBEAT_PERIOD=1", primary.Port),
		"START SLAVE",
		"SET GLOBAL read_only=ON",
	}
}

// following is the query that has a row on a replica.
func (f Flavor) following() string {
	if f == MySQL {
		return "SHOW REPLICA STATUS"
	}
	return "SHOW SLAVE STATUS"
}

// refollow is the SQL that makes a restarted replica go on.
func (f Flavor) refollow() []string {
	if f == MySQL {
		return []string{"SET GLOBAL read_only=ON", "START REPLICA"}
	}
	return []string{"SET GLOBAL read_only=ON", "START SLAVE"}
}

// position is the query that tells what a primary has written, and reached the
// one that waits on a replica until it has that too; reached answers 0 when so.
func (f Flavor) position() string {
	if f == MySQL {
		return "SELECT @@GLOBAL.gtid_executed"
	}
	return "SELECT @@GLOBAL.gtid_binlog_pos"
}

func (f Flavor) reached(position string, seconds float64) string {
	if f == MySQL {
		return fmt.Sprintf("SELECT WAIT_FOR_EXECUTED_GTID_SET('%s', %g)", position, seconds)
	}
	return fmt.Sprintf("SELECT MASTER_GTID_WAIT('%s', %g)", position, seconds)
}
