package config

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
)

const hidden = "(hidden)"

func dirOf(file string) string { return filepath.Dir(file) }

// Redacted writes every key with its value, one a line and without secrets,
// as `key: value`.
func (c *Config) Redacted() string {
	var b strings.Builder
	for _, s := range c.settings(true) {
		fmt.Fprintf(&b, "%s: %s\n", s.key, s.value)
	}
	return b.String()
}

type setting struct {
	key, value string
	standard   string // its default
	secret     bool
}

// settings lists all keys in their order, and then the users'.
func (c *Config) settings(redacted bool) []setting {
	var all []setting
	add := func(k Key, name string, field any) {
		s := setting{name, write(field), k.Default, k.Secret}
		if k.Secret && redacted && s.value != "" {
			s.value = hidden
		}
		all = append(all, s)
	}
	for _, k := range Keys() {
		add(k, k.Name, k.field(c))
	}
	for _, name := range slices.Sorted(maps.Keys(c.Users)) {
		for _, f := range userFields() {
			add(f.Key, "users."+name+"."+f.Name, f.of(c.Users[name]))
		}
	}
	return all
}

// Changes says what differs in next, as `key: old -> new`, secrets as
// `key: changed`.
func (c *Config) Changes(next *Config) []string {
	old := map[string]setting{}
	for _, s := range c.settings(false) {
		old[s.key] = s
	}
	var changes []string
	for _, s := range next.settings(false) {
		before, had := old[s.key]
		delete(old, s.key)
		switch {
		case had && before.value == s.value, !had && s.value == s.standard && !strings.HasSuffix(s.key, ".password"):
		case s.secret:
			changes = append(changes, s.key+": changed")
		default:
			changes = append(changes, fmt.Sprintf("%s: %s -> %s", s.key, quoted(before.value), quoted(s.value)))
		}
	}
	for _, key := range slices.Sorted(maps.Keys(old)) {
		if user, ok := strings.CutSuffix(key, ".password_file"); ok && strings.HasPrefix(key, "users.") && !strings.HasSuffix(key, ".old_password_file") {
			changes = append(changes, user+": taken out")
		}
	}
	return changes
}

func quoted(s string) string {
	if s == "" {
		return `""`
	}
	return s
}
