package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const goodMap = `version: 3
shards:
  s0: {primary: "127.0.0.1:1", replicas: [{addr: "127.0.0.1:2"}]}
  s1: {primary: "127.0.0.1:3"}
databases:
  shop:
    slots: 4
    owners: {s0: ["0-1"], s1: ["2-3"]}
    default_shard: s0
    tables:
      users: {key: id, placement: mod}
`

const goodConfig = "listen: [127.0.0.1:0]\nadmin: {listen: 127.0.0.1:0}\nmap: shards.yaml\nusers: {app: {password: app, databases: [shop]}}\ntransactions: {cross_shard: forbid}\n"

// files writes files, each a name and its text, and returns their directory.
func files(t *testing.T, pairs ...string) string {
	t.Helper()
	dir := t.TempDir()
	for i := 0; i < len(pairs); i += 2 {
		write(t, filepath.Join(dir, pairs[i]), pairs[i+1])
	}
	return dir
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func runIt(t *testing.T, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	status = run(t.Context(), &program{args: args, stdout: &out, stderr: &errs})
	return status, out.String(), errs.String()
}

func TestUsage(t *testing.T) {
	for _, tc := range []struct {
		args   string
		status int
		out    string // of both streams
	}{
		{"", 2, "name a command: serve, check, health or version"},
		{"help", 0, "shardway serve -c FILE"},
		{"--help", 0, "shardway serve -c FILE"},
		{"version", 0, "shardway devel"},
		{"start", 2, `there is no command "start"; the commands are serve, check, health and version`},
		{"serve", 2, "serve needs -c FILE, the configuration file"},
		{"serve --help", 0, "--replicas-max-lag"},
		{"check --help", 0, "--connect"},
		{"check -c x --nope", 2, "check: unknown flag: --nope"},
		{"check -c x y", 2, `check takes no argument "y"`},
		{"check -c x --output xml", 2, `--output is table or json, not "xml"`},
		{"serve -c /nonexistent.yaml", 1, "shardway: open /nonexistent.yaml: no such file or directory"},
	} {
		status, out, errs := runIt(t, strings.Fields(tc.args)...)
		if status != tc.status || !strings.Contains(out+errs, tc.out) {
			t.Errorf("shardway %s: status %d, want %d, with %q:\n%s%s", tc.args, status, tc.status, tc.out, out, errs)
		}
	}
	if _, out, _ := runIt(t, "serve", "--help"); strings.Contains(out, "--servers-password ") || strings.Contains(out, "--admin-token") || strings.Contains(out, "`") {
		t.Error("there is a flag for a password, which other users of the machine could see")
	}
}

func TestCheckWithoutServers(t *testing.T) {
	dir := files(t, "good.yaml", goodConfig, "shards.yaml", goodMap,
		"bad.yaml", goodConfig+"log: {level: loud}\nnope: 1\n",
		"badmap.yaml", strings.ReplaceAll(goodConfig, "shards.yaml", "broken.yaml"), "broken.yaml", strings.ReplaceAll(goodMap, "2-3", "1-3"),
		"nomap.yaml", strings.ReplaceAll(goodConfig, "shards.yaml", "gone.yaml"),
		"inert.yaml", goodConfig+"log: {audit: audit.log}\n",
		"tls.yaml", goodConfig+"tls: {cert: gone.pem, key: gone.pem}\n",
		"other.yaml", strings.ReplaceAll(goodConfig, "[shop]", "[shop, stock]"),
	)
	for _, tc := range []struct {
		file   string
		status int
		want   []string
	}{
		{"good.yaml", 0, []string{"ok    DIR/good.yaml    configuration  1 user\n", "ok    DIR/shards.yaml  map            version 3: 2 shards, 1 database, 1 listed table\n", "\n2 ok, 0 warnings, 0 failures\n"}},
		{"bad.yaml", 1, []string{"fail  DIR/bad.yaml:7  configuration  nope: is not a key", `fail  DIR/bad.yaml:6  configuration  log.level: "loud" isn't one of debug, info, warn, error`, "0 ok, 0 warnings, 2 failures"}},
		{"badmap.yaml", 1, []string{"fail  DIR/broken.yaml:", "slot 1", "1 failure\n"}},
		{"nomap.yaml", 1, []string{"gone.yaml: no such file or directory", "-> write the map there, or set map in the configuration to where it is"}},
		{"inert.yaml", 0, []string{"warn  DIR/inert.yaml:6  configuration  log.audit: has no effect in this version", "1 warning,"}},
		{"tls.yaml", 1, []string{"fail  DIR/gone.pem", "no such file"}},
		{"other.yaml", 0, []string{"user app may use stock, which the map doesn't list: it lives whole on shard s0"}},
	} {
		status, out, errs := runIt(t, "check", "-c", filepath.Join(dir, tc.file))
		out = strings.ReplaceAll(out, dir, "DIR")
		if status != tc.status || errs != "" {
			t.Errorf("%s: status %d, want %d; %s", tc.file, status, tc.status, errs)
		}
		for _, want := range tc.want {
			if !strings.Contains(out, want) {
				t.Errorf("%s: %q isn't in\n%s", tc.file, want, out)
			}
		}
	}
	status, out, _ := runIt(t, "check", "-c", filepath.Join(dir, "bad.yaml"), "--output", "json")
	var doc struct {
		OK       bool
		Failures int
		Findings []finding
	}
	if err := json.Unmarshal([]byte(out), &doc); err != nil || status != 1 || doc.OK || doc.Failures != 2 || len(doc.Findings) != 2 || doc.Findings[0].Level != levelFail {
		t.Errorf("%d %v %s", status, err, out)
	}
}
