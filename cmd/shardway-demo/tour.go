package main

import (
	"fmt"
	"io"
	"net"
	"strings"
)

// step is one statement of the tour and what to see in its answer.
type step struct {
	say string
	sql string
}

// tour is what the demo invites to type. Its answers are checked by a test.
var tour = [...]step{
	{
		"A read goes to a replica of the shard that owns the key. Type it twice: the server changes.",
		"SELECT id, name, @@hostname AS server FROM users WHERE id = 7",
	},
	{
		"A write goes to the primary of that shard, which stores its own name in the row.",
		"INSERT INTO orders (id, user_id, item, price, stored_by) VALUES (90001, 7, 'lamp', 49.00, @@hostname)",
	},
	{
		"users and orders are placed by the same key, so their join stays on one shard.",
		"SELECT u.name, o.item, o.stored_by, @@hostname AS answered_by FROM users u JOIN orders o ON o.user_id = u.id WHERE u.id = 7",
	},
	{
		"EXPLAIN ROUTE says where a statement would go, and why. User 8 lives on the other shard.",
		"EXPLAIN ROUTE UPDATE users SET name = 'Eve' WHERE id = 8",
	},
	{
		"A SELECT of all users is merged: each shard counts its own, and the counts are added up.",
		"SELECT country, COUNT(*) AS users FROM users GROUP BY country ORDER BY users DESC, country LIMIT 3",
	},
	{
		"What the shards can't answer for themselves is gathered: rows are brought to one server, which answers.",
		"SELECT COUNT(DISTINCT item) AS items, COUNT(DISTINCT stored_by) AS primaries FROM orders",
	},
	{
		"A write on both shards is one transaction: all rows change, or none.",
		"UPDATE users SET name = 'Ada' WHERE id IN (7, 8)",
	},
	{
		"So is a transaction of your own that comes to a second shard. Look before its end from another client.",
		"BEGIN",
	},
	{
		"User 7 is on s1.",
		"UPDATE users SET country = 'jp' WHERE id = 7",
	},
	{
		"User 8 is on s0, which joins the transaction.",
		"UPDATE users SET country = 'jp' WHERE id = 8",
	},
	{
		"Both shards commit, or none.",
		"COMMIT",
	},
	{
		"The rows of both shards, in one order, each with the server that has read it.",
		"SELECT id, name, country, @@hostname AS server FROM users WHERE id IN (7, 8) ORDER BY id",
	},
}

// printTour tells what runs where and what to type next.
func printTour(w io.Writer, listen, admin string, nodes []node) error {
	var b strings.Builder
	fmt.Fprintf(&b, "Shardway demo: %d shards, each 1 primary and %d replicas, embedded in this process.\n\n", shardCount, replicas)
	for _, n := range nodes {
		fmt.Fprintf(&b, "  %-14s %s\n", n.Name, n.Addr)
	}
	fmt.Fprintf(&b, "\nDatabase %s: users and orders by user (even users on s0, odd ones on s1), countries on\n", database)
	b.WriteString("every shard, settings on s0. The replicas of a shard read their primary's memory.\n\n")
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return err
	}
	fmt.Fprintf(&b, "Connect from another terminal (mariadb takes the same options):\n\n  mysql -h%s -P%s -u%s -p%s %s\n\n", host, port, clientUser, clientPassword, database)
	flag := ""
	if listen != defaultListen {
		flag = " --listen " + listen
	}
	fmt.Fprintf(&b, "No client at hand? This program is one:\n\n  bin/shardway-demo sql%s \"SHOW SHARDWAY SERVERS\"\n\nThen type:\n", flag)
	for i, s := range tour {
		fmt.Fprintf(&b, "\n%d. %s\n\n   %s;\n", i+1, s.say, s.sql)
	}
	fmt.Fprintf(&b, "\nMore: SHOW SHARDWAY SHARDS | SERVERS | MAP | SESSIONS | POOLS | TRANSACTIONS | VARIABLES;\n")
	fmt.Fprintf(&b, "      http://%s/readyz and http://%s/metrics\n\nCtrl-C ends the demo; its data is gone then.\n", admin, admin)
	_, err = io.WriteString(w, b.String())
	return err
}
