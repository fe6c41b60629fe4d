package config

import (
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/spf13/pflag"
	"github.com/spf13/viper"
)

// Sources says where a configuration is read from. Each may be left out.
type Sources struct {
	File    string         // YAML
	EnvFile string         // NAME=VALUE lines; below Environ
	Environ []string       // as os.Environ returns it
	Flags   *pflag.FlagSet // with the flags that AddFlags added
	// Only names the sections that matter to the caller, such as map and etcd;
	// nil is all. What is wrong elsewhere is no error then: a tool that reads
	// where the map is needs no users' password files.
	Only []string
}

// matters says whether a problem is about what the caller asked for.
func (s Sources) matters(p Problem) bool {
	if s.Only == nil {
		return true
	}
	return slices.ContainsFunc(s.Only, func(section string) bool {
		if p.Key == section || strings.HasPrefix(p.Key, section+".") {
			return true
		}
		if p.Key != "" {
			return false
		}
		// A file that can't be read, or a variable that is no key.
		name := EnvPrefix + strings.ToUpper(section)
		return !strings.HasPrefix(p.Where, EnvPrefix) || p.Where == name || strings.HasPrefix(p.Where, name+"_")
	})
}

// AddFlags adds a flag for every key that may be shown.
func AddFlags(fs *pflag.FlagSet) {
	for _, k := range Keys() {
		if name := k.Flag(); name != "" {
			doc := strings.ReplaceAll(k.Doc, "`", "") // pflag would take what is quoted for the value's name
			if k.Kind == Word {
				doc += " (" + strings.Join(k.Allowed, ", ") + ")"
			}
			fs.AddFlag(&pflag.Flag{Name: name, Usage: doc, Value: &flagValue{text: k.Default, kind: k.Kind}, DefValue: k.Default})
		}
	}
}

// flagValue keeps a flag's text; it is parsed with the other sources' texts.
type flagValue struct {
	text string
	kind Kind
}

func (f *flagValue) Set(s string) error { f.text = s; return nil }
func (f *flagValue) String() string     { return f.text }

// Type names the value in the usage text. It must not be one of pflag's own
// types, which viper would convert.
func (f *flagValue) Type() string { return "<" + string(f.kind) + ">" }

// Load reads and checks a configuration. When something is wrong it returns an
// *Error with all that is, and no Config.
func Load(s Sources) (*Config, error) {
	var ps problems
	c := &Config{origins: map[string]origin{}}

	env := newEnvironment(s.Environ)
	if s.EnvFile != "" {
		c.files = append(c.files, s.EnvFile)
		data, err := os.ReadFile(s.EnvFile)
		if err != nil {
			ps.add(origin{name: "--env-file"}, "", "%s", err)
		}
		env.readEnvFile(s.EnvFile, string(data), &ps)
	}
	file := newLayer()
	if s.File != "" {
		c.files = append(c.files, s.File)
		data, err := os.ReadFile(s.File)
		if err != nil {
			ps.add(origin{}, "", "%s", err)
			return nil, ps.err()
		}
		file = readFile(s.File, data, env.lookup, &ps)
	}
	flags := flagLayer(s.Flags)
	vars := env.layer(file, &ps)

	c.fill(s, file, vars, flags, &ps)
	c.fillUsers(file, vars, &ps)
	c.readSecrets(&ps)
	unasked := func(p Problem) bool { return !s.matters(p) }
	ps.all = slices.DeleteFunc(ps.all, unasked)
	if len(ps.all) == 0 { // what contradicts what is worth saying only of values that are right
		c.check(&ps)
	}
	ps.all = slices.DeleteFunc(ps.all, unasked)
	if err := ps.err(); err != nil {
		return nil, err
	}
	return c, nil
}

func flagLayer(fs *pflag.FlagSet) *layer {
	l := newLayer()
	if fs == nil {
		return l
	}
	for _, k := range Keys() {
		if f := fs.Lookup(k.Flag()); f != nil && f.Changed {
			l.set(k.Name, value{text: f.Value.String()}, origin{name: "--" + f.Name})
		}
	}
	return l
}

