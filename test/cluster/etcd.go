package cluster

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// EtcdOptions say what kind of etcd to start.
type EtcdOptions struct {
	Dir   string            // where its data goes; made if missing. Empty: a temporary directory, removed by Close
	TLS   bool              // clients must encrypt and show a certificate of Etcd.TLS
	Root  string            // with it etcd has users: root, with this password, and Users
	Users map[string]string // names and passwords; each may read and write everything
	Args  []string          // more options
}

// Etcd is one etcd server on a free port of 127.0.0.1. It dies with the process
// that started it.
type Etcd struct {
	Addr string // 127.0.0.1:PORT
	Dir  string
	TLS  Files // what it shows and trusts; empty without TLS

	o         EtcdOptions
	peer      string
	temporary bool

	mu     sync.Mutex
	cmd    *exec.Cmd
	exited chan struct{}
}

// EtcdMissing says why etcd can't run here, and what to do; it is empty where
// it can.
func EtcdMissing() string {
	if _, err := program("etcd"); err != nil {
		return "etcd isn't installed: install etcd-server, or run make test-tools"
	}
	return ""
}

// StartEtcd starts an etcd and returns when it answers. On an error nothing is
// left behind.
func StartEtcd(ctx context.Context, o EtcdOptions) (_ *Etcd, err error) {
	if why := EtcdMissing(); why != "" {
		return nil, errors.New(why)
	}
	e := &Etcd{Dir: o.Dir, o: o}
	if e.Dir == "" {
		if e.Dir, err = os.MkdirTemp("", "swetcd"); err != nil {
			return nil, err
		}
		e.temporary = true
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, e.Close())
		}
	}()
	if err := os.MkdirAll(e.Dir, 0o700); err != nil {
		return nil, err
	}
	if o.TLS {
		if e.TLS, err = Certificates(e.Dir); err != nil {
			return nil, err
		}
	}
	ports, err := freePorts(2)
	if err != nil {
		return nil, err
	}
	e.Addr, e.peer = fmt.Sprintf("127.0.0.1:%d", ports[0]), fmt.Sprintf("127.0.0.1:%d", ports[1])
	if err := e.Start(ctx); err != nil {
		return nil, err
	}
	return e, e.addUsers(ctx)
}

// Start starts the server, again if it was killed, with the data it had.
func (e *Etcd) Start(ctx context.Context) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.cmd != nil {
		return errors.New("is running already")
	}
	path, err := program("etcd")
	if err != nil {
		return err
	}
	cmd := exec.Command(path, append([]string{
		"--name", "test", "--data-dir", filepath.Join(e.Dir, "data"),
		"--listen-client-urls", e.url(""), "--advertise-client-urls", e.url(""),
		"--listen-peer-urls", "http://" + e.peer, "--initial-advertise-peer-urls", "http://" + e.peer,
		"--initial-cluster", "test=http://" + e.peer,
		"--logger", "zap", "--log-level", "warn", "--log-outputs", filepath.Join(e.Dir, "log"),
		"--unsafe-no-fsync",
	}, e.o.Args...)...)
	if e.o.TLS {
		cmd.Args = append(cmd.Args, "--cert-file", e.TLS.Cert, "--key-file", e.TLS.Key, "--trusted-ca-file", e.TLS.CA, "--client-cert-auth")
	}
	// Its own process group, so that Ctrl-C in a terminal reaches only us; and
	// it dies with us, however we die.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return err
	}
	exited := make(chan struct{})
	e.cmd, e.exited = cmd, exited
	// Ends with the process; Kill waits for it.
	go func() {
		_ = cmd.Wait()
		e.mu.Lock()
		e.cmd = nil
		e.mu.Unlock()
		close(exited)
	}()
	return e.waitUp(ctx, exited)
}

func (e *Etcd) waitUp(ctx context.Context, exited <-chan struct{}) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		var health struct{ Health string }
		err := e.call(ctx, "/health", "", nil, &health)
		if err == nil && health.Health == "true" {
			return nil
		}
		select {
		case <-exited:
			return fmt.Errorf("etcd ended while starting:\n%s", e.Log())
		case <-ctx.Done():
			return fmt.Errorf("etcd didn't answer in time: %w: %w\n%s", ctx.Err(), err, e.Log())
		case <-tick.C:
		}
	}
}

// Log returns the end of the server's log.
func (e *Etcd) Log() string {
	b, err := os.ReadFile(filepath.Join(e.Dir, "log"))
	if err != nil {
		return err.Error()
	}
	return string(b[max(0, len(b)-4000):])
}

// signal sends a signal if the server runs and returns the channel that is
// closed when it has ended; nil if it wasn't running.
func (e *Etcd) signal(sig syscall.Signal) <-chan struct{} {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.cmd == nil {
		return nil
	}
	_ = e.cmd.Process.Signal(sig)
	return e.exited
}

