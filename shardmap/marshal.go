package shardmap

import (
	"bytes"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// Marshal returns the map as YAML that Parse reads back to an equal map. A map
// that was parsed gives its own text, comments and all, with its version put
// in; a map that was computed is written in one canonical form. The error is
// always nil and there for encodings that can fail.
func (m *Map) Marshal() ([]byte, error) {
	if m.source == nil {
		return m.canonical(m.version), nil
	}
	version := strconv.FormatUint(m.version, 10)
	out := make([]byte, 0, len(m.source)+len(version))
	out = append(out, m.source[:m.versionAt.from]...)
	out = append(out, version...)
	return append(out, m.source[m.versionAt.to:]...), nil
}

// WithVersion returns the same map as version v, which must be at least 1.
func (m *Map) WithVersion(v uint64) *Map {
	c := *m
	c.version = v
	return &c
}

// canonical writes the map in the one form that depends on its meaning alone.
func (m *Map) canonical(version uint64) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "version: %d\n", version)
	if m.defaultShard != nil {
		fmt.Fprintf(&b, "default_shard: %s\n", quote(m.defaultShard.ID))
	}
	b.WriteString("shards:\n")
	for _, s := range m.shards {
		fmt.Fprintf(&b, "  %s: {primary: %s", quote(s.ID), s.Primary.yaml())
		if len(s.Replicas) > 0 {
			list := make([]string, len(s.Replicas))
			for i, r := range s.Replicas {
				list[i] = r.yaml()
			}
			fmt.Fprintf(&b, ", replicas: [%s]", strings.Join(list, ", "))
		}
		if s.Paused != "" {
			fmt.Fprintf(&b, ", paused: %s", quote(s.Paused))
		}
		b.WriteString("}\n")
	}
	if len(m.databases) == 0 {
		return b.Bytes()
	}
	b.WriteString("databases:\n")
	for _, d := range m.databases {
		d.yaml(&b, m)
	}
	return b.Bytes()
}

func (s Server) yaml() string {
	if s.Weight == 1 && s.Zone == "" {
		return strconv.Quote(s.Addr)
	}
	out := "{addr: " + strconv.Quote(s.Addr)
	if s.Weight != 1 {
		out += fmt.Sprintf(", weight: %d", s.Weight)
	}
	if s.Zone != "" {
		out += ", zone: " + quote(s.Zone)
	}
	return out + "}"
}

func (d *Database) yaml(b *bytes.Buffer, m *Map) {
	fmt.Fprintf(b, "  %s:", quote(d.Name))
	if d.Slots == 0 && !d.ownDefault && len(d.Tables) == 0 {
		b.WriteString(" {}\n")
		return
	}
	b.WriteString("\n")
	if d.Slots > 0 {
		fmt.Fprintf(b, "    slots: %d\n    owners:\n%s", d.Slots, d.ownersYAML(m, "      "))
		if len(d.moves) > 0 {
			b.WriteString("    moves:\n" + movesYAML(d.moves, "      "))
		}
	}
	if d.ownDefault {
		fmt.Fprintf(b, "    default_shard: %s\n", quote(d.Default.ID))
	}
	if len(d.Tables) == 0 {
		return
	}
	b.WriteString("    tables:\n")
	for _, t := range d.Tables {
		fmt.Fprintf(b, "      %s: {%s}\n", quote(t.Name), strings.Join(t.yaml(), ", "))
	}
}

// ownersYAML writes the slots of each shard that owns some, a line each.
func (d *Database) ownersYAML(m *Map, indent string) string {
	var b strings.Builder
	owned := make([][]int, len(m.shards))
	for slot, s := range d.owners {
		owned[s.Index] = append(owned[s.Index], slot)
	}
	for _, s := range m.shards {
		if len(owned[s.Index]) == 0 {
			continue
		}
		list := FormatSlots(owned[s.Index])
		for i := range list {
			list[i] = strconv.Quote(list[i])
		}
		fmt.Fprintf(&b, "%s%s: [%s]\n", indent, quote(s.ID), strings.Join(list, ", "))
	}
	return b.String()
}

func (t *Table) yaml() []string {
	if t.Reference {
		out := []string{"reference: true"}
		if t.Sequence != "" {
			out = append(out, "sequence: "+quote(t.Sequence))
		}
		return out
	}
	out := []string{"key: " + quote(t.Key)}
	if t.KeyType.Declared() {
		out = append(out, "key_type: "+quote(t.KeyType.String()))
	}
	out = append(out, "placement: "+string(t.Placement))
	if t.Fold != FoldNone {
		out = append(out, "fold: "+t.Fold)
	}
	if t.Sequence != "" {
		out = append(out, "sequence: "+quote(t.Sequence))
	}
	return out
}

var plainForm = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// quote writes a text so that YAML reads it as that text: plain where that is
// certain.
func quote(s string) string {
	if plainForm.MatchString(s) {
		switch strings.ToLower(s) {
		case "null", "true", "false", "yes", "no", "on", "off", "y", "n":
		default:
			return s
		}
	}
	return strconv.QuoteToASCII(s)
}
