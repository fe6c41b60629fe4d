package replication

import "shardway/shardmap/gtid"

// Executed is what a server has executed. It is parsed only when its text changes.
type Executed struct {
	texts    []string // values of Variables
	Set      gtid.Set
	Position string // the server's own word for it
}

// Read takes over the values of Variables.
func (e *Executed) Read(values []*string) {
	texts := make([]string, len(values))
	same := len(values) == len(e.texts)
	for i, v := range values {
		if v != nil {
			texts[i] = *v
		}
		same = same && texts[i] == e.texts[i]
	}
	if same {
		return
	}
	*e = Executed{texts: texts}
	for i, text := range texts {
		set, err := gtid.Parse(text)
		if err != nil {
			continue // unknown is what the set then says
		}
		if i == 0 {
			e.Position = set.String()
		}
		e.Set = e.Set.Union(set)
	}
}

// Variables are the variables that tell what a server has executed, the
// server's own word for it first.
func Variables(vars map[string]string) []string {
	var list []string
	for _, name := range []string{"gtid_executed", "gtid_current_pos", "gtid_binlog_state", "gtid_slave_pos"} {
		if _, ok := vars[name]; ok {
			list = append(list, name)
		}
	}
	return list
}
