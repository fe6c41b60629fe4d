// Command cmd starts a local cluster of real servers that keep running, with a
// sample database, a map and a configuration for Shardway, and ends it:
//
//	go run ./test/cluster/cmd -dir .cluster -server mariadb -shards 2 -replicas 2 up
//	go run ./test/cluster/cmd -dir .cluster down
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"

	"shardway/test/cluster"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "cluster:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("cluster", flag.ContinueOnError)
	dir := flags.String("dir", ".cluster", "where the cluster lives")
	server := flags.String("server", "mariadb", "mariadb or mysql")
	shards := flags.Int("shards", 2, "number of shards")
	replicas := flags.Int("replicas", 2, "replicas of each shard")
	if err := flags.Parse(args); err != nil {
		return err
	}
	switch flags.Arg(0) {
	case "up":
		return up(ctx, *dir, cluster.Options{Flavor: cluster.Flavor(*server), Shards: *shards, Replicas: *replicas}, out)
	case "down":
		return down(*dir, out)
	}
	return errors.New("say up or down")
}

func up(ctx context.Context, dir string, o cluster.Options, out io.Writer) error {
	if o.Shards < 1 || o.Replicas < 0 {
		return errors.New("a cluster has at least one shard and no fewer than 0 replicas")
	}
	if err := down(dir, out); err != nil {
		return err
	}
	o.Dir, o.Detached = dir, true
	c, err := cluster.Start(ctx, o)
	if err != nil {
		return err
	}
	fail := func(err error) error { return errors.Join(err, c.Close()) }
	if err := c.Keep(); err != nil {
		return fail(err)
	}
	shop := cluster.Shop()
	if err := c.Load(ctx, shop); err != nil {
		return fail(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "shards.yaml"), []byte(c.Map(shop.Map(c.Shards))), 0o600); err != nil {
		return fail(err)
	}
	file := filepath.Join(dir, "shardway.yaml")
	if err := os.WriteFile(file, []byte(configuration), 0o600); err != nil {
		return fail(err)
	}
	for _, s := range c.Servers() {
		fmt.Fprintf(out, "%-5s %s  %s\n", s.Name, s.Addr, s.Socket)
	}
	shown := file
	if wd, err := os.Getwd(); err == nil {
		if rel, err := filepath.Rel(wd, file); err == nil && !strings.HasPrefix(rel, "..") {
			shown = rel
		}
	}
	fmt.Fprintf(out, "\nThe servers run until `make cluster-down`. Next:\n\n"+
		"    make build && bin/shardway serve -c %s\n"+
		"    mariadb -h127.0.0.1 -P4406 -uapp -papp shop -e 'SELECT * FROM users WHERE id = 7'\n", shown)
	return nil
}

func down(dir string, out io.Writer) error {
	names, err := cluster.Down(dir)
	if len(names) > 0 {
		fmt.Fprintln(out, "ended", strings.Join(names, " "))
	}
	if err != nil {
		return err
	}
	// What is removed is what up makes, nothing else that a user keeps there.
	for _, pattern := range []string{"s[0-9]*p", "s[0-9]*r[0-9]*", "*.pem", "template", "shards.yaml*", "shardway.yaml"} {
		found, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			return err
		}
		for _, path := range found {
			if err := os.RemoveAll(path); err != nil {
				return err
			}
		}
	}
	return nil
}

const configuration = `listen: [127.0.0.1:4406]
admin: {listen: 127.0.0.1:4480}
map: ./shards.yaml
users:
  app: {password: app, databases: [shop]}
servers:
  user: shardway
  password: secret
log: {format: text}
`
