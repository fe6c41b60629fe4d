package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"shardway/config"
	"shardway/shardmap"
)

// TestManifests reads the configurations that docker/ has for compose
// and Kubernetes, with the environment that each gives the container.
func TestManifests(t *testing.T) {
	var compose struct {
		Services struct {
			Shardway struct{ Environment map[string]string }
		}
	}
	var configMap struct{ Data map[string]string }
	var secret struct {
		StringData map[string]string `yaml:"stringData"`
	}
	docker := filepath.Join("..", "..", "docker")
	for file, into := range map[string]any{"compose.yaml": &compose, "kubernetes/configmap.yaml": &configMap, "kubernetes/secret.yaml": &secret} {
		data, err := os.ReadFile(filepath.Join(docker, file))
		if err == nil {
			err = yaml.Unmarshal(data, into)
		}
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
	}
	kubernetes := t.TempDir()
	for name, text := range configMap.Data {
		write(t, filepath.Join(kubernetes, name), text)
	}
	for name, c := range map[string]struct {
		dir         string
		environment map[string]string
	}{
		"compose":    {filepath.Join(docker, "config"), compose.Services.Shardway.Environment},
		"kubernetes": {kubernetes, secret.StringData},
	} {
		t.Run(name, func(t *testing.T) {
			var environ []string
			for k, v := range c.environment {
				environ = append(environ, k+"="+v)
			}
			conf, err := config.Load(config.Sources{File: filepath.Join(c.dir, "shardway.yaml"), Environ: environ})
			if err != nil {
				t.Fatal(err)
			}
			if conf.Servers.Password == "" || conf.Users["app"].Password == "" || conf.Admin.Token == "" {
				t.Error("a password or the token is missing")
			}
			if !strings.HasSuffix(conf.Listen[0], ":4406") || !strings.HasSuffix(conf.Admin.Listen, ":4480") {
				t.Errorf("it listens at %v and %s, not where the containers' ports are", conf.Listen, conf.Admin.Listen)
			}
			if !strings.HasPrefix(conf.Map, "etcd://etcd:2379/") {
				t.Errorf("the map is in %s, and many proxies need one store", conf.Map)
			}
		})
	}
	text, err := os.ReadFile(filepath.Join(docker, "config", "shards.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if m, err := shardmap.Parse(text); err != nil || len(m.Shards()) != 2 {
		t.Errorf("compose's first map: %v", err)
	}
}
