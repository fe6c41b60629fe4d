package shardmap

import (
	"bytes"
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
	text, err := m.Marshal()
	if err != nil {
		return nil, err
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(text, &doc); err != nil {
		return nil, err
	}
	if err := edit(child(child(doc.Content[0], "shards"), shard)); err != nil {
		return nil, err
	}
	var out bytes.Buffer
	enc := yaml.NewEncoder(&out)
	enc.SetIndent(2)
	if err := enc.Encode(&doc); err != nil {
		return nil, err
	}
	next, err := Parse(out.Bytes())
	if err != nil {
		return nil, err
	}
	return next.WithVersion(m.version + 1), nil
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
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == "paused" {
			n.Content = slices.Delete(n.Content, i, i+2)
			break
		}
	}
	if why != "" {
		n.Content = append(n.Content,
			&yaml.Node{Kind: yaml.ScalarNode, Value: "paused"},
			&yaml.Node{Kind: yaml.ScalarNode, Style: yaml.DoubleQuotedStyle, Value: why})
	}
}
