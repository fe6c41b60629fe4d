package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"shardway/shardmap"
	"shardway/shardmap/etcdstore"
	"shardway/shardmap/stores"
	"shardway/test/cluster"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"shardctl": main})
}

// TestScripts runs the tool as a program: the scripts in testdata say what
// each command prints and with which status it ends.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"status": wantStatus, "announce": announce,
		},
	})
}

// TestEtcd runs the scripts that need an etcd.
func TestEtcd(t *testing.T) {
	if why := cluster.EtcdMissing(); why != "" {
		t.Skip(why)
	}
	e, err := cluster.StartEtcd(t.Context(), cluster.EtcdOptions{TLS: true, Root: "r00t", Users: map[string]string{"shardway": "secret"}})
	if err != nil {
		t.Fatal(err)
	}
	// The scripts run in parallel, after this function has returned.
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	testscript.Run(t, testscript.Params{
		Dir: "testdata/etcd",
		Setup: func(env *testscript.Env) error {
			env.Setenv("ETCD", e.Map("shop"))
			env.Setenv("CA", e.TLS.CA)
			env.Setenv("CERT", e.TLS.Cert)
			env.Setenv("KEY", e.TLS.Key)
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"status": wantStatus, "announce": announce,
		},
	})
}

// announce does what a proxy does: announce STORE JSON.
func announce(ts *testscript.TestScript, _ bool, args []string) {
	at := args[0]
	if stores.IsFile(at) {
		at = ts.MkAbs(at)
	}
	s, err := stores.Open(at, etcdstore.Options{User: "shardway", Password: "secret", CA: ts.Getenv("CA"), Cert: ts.Getenv("CERT"), Key: ts.Getenv("KEY")})
	ts.Check(err)
	defer s.Close()
	var p shardmap.Proxy
	ts.Check(json.Unmarshal([]byte(args[1]), &p))
	ts.Check(s.Announce(context.Background(), p))
}

// wantStatus runs a program and compares its exit status: status 3 shardctl …
func wantStatus(ts *testscript.TestScript, _ bool, args []string) {
	err := ts.Exec(args[1], args[2:]...)
	got := "0"
	var exit interface{ ExitCode() int }
	if errors.As(err, &exit) {
		got = string(rune('0' + exit.ExitCode()))
	}
	if got != args[0] {
		ts.Fatalf("exit status %s, want %s", got, args[0])
	}
}

// terminal is a stdin with somebody who answers.
type terminal struct{ *strings.Reader }

func (terminal) Terminal() bool { return true }

func TestConfirm(t *testing.T) {
	const before = "version: 1\nshards: {s0: {primary: \"a:1\"}}\n"
	for answer, want := range map[string]int{"y\n": 0, "YES\n": 0, "n\n": exitRefused, "\n": exitRefused, "": exitRefused} {
		dir := t.TempDir()
		path, next := filepath.Join(dir, "m.yaml"), filepath.Join(dir, "next.yaml")
		for name, text := range map[string]string{path: before, next: strings.Replace(before, "a:1", "b:1", 1)} {
			if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		var out, errs bytes.Buffer
		err := run(context.Background(), []string{"--map", path, "map", "apply", next}, terminal{strings.NewReader(answer)}, &out, &errs)
		if got := status(err, &errs); got != want {
			t.Errorf("answer %q gives status %d, want %d: %v", answer, got, want, err)
		}
		if !strings.Contains(errs.String(), "Store version 2? [y/N] ") || !strings.Contains(out.String(), "~ shard s0 primary: a:1 -> b:1") {
			t.Errorf("it shows\n%s\nand asks\n%s", &out, &errs)
		}
		text, err := os.ReadFile(path)
		if changed := string(text) != before; err != nil || changed != (want == 0) {
			t.Errorf("answer %q: changed is %v, %v", answer, changed, err)
		}
	}
}

func TestEveryCommandHasHelpWithAnExample(t *testing.T) {
	for _, c := range commands() {
		var out, errs bytes.Buffer
		args := append(strings.Fields(c.name), "--help")
		if err := run(context.Background(), args, strings.NewReader(""), &out, &errs); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		if s := out.String(); !strings.Contains(s, "Usage: shardctl") || !strings.Contains(s, "Example:\n  shardctl ") || !strings.Contains(s, c.name) {
			t.Errorf("%s --help says\n%s", c.name, s)
		}
	}
}
