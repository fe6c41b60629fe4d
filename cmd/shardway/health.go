package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/pflag"
)

// healthOptions are the flags of health.
type healthOptions struct {
	admin   string // host:port or unix:/path
	live    bool
	timeout time.Duration
}

// healthFlags reads the flags of health. It reads no configuration, so that it
// also works where the daemon got its own in another way.
func healthFlags(p *program, args []string) (healthOptions, error) {
	o := healthOptions{admin: "127.0.0.1:4480"}
	for _, v := range p.environ {
		if addr, ok := strings.CutPrefix(v, "SHARDWAY_ADMIN_LISTEN="); ok {
			o.admin = addr
		}
	}
	fs := pflag.NewFlagSet("health", pflag.ContinueOnError)
	fs.SortFlags = false
	fs.SetOutput(io.Discard)
	fs.StringVar(&o.admin, "admin", o.admin, "admin.listen of the daemon: host:port or unix:/path; SHARDWAY_ADMIN_LISTEN says it too")
	fs.BoolVar(&o.live, "live", false, "ask whether it is alive (/livez) and not whether it can serve (/readyz)")
	fs.DurationVar(&o.timeout, "timeout", 2*time.Second, "how long the answer may take")
	fs.Usage = func() {
		fmt.Fprintf(p.stdout, "shardway health\n\nAsks a running daemon whether it can serve clients, for health checks without other programs.\n"+
			"The exit status is 0 when it can.\n\nExample:\n  shardway health --admin 127.0.0.1:4480\n\nFlags:\n%s", fs.FlagUsages())
	}
	if err := fs.Parse(args); err != nil {
		if errors.Is(err, pflag.ErrHelp) {
			return o, err
		}
		return o, fmt.Errorf("health: %w: %w", err, errUsage)
	}
	if fs.NArg() > 0 {
		return o, fmt.Errorf("health takes no argument %q: %w", fs.Arg(0), errUsage)
	}
	return o, nil
}

// health asks the admin address of a running daemon and fails unless the
// answer is good.
func health(ctx context.Context, p *program, o healthOptions) error {
	network, addr, err := adminAddress(o.admin)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, o.timeout)
	defer cancel()
	path := "/readyz"
	if o.live {
		path = "/livez"
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://shardway"+path, http.NoBody)
	if err != nil {
		return err
	}
	// A transport of its own: the address is dialled as it is, whatever proxies
	// the environment names.
	transport := &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, network, addr)
		},
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return fmt.Errorf("health: %s doesn't answer: %w; --admin names another address", o.admin, err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 4<<10))
	if err != nil {
		return fmt.Errorf("health: %s doesn't answer: %w", o.admin, err)
	}
	text := strings.TrimSpace(string(body))
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("health: %s answers %d: %s", o.admin, resp.StatusCode, text)
	}
	fmt.Fprintln(p.stdout, text)
	return nil
}

// adminAddress is what to dial for an admin.listen. One that is everywhere
// (0.0.0.0:4480, :4480) is dialled on this machine.
func adminAddress(listen string) (network, addr string, err error) {
	if path, ok := strings.CutPrefix(listen, "unix:"); ok {
		return "unix", path, nil
	}
	if _, _, err := net.SplitHostPort(listen); err != nil {
		return "", "", fmt.Errorf("health: the admin address %q isn't host:port or unix:/path: %w", listen, errUsage)
	}
	return "tcp", listen, nil
}
