package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"shardway/config"
	"shardway/shardmap"
)

const root = "../.." // of the module

// The examples on the front page and in the guide are read as a user's files would be.
func TestDocumentedFiles(t *testing.T) {
	block := regexp.MustCompile("(?s)```yaml\n(.*?)```")
	for _, doc := range []string{"README.md", "docs/getting-started.md"} {
		text, err := os.ReadFile(filepath.Join(root, doc))
		if err != nil {
			t.Fatal(err)
		}
		maps, configs := 0, 0
		for _, m := range block.FindAllStringSubmatch(string(text), -1) {
			if strings.HasPrefix(m[1], "version:") {
				maps++
				if _, err := shardmap.Parse([]byte(m[1])); err != nil {
					t.Errorf("%s: a map: %v\n%s", doc, err, m[1])
				}
				continue
			}
			configs++
			file := filepath.Join(t.TempDir(), "shardway.yaml")
			if err := os.WriteFile(file, []byte(m[1]), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := config.Load(config.Sources{File: file, Environ: []string{"APP_PASSWORD=a", "SERVERS_PASSWORD=b"}}); err != nil {
				t.Errorf("%s: a configuration: %v\n%s", doc, err, m[1])
			}
		}
		if maps == 0 || configs == 0 {
			t.Errorf("%s has %d maps and %d configurations", doc, maps, configs)
		}
	}
}

// A document links only to what is there.
func TestLinks(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)#:]+)(#[^)]*)?\)`)
	check := func(doc string) {
		text, err := os.ReadFile(doc)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range link.FindAllStringSubmatch(string(text), -1) {
			if _, err := os.Stat(filepath.Join(filepath.Dir(doc), m[1])); err != nil {
				t.Errorf("%s links to %s, which isn't there", doc, m[1])
			}
		}
	}
	top, err := filepath.Glob(filepath.Join(root, "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, doc := range top {
		check(doc)
	}
	err = filepath.WalkDir(filepath.Join(root, "docs"), func(path string, _ fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, ".md") {
			check(path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
