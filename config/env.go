package config

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
)

// environment is what ${NAME} and the SHARDWAY_ variables are read from: the
// process's environment, and below it the environment file.
type environment struct {
	vars    map[string]string
	origins map[string]origin
}

func newEnvironment(environ []string) *environment {
	e := &environment{vars: map[string]string{}, origins: map[string]origin{}}
	for _, kv := range environ {
		if name, v, ok := strings.Cut(kv, "="); ok {
			e.vars[name], e.origins[name] = v, origin{name: name}
		}
	}
	return e
}

func (e *environment) lookup(name string) (string, bool) {
	v, ok := e.vars[name]
	return v, ok
}

// readEnvFile adds the variables of an environment file, except those that the
// process has already: the file gives what is missing, as with other programs.
func (e *environment) readEnvFile(name string, data string, ps *problems) {
	seen := map[string]int{}
	line := 0
	for text := range strings.SplitSeq(data, "\n") {
		line++
		where := origin{file: name, line: line}
		text = strings.TrimSpace(text)
		if text == "" || text[0] == '#' {
			continue
		}
		variable, v, err := envLine(strings.TrimPrefix(text, "export "))
		switch first, twice := seen[variable]; {
		case err != nil:
			ps.add(where, "", "%s", err)
			continue
		case twice:
			ps.add(where, "", "sets %s again; the first is in line %d", variable, first)
			continue
		}
		seen[variable] = line
		if _, ok := e.vars[variable]; !ok {
			e.vars[variable] = v
			e.origins[variable] = origin{name: fmt.Sprintf("%s (%s)", variable, where)}
		}
	}
}

// envLine reads NAME=VALUE. A value may be in single quotes, where everything
// is plain, or in double quotes, where \n, \t, \", \\ and \$ are known.
// Otherwise it is the rest of the line, to the letter.
func envLine(text string) (name, v string, err error) {
	name, v, ok := strings.Cut(text, "=")
	name, v = strings.TrimSpace(name), strings.TrimSpace(v)
	if !ok || !isVariable(name) {
		return "", "", fmt.Errorf("isn't a line of the form NAME=VALUE")
	}
	if v == "" || v[0] != '"' && v[0] != '\'' {
		return name, v, nil
	}
	quote := v[0]
	if len(v) < 2 || v[len(v)-1] != quote {
		return "", "", fmt.Errorf("has a value for %s whose quote isn't closed", name)
	}
	v = v[1 : len(v)-1]
	if quote == '\'' {
		return name, v, nil
	}
	var b strings.Builder
	for i := 0; i < len(v); i++ {
		if v[i] != '\\' || i+1 == len(v) {
			b.WriteByte(v[i])
			continue
		}
		i++
		switch v[i] {
		case 'n':
			b.WriteByte('\n')
		case 't':
			b.WriteByte('\t')
		case '"', '\\', '$':
			b.WriteByte(v[i])
		default:
			b.WriteByte('\\')
			b.WriteByte(v[i])
		}
	}
	return name, b.String(), nil
}

// layer takes the SHARDWAY_ variables. Those of users are applied to the users
// that the file names, because a variable's name has lost the case of theirs.
func (e *environment) layer(file *layer, ps *problems) *layer {
	out := newLayer()
	byEnv := map[string]Key{}
	names := []string{EnvPrefix + "USERS"}
	for _, k := range Keys() {
		byEnv[k.Env()] = k
		names = append(names, k.Env())
	}
	if text, ok := e.vars[EnvPrefix+"USERS"]; ok {
		from := readUsers(text, e.lookup, ps)
		out.users, out.usersAt = from.users, e.origins[EnvPrefix+"USERS"]
		if out.users == nil {
			out.users = map[string]*layer{}
		}
	}
	users := file.users
	if out.users != nil {
		users = out.users
	}
	written := make([]string, 0, len(e.vars))
	for name := range e.vars {
		if strings.HasPrefix(name, EnvPrefix) && name != EnvPrefix+"USERS" && !fromOrchestrator(name) {
			written = append(written, name)
		}
	}
	slices.Sort(written) // so that problems come in one order
	for _, name := range written {
		where := e.origins[name]
		if k, ok := byEnv[name]; ok {
			out.set(k.Name, value{text: e.vars[name]}, where)
			continue
		}
		if rest, ok := strings.CutPrefix(name, EnvPrefix+"USERS_"); ok {
			e.userVariable(users, rest, e.vars[name], where, ps)
			continue
		}
		ps.add(where, "", "no key has this name in the environment%s", nearest(name, names))
	}
	return out
}

func (e *environment) userVariable(users map[string]*layer, rest, text string, where origin, ps *problems) {
	var matches []string
	var key Key
	for user := range users {
		for _, k := range UserKeys() {
			if rest == variableOf(user)+"_"+strings.ToUpper(k.Name) {
				matches, key = append(matches, user), k
			}
		}
	}
	switch len(matches) {
	case 0:
		ps.add(where, "", "no user and key have this name in the environment; the user must be in the file or in %sUSERS, and the keys are %s", EnvPrefix, userVariables())
	case 1:
		u := users[matches[0]]
		// A password from the environment replaces each form in the file.
		forms := []string{"password", "password_file", "verifier"}
		if strings.HasPrefix(key.Name, "old_") {
			forms = []string{"old_password", "old_password_file", "old_verifier"}
		}
		if slices.Contains(forms, key.Name) {
			for _, form := range forms {
				delete(u.values, form)
			}
		}
		u.set(key.Name, value{text: text}, where)
	default:
		slices.Sort(matches)
		ps.add(where, "", "could mean each of the users %s; set it in the file", strings.Join(matches, ", "))
	}
}

// userVariables names the keys of a user as they end variables.
func userVariables() string {
	var names []string
	for _, k := range UserKeys() {
		names = append(names, strings.ToUpper(k.Name))
	}
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " and " + names[last]
}

// variableOf writes a user's name as part of a variable's.
func variableOf(user string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' {
			return r
		}
		return '_'
	}, strings.ToUpper(user))
}

// fromOrchestrator reports variables that Kubernetes puts into every container
// beside a Service whose name begins with "shardway": nobody wrote them.
func fromOrchestrator(name string) bool {
	return regexp.MustCompile(`_(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT|PORT_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)$`).MatchString(name)
}

// readSecret reads a password file. The line end that editors and `echo` put
// at its end isn't part of the password.
func readSecret(name string) (string, error) {
	data, err := os.ReadFile(name)
	if err != nil {
		return "", err
	}
	s := strings.TrimSuffix(string(data), "\n")
	return strings.TrimSuffix(s, "\r"), nil
}
