package config

type inertKey struct {
	key     string
	instead string             // what happens instead
	promise func(*Config) bool // whether the value promises something
}

// inert is the list of keys that this version reads and checks but that change
// nothing. A key leaves the list with the change that wires it.
func inert() []inertKey {
	return []inertKey{
		{
			"log.audit", "nothing is recorded",
			func(c *Config) bool { return c.Log.Audit != "" },
		},
	}
}

// Inert returns the keys whose value promises something that this version
// doesn't do, each with what happens instead. Where is empty for defaults.
func (c *Config) Inert() []Problem {
	var all []Problem
	for _, i := range inert() {
		if i.promise(c) {
			p := Problem{Key: i.key, Text: "has no effect in this version: " + i.instead}
			if o, ok := c.origins[i.key]; ok {
				p.Where = o.String()
			}
			all = append(all, p)
		}
	}
	return all
}
