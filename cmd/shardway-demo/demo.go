package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/pflag"
)

// Accounts and addresses.
const (
	clientUser     = "app"
	clientPassword = "app"
	serverUser     = "shardway"
	serverPassword = "secret"
	defaultListen  = "127.0.0.1:4406"
	defaultAdmin   = "127.0.0.1:4480"
)

const usage = `shardway-demo runs Shardway over embedded servers, to be tried with nothing installed.

Usage:
  shardway-demo [--listen ADDR] [--admin ADDR]       serve until Ctrl-C
  shardway-demo sql [--listen ADDR] "STATEMENT"...   send statements to a running demo

Example:
  shardway-demo sql "SELECT id, name, @@hostname FROM users WHERE id = 7"

Flags:
`

// options are the command line.
type options struct {
	listen, admin string
	statements    []string // of the sql subcommand; nil serves
}

// run is the program: it serves, or sends statements, as args say. It returns when the work is done or ctx ends;
// an interrupt ends it cleanly too. Every goroutine that it started has ended by then.
func run(ctx context.Context, args []string, stdout io.Writer) error {
	o, err := parseArgs(args, stdout)
	if errors.Is(err, pflag.ErrHelp) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("%w (see shardway-demo --help)", err)
	}
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	if o.statements != nil {
		return runSQL(ctx, o.listen, o.statements, stdout)
	}
	return serve(ctx, o, stdout)
}

func parseArgs(args []string, stdout io.Writer) (options, error) {
	var o options
	flags := pflag.NewFlagSet("shardway-demo", pflag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.StringVar(&o.listen, "listen", defaultListen, "the proxy's address, host:port; port 0 takes a free one")
	flags.StringVar(&o.admin, "admin", defaultAdmin, "the address of probes and metrics, host:port; port 0 takes a free one")
	flags.Usage = func() {
		flags.SetOutput(stdout)
		// Help that can't be written has nowhere else to go.
		_, _ = io.WriteString(stdout, usage)
		flags.PrintDefaults()
	}
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	rest := flags.Args()
	switch {
	case len(rest) == 0:
		return o, nil
	case rest[0] != "sql":
		return o, fmt.Errorf("unknown argument %q", rest[0])
	case len(rest) == 1:
		return o, errors.New("sql needs a statement")
	}
	o.statements = rest[1:]
	return o, nil
}

// listen opens addr. Where the address is taken, the error says which flag moves it.
func listen(addr, flag, use string) (net.Listener, error) {
	l, err := net.Listen("tcp", addr)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("%s is in use, perhaps by another shardway-demo: end that one, or move the %s of this one: bin/shardway-demo --%s 127.0.0.1:0", addr, use, flag)
	case err != nil:
		return nil, fmt.Errorf("open the address of the %s: %w (--%s chooses another)", use, err, flag)
	}
	return l, nil
}
