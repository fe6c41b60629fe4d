package shardmap

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Limits of a map. They are far above any sensible one and keep a hostile file
// from taking memory or time.
const (
	MaxBytes      = 8 << 20 // of text
	MaxSlots      = 1 << 20 // of one database
	maxTotalSlots = 4 << 20 // of all databases
	maxShards     = 4096
	maxReplicas   = 256 // of one shard
	maxWeight     = 1000
	maxProblems   = 20
)

// Parse reads a map from YAML and checks all of it. The error is *Invalid and
// names for each problem the line, the key, what is wrong and what to do.
// Unknown keys, keys written twice, anchors and aliases are errors.
func Parse(data []byte) (*Map, error) {
	m, problems := Check(data)
	if m == nil {
		problems = slices.DeleteFunc(problems, func(p Problem) bool { return p.Warning })
		return nil, &Invalid{Problems: problems}
	}
	return m, nil
}

// Check reads a map as Parse does and reports warnings as well: what is right
// by the rules and probably not meant, such as a shard without slots. The map
// is nil when there are errors.
func Check(data []byte) (*Map, []Problem) {
	p := &parser{}
	m := p.document(data)
	if len(p.problems) > 0 {
		return nil, p.problems
	}
	return m, m.Warnings()
}

// parser walks the YAML nodes and collects problems.
type parser struct {
	problems []Problem
	addrs    map[string]string // server address -> where it is used
	slots    int               // of all databases together
}

// full reports that enough problems were found.
func (p *parser) full() bool { return len(p.problems) >= maxProblems }

func (p *parser) errorf(n *yaml.Node, key, format string, args ...any) {
	if p.full() {
		return
	}
	line := 0
	if n != nil {
		line = n.Line
	}
	p.problems = append(p.problems, Problem{Line: line, Key: key, Text: fmt.Sprintf(format, args...)})
}

func (p *parser) document(data []byte) *Map {
	if len(data) > MaxBytes {
		p.errorf(nil, "", "the text has %d bytes; at most %d are read", len(data), MaxBytes)
		return nil
	}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var doc, more yaml.Node
	if err := dec.Decode(&doc); errors.Is(err, io.EOF) {
		p.errorf(nil, "", "the text is empty; write at least version and shards")
		return nil
	} else if err != nil {
		p.errorf(nil, "", "%s", strings.TrimPrefix(err.Error(), "yaml: "))
		return nil
	}
	if err := dec.Decode(&more); !errors.Is(err, io.EOF) {
		p.errorf(&more, "", "a second YAML document begins here; a map is one document")
		return nil
	}
	m := &Map{byID: map[string]*Shard{}, byName: map[string]*Database{}}
	top := p.fields(doc.Content[0], "", "version", "shards", "databases", "default_shard")
	if top == nil {
		return nil
	}
	if n := top["version"]; n == nil {
		p.errorf(doc.Content[0], "version", "is missing; write version: 1 in a new map")
	} else if v, ok := p.uint(n, "version", 1, 1<<63-1); ok {
		m.version = v
		m.source, m.versionAt = data, scalarSpan(data, n)
		if m.versionAt.to == 0 {
			m.source = nil
		}
	}
	p.shards(m, doc.Content[0], top["shards"])
	if n := top["default_shard"]; n != nil {
		m.defaultShard = p.shardRef(m, n, "default_shard")
	}
	p.databases(m, top["databases"])
	return m
}

// scalarSpan finds the plain scalar n in data; the zero span if it isn't there.
func scalarSpan(data []byte, n *yaml.Node) span {
	from := 0
	for range n.Line - 1 {
		i := bytes.IndexByte(data[from:], '\n')
		if i < 0 {
			return span{}
		}
		from += i + 1
	}
	from += n.Column - 1
	to := from + len(n.Value)
	if n.Style != 0 || to > len(data) || string(data[from:to]) != n.Value {
		return span{}
	}
	return span{from, to}
}

