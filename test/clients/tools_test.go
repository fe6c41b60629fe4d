package clients

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"shardway/test/cluster"
)

// tools are the programs that the run builds or finds: the daemon, our own
// clients in Go and Java, and the folder with the packages of Node.
type tools struct {
	shardway string
	gosql    string
	java     string // classes
	node     string // our scripts beside node_modules
	cache    string // what test/install put aside: see there
	programs string // this folder
}

// cacheDir is where test/install keeps what no package manager of the machine
// installs.
func cacheDir() string {
	if dir := os.Getenv("SHARDWAY_CLIENTS_CACHE"); dir != "" {
		return dir
	}
	return "/var/cache/shardway/clients"
}

func newTools(t *testing.T) *tools {
	t.Helper()
	dir := t.TempDir()
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	x := &tools{
		shardway: filepath.Join(dir, "shardway"), gosql: filepath.Join(dir, "gosql"), java: filepath.Join(dir, "java"),
		node: filepath.Join(dir, "node"), cache: cacheDir(), programs: here,
	}
	builds := [][]string{{"go", "build", "-o", x.gosql, "./gosql"}}
	if path := os.Getenv("SHARDWAY_BINARY"); path != "" {
		if x.shardway, err = filepath.Abs(path); err != nil {
			t.Fatal(err)
		}
	} else {
		builds = append(builds, []string{"go", "build", "-tags", "gms_pure_go,grpcnotrace", "-o", x.shardway, "shardway/cmd/shardway"})
	}
	if _, err := exec.LookPath("javac"); err == nil {
		builds = append(builds, []string{"javac", "-d", x.java, filepath.Join(here, "java", "Matrix.java")})
	}
	errs := make([]error, len(builds))
	var wg sync.WaitGroup
	for i, args := range builds {
		wg.Go(func() {
			if out, err := exec.CommandContext(t.Context(), args[0], args[1:]...).CombinedOutput(); err != nil {
				errs[i] = fmt.Errorf("%v: %w\n%s", args, err, out)
			}
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
	// Node looks for packages beside the script, and the packages are elsewhere.
	if err := os.CopyFS(x.node, os.DirFS(filepath.Join(here, "node"))); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(x.cache, "node", "node_modules"), filepath.Join(x.node, "node_modules")); err != nil {
		t.Fatal(err)
	}
	return x
}

// client is a client program of the matrix.
type client struct {
	name string
	// missing says why it can't run here; "" where it can.
	missing func(x *tools) string
	// not says why it can't be compared on a kind of server; "" where it can.
	not func(cluster.Flavor) string
	// run is its process; tools that aren't programs of ours have walk instead.
	run func(x *tools) *exec.Cmd
	// walk does by hand what a program would do, and returns what it would print.
	walk func(b *bench, to target) (string, error)
}

// clients are all of them, in the order of the table.
func clients() []client {
	script := func(program string, args ...string) func(*tools) *exec.Cmd {
		return func(x *tools) *exec.Cmd {
			cmd := exec.Command(program, args...)
			cmd.Dir = x.programs
			return cmd
		}
	}
	node := func(file string) client {
		return client{
			missing: func(x *tools) string {
				if why := needs("node")(x); why != "" {
					return why
				}
				if _, err := os.Stat(filepath.Join(x.cache, "node", "node_modules", "mysql2")); err != nil {
					return "no packages of Node in " + x.cache + ": run make test-tools"
				}
				return ""
			},
			run: func(x *tools) *exec.Cmd {
				cmd := exec.Command("node", file)
				cmd.Dir = x.node
				return cmd
			},
		}
	}
	named := func(name string, c client) client {
		c.name = name
		return c
	}
	return []client{
		{name: "go-sql-driver/mysql", missing: needs(), run: func(x *tools) *exec.Cmd { return exec.Command(x.gosql) }},
		{name: "go-sql-driver/mysql, interpolating", missing: needs(), run: func(x *tools) *exec.Cmd { return exec.Command(x.gosql, "interpolate") }},
		named("mysql2 (Node)", node("mysql2.mjs")),
		named("TypeORM in NestJS", node("nest.mjs")),
		named("Sequelize", node("sequelize.mjs")),
		named("Knex", node("knex.mjs")),
		{name: "PyMySQL", missing: python("pymysql"), run: script("/usr/bin/python3", "python/dbapi.py", "pymysql")},
		{name: "mysqlclient", missing: python("MySQLdb"), run: script("/usr/bin/python3", "python/dbapi.py", "MySQLdb")},
		{name: "PHP PDO", missing: php, run: script("php", "php/pdo.php", "native")},
		{name: "PHP PDO, emulated prepares", missing: php, run: script("php", "php/pdo.php", "emulated")},
		{name: "PHP mysqli", missing: php, run: script("php", "-d", "mysqli.allow_local_infile=1", "php/mysqli.php")},
		{name: "Perl DBD::mysql", missing: needs("perl", "-MDBD::mysql", "-e1"), run: script("perl", "perl/dbd_mysql.pl", "emulated")},
		{name: "Perl DBD::mysql, server-side prepares", missing: needs("perl", "-MDBD::mysql", "-e1"), run: script("perl", "perl/dbd_mysql.pl", "native")},
		{name: "Ruby mysql2", missing: needs("ruby", "-rmysql2", "-e", "0"), run: script("ruby", "ruby/mysql2.rb")},
		{name: "MariaDB Connector/J", missing: java, run: func(x *tools) *exec.Cmd {
			return exec.Command("java", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xshare:auto", "-cp", x.java+":"+connectorJ, "Matrix")
		}},
		{name: "mariadb shell", missing: needs("mariadb", "--version"), walk: shell(cluster.MariaDB)},
		{name: "mysql shell", missing: mysqlTree, not: withoutNative, walk: shell(cluster.MySQL)},
		{name: "mariadb-dump --skip-add-locks, loaded by mariadb", missing: needs("mariadb-dump", "--version"), walk: dump(cluster.MariaDB)},
		{name: "mysqldump --skip-add-locks, loaded by mysql", missing: mysqlTree, not: withoutNative, walk: dump(cluster.MySQL)},
		{name: "mydumper --no-locks, loaded by myloader", missing: needs("mydumper", "--version"), walk: mydumper},
		{name: "sysbench", missing: needs("sysbench", "--version"), walk: sysbench},
		{name: "mysqltest", missing: mysqltestMissing, walk: mysqltest},
	}
}

// connectorJ is where Debian puts the driver.
const connectorJ = "/usr/share/java/mariadb-java-client.jar"

// needs wants a command to end well; no command is always there.
func needs(command ...string) func(*tools) string {
	return func(*tools) string {
		if len(command) == 0 {
			return ""
		}
		if _, err := exec.LookPath(command[0]); err != nil {
			return command[0] + " isn't installed: run make test-tools"
		}
		if len(command) > 1 {
			if out, err := exec.Command(command[0], command[1:]...).CombinedOutput(); err != nil {
				return fmt.Sprintf("%v: %v, run make test-tools: %.200s", command, err, out)
			}
		}
		return ""
	}
}

func python(module string) func(*tools) string {
	return needs("/usr/bin/python3", "-c", "import "+module)
}

func php(x *tools) string {
	return needs("php", "-r", "exit(class_exists('PDO') && in_array('mysql', PDO::getAvailableDrivers()) && function_exists('mysqli_connect') ? 0 : 1);")(x)
}

func java(x *tools) string {
	if _, err := os.Stat(connectorJ); err != nil {
		return "MariaDB Connector/J isn't installed: run make test-tools"
	}
	if _, err := os.Stat(x.java); err != nil {
		return "javac isn't installed: install a JDK"
	}
	return needs("java")(x)
}

func mysqlTree(*tools) string { return cluster.MySQL.Missing() }

// withoutNative is for MySQL's own clients: from version 9 on they don't know
// mysql_native_password, which is what the plain MariaDB asks for.
func withoutNative(f cluster.Flavor) string {
	if f == cluster.MariaDB {
		return "MySQL 9's own clients can't log in to a plain MariaDB to compare with"
	}
	return ""
}
