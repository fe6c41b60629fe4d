package main

import (
	"fmt"
	"slices"
	"strings"
)

// The sample database: one MySQL schema of this name on every shard.
const (
	database   = "shop"
	shardCount = 2
	replicas   = 2
	userCount  = 2000
	orderCount = 4000
	// batch is how many rows one INSERT has.
	batch = 500
)

// node is one embedded server.
type node struct {
	Name    string // "s0-replica-1": also its @@hostname
	Shard   string
	Addr    string // host:port
	Primary bool
}

// schema is the same on every shard.
var schema = [...]string{
	`CREATE TABLE countries (code CHAR(2) NOT NULL PRIMARY KEY, name VARCHAR(255) NOT NULL)`,
	`CREATE TABLE users (id BIGINT NOT NULL PRIMARY KEY, name VARCHAR(64) NOT NULL, country CHAR(2) NOT NULL)`,
	`CREATE TABLE orders (id BIGINT NOT NULL PRIMARY KEY, user_id BIGINT NOT NULL, item VARCHAR(64) NOT NULL,
		price DECIMAL(8,2) NOT NULL, stored_by VARCHAR(64) NOT NULL, KEY by_user (user_id))`,
}

// settingsSchema is on the default shard alone: the table isn't in the map.
const settingsSchema = `CREATE TABLE settings (name VARCHAR(64) NOT NULL PRIMARY KEY, value VARCHAR(255) NOT NULL)`

// decisionsSchema is the table that Shardway decides transactions over shards by, on every shard. Shardway makes it where
// it is missing, from a second connection, which would wait here for the transaction that it is needed for.
var decisionsSchema = [...]string{
	`CREATE DATABASE shardway`,
	`CREATE TABLE shardway.decisions (id VARBINARY(64) NOT NULL PRIMARY KEY, committed TINYINT NOT NULL,
		at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP, KEY (at))`,
}

var (
	countries = [...][2]string{{"br", "Brazil"}, {"de", "Germany"}, {"in", "India"}, {"jp", "Japan"}, {"ke", "Kenya"}, {"us", "United States"}}
	names     = [...]string{"Ada", "Bela", "Chidi", "Dara", "Emil", "Fatima", "Goran", "Hana", "Ines", "Jonas", "Keiko", "Leila", "Mateo"}
	items     = [...]string{"lamp", "desk", "chair", "kettle", "radio", "rug", "clock"}
)

// mapDocument is the map of the demo: the slot of a row is its key modulo 1024, and shard s0 owns the even slots,
// s1 the odd ones.
func mapDocument(nodes []node) string {
	var b strings.Builder
	b.WriteString("version: 1\nshards:\n")
	for shard := range shardCount {
		id := fmt.Sprintf("s%d", shard)
		var primary string
		var copies []string
		for _, n := range nodes {
			switch {
			case n.Shard != id:
			case n.Primary:
				primary = n.Addr
			default:
				copies = append(copies, fmt.Sprintf("{addr: %q}", n.Addr))
			}
		}
		fmt.Fprintf(&b, "  %s: {primary: %q, replicas: [%s]}\n", id, primary, strings.Join(copies, ", "))
	}
	fmt.Fprintf(&b, `databases:
  %s:
    slots: 1024
    owners: {s0: ["0-1023/2"], s1: ["1-1023/2"]}
    default_shard: s0
    tables:
      users:     {key: id,      placement: mod}
      orders:    {key: user_id, placement: mod}
      countries: {reference: true}
`, database)
	return b.String()
}

// fill creates the tables of one shard and inserts the rows that live there.
func fill(shard int, exec func(query string) error) error {
	statements := slices.Concat(schema[:], decisionsSchema[:])
	if shard == 0 {
		statements = append(statements, settingsSchema,
			`INSERT INTO settings VALUES ('currency', 'EUR'), ('theme', 'dark')`)
	}
	for _, s := range statements {
		if err := exec(s); err != nil {
			return err
		}
	}
	in := newInserter(exec)
	for _, c := range countries {
		in.add("countries", "('%s', '%s')", c[0], c[1])
	}
	in.flush()
	for id := 1; id <= userCount; id++ {
		if id%shardCount == shard {
			in.add("users", "(%d, '%s', '%s')", id, names[id%len(names)], countries[id%len(countries)][0])
		}
	}
	in.flush()
	for id := 1; id <= orderCount; id++ {
		user := (id-1)%userCount + 1
		if user%shardCount == shard {
			cents := 500 + id*7%20000
			in.add("orders", "(%d, %d, '%s', %d.%02d, 's%d-primary')", id, user, items[id%len(items)], cents/100, cents%100, shard)
		}
	}
	in.flush()
	return in.err
}

// inserter gathers rows into INSERT statements of batch rows. The first error is kept and ends the work.
type inserter struct {
	exec  func(query string) error
	table string
	rows  []string
	err   error
}

func newInserter(exec func(query string) error) *inserter { return &inserter{exec: exec} }

func (in *inserter) add(table, format string, args ...any) {
	in.table = table
	in.rows = append(in.rows, fmt.Sprintf(format, args...))
	if len(in.rows) == batch {
		in.flush()
	}
}

func (in *inserter) flush() {
	if len(in.rows) > 0 && in.err == nil {
		in.err = in.exec("INSERT INTO " + in.table + " VALUES " + strings.Join(in.rows, ", "))
	}
	in.rows = in.rows[:0]
}