// fill merges the sources, and parses what won.
func (c *Config) fill(s Sources, file, vars, flags *layer, ps *problems) {
	// Two ways to one password: the stronger source's replaces the other's.
	for _, stronger := range []struct{ over, under *layer }{{vars, file}, {flags, file}, {flags, vars}} {
		for _, key := range []string{"servers.password", "etcd.password", "failover.password", "failover.replication_password"} {
			if _, ok := stronger.over.values[key]; ok {
				delete(stronger.under.values, key+"_file")
			}
			if _, ok := stronger.over.values[key+"_file"]; ok {
				delete(stronger.under.values, key)
			}
		}
	}
	v := viper.New()
	for _, k := range Keys() {
		v.SetDefault(k.Name, k.Default)
		if s.Flags != nil {
			if f := s.Flags.Lookup(k.Flag()); f != nil {
				_ = v.BindPFlag(k.Name, f) // fails for a nil flag only
			}
		}
	}
	_ = v.MergeConfigMap(nested(file)) // fails for nothing
	_ = v.MergeConfigMap(nested(vars))
	for _, k := range Keys() {
		where := origin{file: s.File}
		for _, l := range []*layer{file, vars, flags} {
			if o, ok := l.origins[k.Name]; ok {
				if _, still := l.values[k.Name]; still {
					where = o
					c.origins[k.Name] = o
				}
			}
		}
		val := value{text: v.GetString(k.Name)}
		if list, ok := v.Get(k.Name).([]string); ok {
			val = value{list: list, many: true}
		}
		if _, set := c.origins[k.Name]; !set && k.Kind == File && s.File != "" {
			val.text = (&fileReader{dir: dirOf(s.File)}).path(val.text)
		}
		if err := assign(k, k.field(c), val); err != nil {
			ps.add(where, k.Name, "%s", redact(k, err))
		}
	}
}

// nested makes the map of maps that viper merges.
func nested(l *layer) map[string]any {
	root := map[string]any{}
	for key, val := range l.values {
		m := root
		path := strings.Split(key, ".")
		for _, section := range path[:len(path)-1] {
			next, ok := m[section].(map[string]any)
			if !ok {
				next = map[string]any{}
				m[section] = next
			}
			m = next
		}
		if val.many {
			m[path[len(path)-1]] = val.list
		} else {
			m[path[len(path)-1]] = val.text
		}
	}
	return root
}

func (c *Config) fillUsers(file, vars *layer, ps *problems) {
	from := file
	if vars.users != nil {
		from = vars
	}
	c.Users = map[string]*User{}
	if from.users == nil {
		return
	}
	c.origins["users"] = from.usersAt
	for _, name := range slices.Sorted(maps.Keys(from.users)) {
		l, u := from.users[name], &User{Require: "none"}
		c.Users[name] = u
		path := "users." + name
		c.origins[path] = l.usersAt
		for _, f := range userFields() {
			val, ok := l.values[f.Name]
			if !ok {
				continue
			}
			c.origins[path+"."+f.Name] = l.origins[f.Name]
			if err := assign(f.Key, f.of(u), val); err != nil {
				ps.add(l.origins[f.Name], path+"."+f.Name, "%s", redact(f.Key, err))
			}
		}
	}
}

// redact keeps a secret out of the message about it.
func redact(k Key, err error) string {
	if k.Secret {
		return "isn't a " + string(k.Kind)
	}
	return err.Error()
}

// readSecrets reads the password files.
func (c *Config) readSecrets(ps *problems) {
	read := func(key, name string, to *string) {
		if name == "" {
			return
		}
		if c.IsSet(key) {
			ps.add(c.origins[key+"_file"], key+"_file", "is set, and %s is too; keep one of them", key)
			return
		}
		c.files = append(c.files, name)
		secret, err := readSecret(name)
		if err != nil {
			ps.add(c.origins[key+"_file"], key+"_file", "%s", err)
			return
		}
		*to = secret
	}
	read("etcd.password", c.Etcd.PasswordFile, &c.Etcd.Password)
	read("failover.password", c.Failover.PasswordFile, &c.Failover.Password)
	read("failover.replication_password", c.Failover.ReplicationPasswordFile, &c.Failover.ReplicationPassword)
	read("servers.password", c.Servers.PasswordFile, &c.Servers.Password)
	for _, name := range slices.Sorted(maps.Keys(c.Users)) {
		u := c.Users[name]
		key := "users." + name + ".password"
		read(key, u.PasswordFile, &u.Password)
		read("users."+name+".old_password", u.OldPasswordFile, &u.OldPassword)
	}
}
