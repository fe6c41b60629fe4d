package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"shardway/config"
)

// program is one invocation of the command.
type program struct {
	args           []string
	environ        []string
	stdout, stderr io.Writer
	signals        <-chan os.Signal
	ready          func(*daemon) // called when clients can connect; tests wait for it
}

// The exit status.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
)

// errUsage marks errors of the command line.
var errUsage = errors.New("wrong usage")

// errReported marks a failure that has been written out in full already.
var errReported = errors.New("reported")

const usage = `Shardway is a proxy for MySQL and MariaDB: it sends writes to primaries, spreads
reads over replicas, and finds the shard by key.

  shardway serve -c FILE [--env-file FILE]     serve clients
  shardway check -c FILE [--connect]           check the configuration and the map, and with
                                               --connect every server too
  shardway health [--admin ADDR] [--live]      ask a running daemon whether it can serve
  shardway version                             say which version this is

Each command has --help. Example:

  shardway check -c shardway.yaml --connect && shardway serve -c shardway.yaml
`

// run executes the command and returns its exit status.
func run(ctx context.Context, p *program) int {
	err := dispatch(ctx, p)
	switch {
	case err == nil, errors.Is(err, pflag.ErrHelp):
		return exitDone
	case errors.Is(err, errReported):
		return exitFailed
	case errors.Is(err, errUsage):
		fmt.Fprintf(p.stderr, "shardway: %s\nTry shardway --help\n", strings.TrimSuffix(err.Error(), ": "+errUsage.Error()))
		return exitUsage
	}
	for line := range strings.SplitSeq(err.Error(), "\n") {
		fmt.Fprintf(p.stderr, "shardway: %s\n", line)
	}
	return exitFailed
}

func dispatch(ctx context.Context, p *program) error {
	if len(p.args) == 0 {
		fmt.Fprint(p.stderr, usage)
		return fmt.Errorf("name a command: serve, check, health or version: %w", errUsage)
	}
	switch name := p.args[0]; name {
	case "serve":
		src, err := p.flags("serve", "Serves clients until SIGTERM or SIGINT, then drains; a second one ends it at once.\nSIGHUP, or a change of a file, reloads the configuration and the map.", p.args[1:], nil)
		if err != nil {
			return err
		}
		return serve(ctx, p, src)
	case "check":
		var o checkOptions
		src, err := p.flags("check", "Says everything that is wrong with the configuration and the map, and how to mend it.\nThe exit status is 0 when nothing is.", p.args[1:], func(fs *pflag.FlagSet) {
			fs.BoolVar(&o.connect, "connect", false, "also log in to every server and check roles, versions, privileges and tables")
			fs.StringVar(&o.output, "output", "table", "how the result is written (table, json)")
			fs.DurationVar(&o.timeout, "timeout", 30*time.Second, "how long the servers may take in all")
		})
		if err != nil {
			return err
		}
		if o.output != "table" && o.output != "json" {
			return fmt.Errorf("--output is table or json, not %q: %w", o.output, errUsage)
		}
		return check(ctx, p, src, o)
	case "health":
		o, err := healthFlags(p, p.args[1:])
		if err != nil {
			return err
		}
		return health(ctx, p, o)
	case "version":
		fmt.Fprintln(p.stdout, versionText())
		return nil
	case "help", "-h", "--help":
		fmt.Fprint(p.stdout, usage)
		return nil
	default:
		return fmt.Errorf("there is no command %q; the commands are serve, check, health and version: %w", name, errUsage)
	}
}

// flags reads a command's flags into the sources of its configuration.
func (p *program) flags(name, about string, args []string, more func(*pflag.FlagSet)) (config.Sources, error) {
	src := config.Sources{Environ: p.environ, Flags: pflag.NewFlagSet(name, pflag.ContinueOnError)}
	fs := src.Flags
	fs.SortFlags = false
	fs.SetOutput(io.Discard)
	fs.StringVarP(&src.File, "config", "c", "", "the configuration file")
	fs.StringVar(&src.EnvFile, "env-file", "", "a file of NAME=VALUE lines that adds to the environment")
	if more != nil {
		more(fs)
	}
	own := fs.FlagUsages()
	config.AddFlags(fs)
	fs.Usage = func() {
		keys := pflag.NewFlagSet(name, pflag.ContinueOnError)
		keys.SortFlags = false
		config.AddFlags(keys)
		fmt.Fprintf(p.stdout, "shardway %s -c FILE\n\n%s\n\nExample:\n  shardway %s -c shardway.yaml\n\nFlags:\n%s\nEach key of the configuration, stronger than the environment and the file:\n%s",
			name, about, name, own, keys.FlagUsagesWrapped(100))
	}
	if err := fs.Parse(args); err != nil {
		if errors.Is(err, pflag.ErrHelp) {
			return src, err
		}
		return src, fmt.Errorf("%s: %w: %w", name, err, errUsage)
	}
	if fs.NArg() > 0 {
		return src, fmt.Errorf("%s takes no argument %q: %w", name, fs.Arg(0), errUsage)
	}
	if src.File == "" {
		return src, fmt.Errorf("%s needs -c FILE, the configuration file: %w", name, errUsage)
	}
	return src, nil
}

// release is the version that a build names where it can't be read from the
// sources, as in an image: -ldflags "-X main.release=v1.2.3".
var release string

// version is the module's version, or the commit it was built from.
func version() string {
	if release != "" {
		return release
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	v := info.Main.Version
	if v != "" && v != "(devel)" {
		return v
	}
	v = "devel"
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision" && len(s.Value) >= 12:
			v += "-" + s.Value[:12]
		case s.Key == "vcs.modified" && s.Value == "true":
			v += "-modified"
		}
	}
	return v
}

func versionText() string {
	return fmt.Sprintf("shardway %s (%s, %s/%s)", version(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
}
