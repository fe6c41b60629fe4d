package cluster

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// template is the directory of the data that all servers of the flavor begin with.
// To make it takes longer than to start a server, so it is made once for each build
// of the server, in the user's cache; where there is none, in the directory given.
func (f Flavor) template(ctx context.Context, otherwise string) (string, error) {
	key, err := f.templateKey()
	if err != nil {
		return "", err
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = otherwise
	}
	dir := filepath.Join(cache, "shardway", "data-"+string(f)+"-"+key)
	if err := os.MkdirAll(filepath.Dir(dir), 0o700); err != nil {
		return "", err
	}
	// Of several processes that need it one makes it, and the others wait.
	lock, err := os.OpenFile(dir+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return "", err
	}
	defer func() { _ = lock.Close() }() // which unlocks it
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return "", fmt.Errorf("lock %s: %w", lock.Name(), err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		return dir, err
	}
	making := dir + ".new"
	if err := os.RemoveAll(making); err != nil { // somebody was killed while he made it
		return "", err
	}
	if err := f.makeTemplate(ctx, making); err != nil {
		return "", errors.Join(err, os.RemoveAll(making))
	}
	return dir, os.Rename(making, dir)
}

// templateKey changes with all that the template depends on.
func (f Flavor) templateKey() (string, error) {
	path, err := f.server()
	if err != nil {
		return "", err
	}
	st, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(fmt.Append(nil, path, st.Size(), st.ModTime().UnixNano(), f.accounts(), f.install("DIR", "DATA").Args))
	return fmt.Sprintf("%x", sum[:8]), nil
}

// makeTemplate makes the data directory of servers that have yet to start.
func (f Flavor) makeTemplate(ctx context.Context, dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	sql := strings.Join(f.accounts(), "\n") + "\n"
	if err := os.WriteFile(filepath.Join(dir, "accounts.sql"), []byte(sql), 0o600); err != nil {
		return err
	}
	data := filepath.Join(dir, "data")
	cmd := f.install(dir, data)
	stop := context.AfterFunc(ctx, func() { _ = cmd.Process.Kill() })
	defer stop()
	if out, err := cmd.CombinedOutput(); err != nil {
		log, _ := os.ReadFile(filepath.Join(dir, "install.log"))
		return fmt.Errorf("make a data directory: %w\n%s%s", err, out, log)
	}
	// Each server makes up its own id when it finds none, and needs no pages written
	// twice when it writes each once.
	unneeded, err := filepath.Glob(filepath.Join(data, "*.dblwr"))
	for _, path := range append(unneeded, filepath.Join(data, "auto.cnf")) {
		if removed := os.Remove(path); removed != nil && !errors.Is(removed, os.ErrNotExist) {
			err = errors.Join(err, removed)
		}
	}
	return err
}
