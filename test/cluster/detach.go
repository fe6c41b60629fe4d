package cluster

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// pidFile lists the processes of a detached cluster in its directory, one in a
// line: name, process id, start time in clock ticks since the system's boot.
const pidFile = "servers"

// Keep writes down the servers of a detached cluster, so that Down can end them.
func (c *Cluster) Keep() error {
	var b strings.Builder
	for _, s := range c.Servers() {
		began, err := processStart(s.PID())
		if err != nil {
			return err
		}
		fmt.Fprintf(&b, "%s %d %s\n", s.Name, s.PID(), began)
	}
	return os.WriteFile(filepath.Join(c.Dir, pidFile), []byte(b.String()), 0o600)
}

// Down ends the servers of the detached cluster in dir, waits until they are
// gone, and returns their names. A process that only has the id of one of them
// is left alone. No cluster there is no error.
func Down(dir string) ([]string, error) {
	f, err := os.Open(filepath.Join(dir, pidFile))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	type process struct {
		name, began string
		pid         int
	}
	var ps []process
	for in := bufio.NewScanner(f); in.Scan(); {
		var p process
		if _, err := fmt.Sscan(in.Text(), &p.name, &p.pid, &p.began); err != nil {
			return nil, fmt.Errorf("%s: %q: %w", f.Name(), in.Text(), err)
		}
		ps = append(ps, p)
	}
	alive := func(p process) bool {
		began, err := processStart(p.pid)
		return err == nil && began == p.began
	}
	var names []string
	for _, p := range ps {
		if alive(p) {
			names = append(names, p.name)
			_ = syscall.Kill(p.pid, syscall.SIGTERM)
		}
	}
	deadline := time.Now().Add(startTimeout)
	for _, p := range ps {
		for alive(p) {
			if time.Now().After(deadline) {
				return names, fmt.Errorf("%s (process %d) didn't end", p.name, p.pid)
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
	return names, os.Remove(f.Name())
}

// processStart returns when a running process started, which together with its
// id names it for good; a zombie doesn't run.
func processStart(pid int) (string, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "", err
	}
	// The name in parentheses may hold blanks; what follows has fixed places.
	fields := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
	if len(fields) < 20 || fields[0] == "Z" {
		return "", fmt.Errorf("process %d has ended", pid)
	}
	return fields[19], nil
}