// entry is one key of a mapping with its value.
type entry struct{ key, value *yaml.Node }

// entries returns the keys and values of a mapping in order; nothing, and a
// problem, if n is no mapping or has a key twice. Null counts as empty.
func (p *parser) entries(n *yaml.Node, path string) []entry {
	if n == nil || isNull(n) {
		return nil
	}
	if n.Kind != yaml.MappingNode {
		p.errorf(n, path, "must be a mapping of keys to values, not %s", kindName(n))
		return nil
	}
	if n.Anchor != "" {
		p.errorf(n, path, "has an anchor (&%s); anchors and aliases are not read, write the value out", n.Anchor)
		return nil
	}
	seen := map[string]int{}
	var list []entry
	for i := 0; i+1 < len(n.Content) && !p.full(); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		if k.Kind != yaml.ScalarNode || k.Tag == "!!merge" || k.Anchor != "" {
			p.errorf(k, path, "has %s as a key; keys are plain names", kindName(k))
			continue
		}
		if line, dup := seen[k.Value]; dup {
			p.errorf(k, join(path, k.Value), "is written twice, first in line %d; keep one", line)
			continue
		}
		seen[k.Value] = k.Line
		if v.Kind == yaml.AliasNode || v.Anchor != "" {
			p.errorf(v, join(path, k.Value), "uses an anchor or an alias; these are not read, write the value out")
			continue
		}
		list = append(list, entry{k, v})
	}
	return list
}

// fields is entries for a mapping with fixed keys, by name; nil if n is no
// mapping.
func (p *parser) fields(n *yaml.Node, path string, known ...string) map[string]*yaml.Node {
	if n.Kind != yaml.MappingNode {
		p.errorf(n, path, "must be a mapping with the keys %s, not %s", strings.Join(known, ", "), kindName(n))
		return nil
	}
	out := map[string]*yaml.Node{}
	for _, e := range p.entries(n, path) {
		if !slices.Contains(known, e.key.Value) {
			p.errorf(e.key, join(path, e.key.Value), "is not known here; known are %s", strings.Join(known, ", "))
			continue
		}
		out[e.key.Value] = e.value
	}
	return out
}

// items returns the values of a sequence; null counts as empty.
func (p *parser) items(n *yaml.Node, path, what string) []*yaml.Node {
	if n == nil || isNull(n) {
		return nil
	}
	if n.Kind != yaml.SequenceNode {
		p.errorf(n, path, "must be a list of %s, not %s", what, kindName(n))
		return nil
	}
	for _, v := range n.Content {
		if v.Kind == yaml.AliasNode || v.Anchor != "" {
			p.errorf(v, path, "uses an anchor or an alias; these are not read, write the value out")
			return nil
		}
	}
	return n.Content
}

func (p *parser) text(n *yaml.Node, path string) (string, bool) {
	if n.Kind != yaml.ScalarNode || n.Tag == "!!null" || n.Value == "" {
		p.errorf(n, path, "must be a text, not %s", kindName(n))
		return "", false
	}
	return n.Value, true
}

func (p *parser) uint(n *yaml.Node, path string, low, high uint64) (uint64, bool) {
	v, err := strconv.ParseUint(n.Value, 10, 64)
	if n.Kind != yaml.ScalarNode || err != nil || v < low || v > high {
		p.errorf(n, path, "must be a whole number from %d to %d, not %s", low, high, kindName(n))
		return 0, false
	}
	return v, true
}

