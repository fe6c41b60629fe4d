package config

import (
	"bytes"
	"errors"
	"io"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// layer is what one source wrote.
type layer struct {
	values  map[string]value
	origins map[string]origin
	users   map[string]*layer // the keys of each user; nil when the source has no users
	usersAt origin
}

func newLayer() *layer {
	return &layer{values: map[string]value{}, origins: map[string]origin{}}
}

func (l *layer) set(key string, v value, where origin) {
	l.values[key] = v
	l.origins[key] = where
}

// fileReader turns YAML into a layer. It reads the document's nodes and not
// Go values, because only nodes know their lines, keep the case of names, and
// keep a password such as 0123 as it was written.
type fileReader struct {
	name   string // the file, or the variable that holds the YAML
	dir    string // relative paths start here
	where  func(line int) origin
	lookup func(string) (string, bool) // for ${NAME}
	ps     *problems
	out    *layer
}

// readFile reads a whole configuration file.
func readFile(name string, data []byte, lookup func(string) (string, bool), ps *problems) *layer {
	r := &fileReader{
		name: name, dir: filepath.Dir(name), lookup: lookup, ps: ps, out: newLayer(),
		where: func(line int) origin { return origin{file: name, line: line} },
	}
	if root := r.document(data); root != nil {
		r.section(root, "")
	}
	return r.out
}

// readUsers reads the YAML text of SHARDWAY_USERS.
func readUsers(text string, lookup func(string) (string, bool), ps *problems) *layer {
	variable := EnvPrefix + "USERS"
	r := &fileReader{
		name: variable, lookup: lookup, ps: ps, out: newLayer(),
		where: func(int) origin { return origin{name: variable} },
	}
	if root := r.document([]byte(text)); root != nil {
		r.users(root, origin{name: variable})
	}
	return r.out
}

// document returns the only document's root, or nil when there is nothing.
func (r *fileReader) document(data []byte) *yaml.Node {
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var doc, more yaml.Node
	switch err := dec.Decode(&doc); {
	case errors.Is(err, io.EOF):
		return nil
	case err != nil:
		r.ps.add(origin{file: r.name, name: r.where(0).name}, "", "isn't YAML: %s", strings.TrimPrefix(err.Error(), "yaml: "))
		return nil
	}
	if err := dec.Decode(&more); !errors.Is(err, io.EOF) {
		r.ps.add(r.where(more.Line), "", "has a second YAML document; one configuration is one document")
	}
	if len(doc.Content) == 0 || isNull(doc.Content[0]) {
		return nil
	}
	return doc.Content[0]
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Tag == "!!null" }

// target follows an alias to what it stands for.
func target(n *yaml.Node) *yaml.Node {
	for n.Kind == yaml.AliasNode && n.Alias != nil {
		n = n.Alias
	}
	return n
}

// each calls visit for every key of a mapping, and reports what isn't one and
// keys that are there twice.
func (r *fileReader) each(n *yaml.Node, path string, visit func(name string, at, v *yaml.Node)) {
	n = target(n)
	if isNull(n) {
		return
	}
	if n.Kind != yaml.MappingNode {
		r.ps.add(r.where(n.Line), path, "must be a section of keys, each on its own line as `key: value`")
		return
	}
	seen := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		if k.Kind != yaml.ScalarNode || k.Tag == "!!merge" {
			r.ps.add(r.where(k.Line), path, "has a key that isn't a plain word; merge keys (<<) aren't known here")
			continue
		}
		if first, ok := seen[k.Value]; ok {
			r.ps.add(r.where(k.Line), join(path, k.Value), "is there twice; the first is in line %d", first)
			continue
		}
		seen[k.Value] = k.Line
		visit(k.Value, k, v)
	}
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

func (r *fileReader) section(n *yaml.Node, path string) {
	keys := Keys()
	var names []string // what may stand here
	for _, k := range keys {
		rest, ok := strings.CutPrefix(k.Name, path)
		if rest = strings.TrimPrefix(rest, "."); !ok {
			continue
		}
		name, _, _ := strings.Cut(rest, ".")
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	if path == "" {
		names = append(names, "users")
	}
	r.each(n, path, func(name string, at, v *yaml.Node) {
		full := join(path, name)
		if full == "users" {
			r.users(v, r.where(at.Line))
			return
		}
		if strings.Contains(name, ".") || !slices.Contains(names, name) {
			r.unknown(at, full, name, names)
			return
		}
		if i := slices.IndexFunc(keys, func(k Key) bool { return k.Name == full }); i >= 0 {
			if val, ok := r.value(keys[i], full, v); ok {
				r.out.set(full, val, r.where(at.Line))
			}
			return
		}
		r.section(v, full)
	})
}

func (r *fileReader) unknown(at *yaml.Node, full, name string, names []string) {
	hint := nearest(name, names)
	if hint == "" {
		slices.Sort(names)
		hint = "; known here: " + strings.Join(names, ", ")
	}
	r.ps.add(r.where(at.Line), full, "is not a key%s", hint)
}

func (r *fileReader) users(n *yaml.Node, at origin) {
	r.out.users, r.out.usersAt = map[string]*layer{}, at
	keys := UserKeys()
	names := make([]string, len(keys))
	for i, k := range keys {
		names[i] = k.Name
	}
	r.each(n, "users", func(user string, at, v *yaml.Node) {
		u := newLayer()
		u.usersAt = r.where(at.Line)
		r.out.users[user] = u
		path := join("users", user)
		r.each(v, path, func(name string, at, v *yaml.Node) {
			i := slices.Index(names, name)
			if i < 0 {
				r.unknown(at, join(path, name), name, slices.Clone(names))
				return
			}
			if val, ok := r.value(keys[i], join(path, name), v); ok {
				u.set(name, val, r.where(at.Line))
			}
		})
	})
}

// value reads a scalar or a list of scalars.
func (r *fileReader) value(k Key, full string, n *yaml.Node) (value, bool) {
	n = target(n)
	switch {
	case isNull(n):
		r.ps.add(r.where(n.Line), full, `has no value; write "" for an empty one, or take the line out`)
		return value{}, false
	case n.Kind == yaml.ScalarNode:
		text, ok := r.expand(n, full)
		if k.Kind == File {
			text = r.path(text)
		}
		return value{text: text}, ok
	case n.Kind == yaml.SequenceNode && k.Kind == List:
		v := value{many: true, list: []string{}}
		for _, item := range n.Content {
			if item = target(item); item.Kind != yaml.ScalarNode || isNull(item) {
				r.ps.add(r.where(item.Line), full, "has an item that isn't one plain value")
				return value{}, false
			}
			text, ok := r.expand(item, full)
			if !ok {
				return value{}, false
			}
			v.list = append(v.list, text)
		}
		return v, true
	}
	r.ps.add(r.where(n.Line), full, "is one %s, not a section or a list", k.Kind)
	return value{}, false
}

// path makes a path that stands in the file relative to the file.
func (r *fileReader) path(p string) string {
	if p == "" || filepath.IsAbs(p) || strings.Contains(p, "://") || r.dir == "" {
		return p
	}
	return filepath.Join(r.dir, p)
}

// expand puts variables in place of ${NAME}; $${ is a plain ${.
func (r *fileReader) expand(n *yaml.Node, full string) (string, bool) {
	ok := true
	reference := regexp.MustCompile(`\$?\$\{[^}]*\}?`)
	text := reference.ReplaceAllStringFunc(n.Value, func(m string) string {
		if strings.HasPrefix(m, "$$") {
			return m[1:]
		}
		name, closed := strings.CutSuffix(m[2:], "}")
		if !closed || !isVariable(name) {
			r.ps.add(r.where(n.Line), full, "has %s, which isn't the name of a variable as in ${NAME}; write $${ for a plain ${", strconv.Quote(m))
			ok = false
			return ""
		}
		v, found := r.lookup(name)
		if !found {
			r.ps.add(r.where(n.Line), full, "needs the environment variable %s, which isn't set", name)
			ok = false
		}
		return v
	})
	return text, ok
}

func isVariable(name string) bool {
	for i, c := range name {
		letter := c == '_' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return name != ""
}
