package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/pflag"

	"shardway/config"
	"shardway/shardmap/etcdstore"
	"shardway/shardmap/stores"
)

// Exit statuses. They are a promise to scripts.
const (
	exitFailed  = 1
	exitUsage   = 2
	exitRefused = 3
)

// failure is an error with its exit status; any other error is exitFailed.
type failure struct {
	status int
	err    error
}

func (f *failure) Error() string { return f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

func usagef(format string, args ...any) error {
	return &failure{exitUsage, fmt.Errorf(format, args...)}
}

func refusef(format string, args ...any) error {
	return &failure{exitRefused, fmt.Errorf(format, args...)}
}

// status reports err to stderr and gives the exit status.
func status(err error, stderr io.Writer) int {
	if err == nil {
		return 0
	}
	fmt.Fprintln(stderr, "shardctl:", err)
	if f, ok := errors.AsType[*failure](err); ok {
		return f.status
	}
	return exitFailed
}

// tool is what a command works with: the streams and the global flags.
type tool struct {
	stdin          io.Reader
	stdout, stderr io.Writer

	store   string // the map's store; open puts the configuration's in when --map doesn't name one
	config  string // the configuration file, or ""
	environ []string
	output  string
	yes     bool

	opened stores.Store // nil before open
}

// command is one of the tool's commands.
type command struct {
	name    string // as it is typed, words separated by a space
	args    string // for the usage line
	min     int
	max     int
	brief   string
	details string
	example string
	flags   func(*pflag.FlagSet)
	run     func(ctx context.Context, t *tool, flags *pflag.FlagSet, args []string) error
}

func commands() []command {
	return slices.Concat(mapCommands(), []command{routeCommand(), proxiesCommand(), switchoverCommand(), verifyCommand()}, rebalanceCommands())
}

// run does what the arguments say. A nil error is exit status 0; see status
// for the others.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) error {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	t := &tool{stdin: stdin, stdout: stdout, stderr: stderr, environ: os.Environ()}
	defer t.close()
	cmd, rest := find(args)
	flags := t.flags("shardctl")
	if cmd == nil {
		return t.noCommand(flags, args)
	}
	if cmd.flags != nil {
		cmd.flags(flags)
	}
	if err := flags.Parse(rest); err != nil {
		if errors.Is(err, pflag.ErrHelp) {
			cmd.help(stdout, flags)
			return nil
		}
		return usagef("%s: %w; see shardctl %s --help", cmd.name, err, cmd.name)
	}
	if n := flags.NArg(); n < cmd.min || n > cmd.max {
		return usagef("write shardctl %s; see shardctl %s --help", strings.TrimSpace(cmd.name+" "+cmd.args), cmd.name)
	}
	if t.output != "table" && t.output != "json" {
		return usagef("--output is table or json, not %q", t.output)
	}
	return cmd.run(ctx, t, flags, flags.Args())
}

// flags returns the global flags, which can stand anywhere.
func (t *tool) flags(name string) *pflag.FlagSet {
	f := pflag.NewFlagSet(name, pflag.ContinueOnError)
	f.SetOutput(io.Discard)
	f.Usage = func() {}
	f.StringVar(&t.store, "map", "", "the map's store: a path, or etcd://HOST:PORT[,HOST:PORT]/PREFIX (default: map of the configuration, else ./shards.yaml)")
	f.StringVarP(&t.config, "config", "c", "", "a shardway.yaml: its map is the default of --map, its etcd says how to log in there, and its servers and failover how at the servers")
	f.StringVar(&t.output, "output", "table", "table or json")
	f.BoolVar(&t.yes, "yes", false, "answer yes to the question before a change")
	return f
}

// find takes the words of a command's name out of args, wherever flags stand
// between them.
func find(args []string) (*command, []string) {
	var words []string
	rest := make([]string, 0, len(args))
	for i := 0; i < len(args); i++ {
		a := args[i]
		switch {
		case a == "--":
			return match(words, append(rest, args[i:]...))
		case strings.HasPrefix(a, "-"):
			rest = append(rest, a)
			if slices.Contains([]string{"--map", "--output", "--config", "-c"}, a) && i+1 < len(args) {
				i++
				rest = append(rest, args[i])
			}
		default:
			words = append(words, a)
			if cmd, left := match(words, append(rest, args[i+1:]...)); cmd != nil {
				return cmd, left
			}
			if len(words) == 2 {
				return nil, nil
			}
		}
	}
	return nil, nil
}

func match(words, rest []string) (*command, []string) {
	name := strings.Join(words, " ")
	for _, c := range commands() {
		if c.name == name {
			return &c, rest
		}
	}
	return nil, nil
}

// noCommand answers --help and wrong commands.
func (t *tool) noCommand(flags *pflag.FlagSet, args []string) error {
	var words []string
	for _, a := range args {
		switch {
		case a == "--help" || a == "-h" || a == "help":
			t.overview(flags)
			return nil
		case !strings.HasPrefix(a, "-"):
			words = append(words, a)
		}
	}
	if len(words) == 0 {
		return usagef("no command; see shardctl --help")
	}
	return usagef("%q is no command; see shardctl --help", strings.Join(words[:min(2, len(words))], " "))
}

func (t *tool) overview(flags *pflag.FlagSet) {
	fmt.Fprint(t.stdout, "shardctl looks after the shard map.\n\nUsage: shardctl [--map STORE] COMMAND\n\nCommands:\n")
	for _, c := range commands() {
		fmt.Fprintf(t.stdout, "  %-24s %s\n", strings.TrimSpace(c.name+" "+c.args), c.brief)
	}
	fmt.Fprintf(t.stdout, "\nFlags of every command:\n%s\n", flags.FlagUsages())
	fmt.Fprint(t.stdout, "Exit status: 0 done, 1 failed, 2 wrong usage, 3 refused because unsafe.\n\nExample:\n  shardctl --map ./shards.yaml map show\n")
}

func (c *command) help(w io.Writer, flags *pflag.FlagSet) {
	fmt.Fprintf(w, "Usage: shardctl [--map STORE] %s\n\n%s\n", strings.TrimSpace(c.name+" "+c.args), c.brief)
	if c.details != "" {
		fmt.Fprintf(w, "\n%s\n", c.details)
	}
	fmt.Fprintf(w, "\nFlags:\n%s\nExample:\n  %s\n", flags.FlagUsages(), c.example)
}

// settings reads the configuration file and the environment, of which shardctl
// needs these sections alone, and those that are named.
func (t *tool) settings(more ...string) (*config.Config, error) {
	return config.Load(config.Sources{File: t.config, Environ: t.environ, Only: append([]string{"map", "etcd"}, more...)})
}

// open opens the store that --map names, or else the configuration. It is
// closed when the command has run.
func (t *tool) open() (stores.Store, error) {
	if t.opened != nil {
		return t.opened, nil
	}
	c, err := t.settings()
	if err != nil {
		return nil, err
	}
	if t.store == "" {
		t.store = c.Map
	}
	store, err := stores.Open(t.store, etcdstore.Options{
		User: c.Etcd.User, Password: c.Etcd.Password,
		CA: c.Etcd.TLS.CA, Cert: c.Etcd.TLS.Cert, Key: c.Etcd.TLS.Key,
		DialTimeout: c.Etcd.DialTimeout,
	})
	if err != nil {
		return nil, fmt.Errorf("--map: %w", err)
	}
	t.opened = store
	return store, nil
}

func (t *tool) close() {
	if t.opened != nil {
		_ = t.opened.Close() // what was to be written has been answered
	}
}