var idForm = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}$`)

func (p *parser) shards(m *Map, top, n *yaml.Node) {
	p.addrs = map[string]string{}
	list := p.entries(n, "shards")
	if len(list) == 0 {
		if len(p.problems) == 0 {
			p.errorf(cmp.Or(n, top), "shards", "must name at least one shard, as in s0: {primary: \"127.0.0.1:3306\"}")
		}
		return
	}
	if len(list) > maxShards {
		p.errorf(n, "shards", "has %d shards; at most %d are allowed", len(list), maxShards)
		return
	}
	for _, e := range list {
		id, path := e.key.Value, join("shards", e.key.Value)
		if !idForm.MatchString(id) {
			p.errorf(e.key, path, "is no shard id; use 1 to 64 letters, digits, '_', '.' and '-'")
			continue
		}
		f := p.fields(e.value, path, "primary", "replicas", "paused")
		if f == nil {
			continue
		}
		s := &Shard{ID: id}
		if f["primary"] == nil {
			p.errorf(e.key, path, "has no primary; add primary: \"HOST:PORT\"")
		} else {
			s.Primary = p.server(f["primary"], path+".primary")
		}
		replicas := p.items(f["replicas"], path+".replicas", "servers")
		if len(replicas) > maxReplicas {
			p.errorf(f["replicas"], path+".replicas", "has %d servers; at most %d are allowed", len(replicas), maxReplicas)
			continue
		}
		for i, r := range replicas {
			s.Replicas = append(s.Replicas, p.server(r, fmt.Sprintf("%s.replicas[%d]", path, i)))
		}
		if w := f["paused"]; w != nil {
			s.Paused, _ = p.text(w, path+".paused")
		}
		m.byID[id] = s
		m.shards = append(m.shards, s)
	}
	m.orderShards()
}

func (m *Map) orderShards() {
	slices.SortFunc(m.shards, func(a, b *Shard) int { return naturalCompare(a.ID, b.ID) })
	for i, s := range m.shards {
		s.Index = i
	}
}

// server reads "host:port" or {addr, weight, zone}.
func (p *parser) server(n *yaml.Node, path string) Server {
	s := Server{Weight: 1}
	at := n
	if n.Kind == yaml.MappingNode {
		f := p.fields(n, path, "addr", "weight", "zone")
		at = f["addr"]
		if at == nil {
			p.errorf(n, path, "has no addr; add addr: \"HOST:PORT\"")
			return s
		}
		if w := f["weight"]; w != nil {
			v, _ := p.uint(w, path+".weight", 0, maxWeight)
			s.Weight = int(v)
		}
		if z := f["zone"]; z != nil {
			s.Zone, _ = p.text(z, path+".zone")
		}
	}
	addr, ok := p.text(at, path)
	if !ok {
		return s
	}
	if why := badAddr(addr); why != "" {
		p.errorf(at, path, "%q %s", addr, why)
		return s
	}
	same := strings.ToLower(addr)
	if strings.HasPrefix(addr, "unix:") {
		same = addr
	}
	if used, dup := p.addrs[same]; dup {
		p.errorf(at, path, "%q already is %s; a server belongs to one shard, once", addr, used)
		return s
	}
	p.addrs[same] = path
	s.Addr = addr
	return s
}

// shardRef reads the id of a shard that must exist.
func (p *parser) shardRef(m *Map, n *yaml.Node, path string) *Shard {
	id, ok := p.text(n, path)
	if !ok {
		return nil
	}
	s := m.byID[id]
	if s == nil {
		p.errorf(n, path, "names shard %q, which is not under shards; %s", id, m.known())
	}
	return s
}

// known lists the shards for an error message.
func (m *Map) known() string {
	ids := make([]string, 0, 8)
	for _, s := range m.shards {
		if len(ids) == 8 {
			ids = append(ids, "…")
			break
		}
		ids = append(ids, s.ID)
	}
	return "known are " + strings.Join(ids, ", ")
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Tag == "!!null" }

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// kindName says what a node is, for an error message.
func kindName(n *yaml.Node) string {
	switch {
	case n.Kind == yaml.MappingNode:
		return "a mapping"
	case n.Kind == yaml.SequenceNode:
		return "a list"
	case n.Kind == yaml.AliasNode:
		return "an alias"
	case isNull(n) || n.Value == "" && n.Style == 0:
		return "nothing"
	case len(n.Value) > 60:
		return strconv.Quote(n.Value[:60]) + "…"
	}
	return strconv.Quote(n.Value)
}