// Kill ends the server as kill -9 does and returns when it is gone.
func (e *Etcd) Kill() error {
	exited := e.signal(syscall.SIGKILL)
	if exited == nil {
		return nil
	}
	select {
	case <-exited:
		return nil
	case <-time.After(startTimeout):
		return errors.New("etcd didn't end when killed")
	}
}

// Pause makes the server hang (SIGSTOP): connections stay, nothing answers. It
// returns when all its threads have stopped.
func (e *Etcd) Pause() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.cmd == nil {
		return errors.New("etcd isn't running")
	}
	if err := e.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		return err
	}
	for deadline := time.Now().Add(startTimeout); ; time.Sleep(time.Millisecond) {
		states, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", e.cmd.Process.Pid))
		if err != nil {
			return err
		}
		stopped := len(states) > 0
		for _, path := range states {
			b, err := os.ReadFile(path)
			// The state follows the name, which is in parentheses.
			if err != nil || !strings.HasPrefix(string(b[strings.LastIndexByte(string(b), ')')+1:]), " T") {
				stopped = false
			}
		}
		if stopped {
			return nil
		}
		if time.Now().After(deadline) {
			return errors.New("etcd didn't stop on SIGSTOP")
		}
	}
}

// Continue ends a Pause.
func (e *Etcd) Continue() { e.signal(syscall.SIGCONT) }

// Close kills the server and removes a temporary directory.
func (e *Etcd) Close() error {
	err := e.Kill()
	if e.temporary {
		err = errors.Join(err, os.RemoveAll(e.Dir))
	}
	return err
}

// Map is the address of a map store in this etcd: etcd://ADDR/PREFIX.
func (e *Etcd) Map(prefix string) string { return "etcd://" + e.Addr + "/" + prefix }

// Call sends a request to etcd's JSON interface, in which keys and values are
// in base64: Call(ctx, "/v3/kv/put", map[string]any{"key": []byte("k"), "value":
// []byte("v")}, nil). answer may be nil.
func (e *Etcd) Call(ctx context.Context, path string, request, answer any) error {
	token := ""
	if e.o.Root != "" {
		var t struct{ Token string }
		if err := e.call(ctx, "/v3/auth/authenticate", "", map[string]string{"name": "root", "password": e.o.Root}, &t); err != nil {
			return err
		}
		token = t.Token
	}
	return e.call(ctx, path, token, request, answer)
}

func (e *Etcd) call(ctx context.Context, path, token string, request, answer any) error {
	client := &http.Client{Timeout: 5 * time.Second}
	if e.o.TLS {
		pair, err := tls.LoadX509KeyPair(e.TLS.Cert, e.TLS.Key)
		if err != nil {
			return err
		}
		ca, err := os.ReadFile(e.TLS.CA)
		if err != nil {
			return err
		}
		pool := x509.NewCertPool()
		pool.AppendCertsFromPEM(ca)
		client.Transport = &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, Certificates: []tls.Certificate{pair}}}
	}
	defer client.CloseIdleConnections()
	method, body := http.MethodGet, ""
	if request != nil {
		text, err := json.Marshal(request)
		if err != nil {
			return err
		}
		method, body = http.MethodPost, string(text)
	}
	r, err := http.NewRequestWithContext(ctx, method, e.url(path), strings.NewReader(body))
	if err != nil {
		return err
	}
	if token != "" {
		r.Header.Set("Authorization", token)
	}
	response, err := client.Do(r)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("etcd: %s: %s", path, response.Status)
	}
	if answer == nil {
		return nil
	}
	return json.NewDecoder(response.Body).Decode(answer)
}

func (e *Etcd) url(path string) string {
	if e.o.TLS {
		return "https://" + e.Addr + path
	}
	return "http://" + e.Addr + path
}

// addUsers makes the users that were asked for and turns the check on.
func (e *Etcd) addUsers(ctx context.Context) error {
	if e.o.Root == "" {
		return nil
	}
	type step struct {
		path string
		body any
	}
	steps := []step{
		{"/v3/auth/user/add", map[string]string{"name": "root", "password": e.o.Root}},
		{"/v3/auth/role/add", map[string]string{"name": "root"}},
		{"/v3/auth/user/grant", map[string]string{"user": "root", "role": "root"}},
		{"/v3/auth/role/add", map[string]string{"name": "all"}},
		{"/v3/auth/role/grant", map[string]any{"name": "all", "perm": map[string]any{"permType": "READWRITE", "key": []byte{0}, "range_end": []byte{0}}}},
	}
	for name, password := range e.o.Users {
		steps = append(
			steps,
			step{"/v3/auth/user/add", map[string]string{"name": name, "password": password}},
			step{"/v3/auth/user/grant", map[string]string{"user": name, "role": "all"}},
		)
	}
	for _, s := range append(steps, step{"/v3/auth/enable", struct{}{}}) {
		if err := e.call(ctx, s.path, "", s.body, nil); err != nil {
			return err
		}
	}
	return nil
}
