package config

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// Whatever is written, Load returns a checked Config or an *Error with at
// least one problem, and a Config shows and compares itself.
func FuzzLoad(f *testing.F) {
	f.Add([]byte(minimal), "A=1\n")
	f.Add([]byte("users: &u {app: {password: '${A}'}}\nreplicas: {max_lag: 1s}\nlisten: [a, *u]\n"), "export A='x'\n")
	f.Add([]byte("users: {app: {password: x, databases: [a]}}\nlimits: {max_packet: 1KiB}\n"), "SHARDWAY_USERS_APP_READ_ONLY=true")
	f.Add([]byte("? [a]\n: b\n"), "SHARDWAY_USERS={x: {password: y}}")
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, yaml []byte, env string) {
		file, envFile := filepath.Join(dir, "c.yaml"), filepath.Join(dir, "env")
		if os.WriteFile(file, yaml, 0o600) != nil || os.WriteFile(envFile, []byte(env), 0o600) != nil {
			t.Skip("can't write")
		}
		c, err := Load(Sources{File: file, EnvFile: envFile})
		var e *Error
		switch {
		case err == nil && len(c.Users) == 0:
			t.Error("a Config without users")
		case err == nil:
			_ = c.Redacted()
			if ch := c.Changes(c); len(ch) != 0 {
				t.Errorf("differs from itself: %v", ch)
			}
		case c != nil || !errors.As(err, &e) || len(e.Problems) == 0:
			t.Errorf("Load = %v, %v", c, err)
		}
	})
}
