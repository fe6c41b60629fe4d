package shardmap

import (
	"fmt"
	"slices"

	"go.yaml.in/yaml/v3"
)

// WithPaused returns the next version of the map, in which statements for the
// shard's primary wait at the proxies; why says for what, and "" lets them go
// on. The text's comments stay.
func (m *Map) WithPaused(shard, why string) (*Map, error) {
	return m.editShard(shard, func(n *yaml.Node) error {
		pause(n, why)
		return nil
	})
}

// WithPrimary returns the next version of the map, in which the replica with
// the address addr is the shard's primary, the former primary is a replica in
// its place, and the shard isn't paused. The text's comments stay.
func (m *Map) WithPrimary(shard, addr string) (*Map, error) {
	return m.editShard(shard, func(n *yaml.Node) error {
		at := slices.IndexFunc(m.Shard(shard).Replicas, func(s Server) bool { return s.Addr == addr })
		if at < 0 {
			return fmt.Errorf("%s is no replica of shard %s", addr, shard)
		}
		primary, replicas := child(n, "primary"), child(n, "replicas")
		*primary, *replicas.Content[at] = *replicas.Content[at], *primary
		pause(n, "")
		return nil
	})
}

// editShard returns the next version of the map with the YAML of one shard
// changed by edit.
func (m *Map) editShard(shard string, edit func(*yaml.Node) error) (*Map, error) {
	if m.Shard(shard) == nil {
		return nil, fmt.Errorf("the map has no shard %q; %s", shard, m.known())
	}
	return m.edit(func(doc *yaml.Node) error { return edit(child(child(doc, "shards"), shard)) })
}

// child returns the value of a key of a mapping, or nil.
func child(n *yaml.Node, key string) *yaml.Node {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i+1]
		}
	}
	return nil
}

func pause(n *yaml.Node, why string) {
	remove(n, "paused")
	if why != "" {
		n.Content = append(n.Content,
			&yaml.Node{Kind: yaml.ScalarNode, Value: "paused"},
			&yaml.Node{Kind: yaml.ScalarNode, Style: yaml.DoubleQuotedStyle, Value: why})
	}
}
