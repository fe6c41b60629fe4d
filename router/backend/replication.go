package backend

import (
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"shardway/protocol"
	"shardway/shardmap/gtid"
)

// replication is what one server says of its replication, all channels together.
type replication struct {
	known    bool   // the server answered the question
	source   string // host:port of the source; "" if it has none
	sourceID string
	io, sql  string // Yes, or the state of the first thread that doesn't run
	lag      time.Duration
	lagKnown bool
	lagWhy   string // why the lag isn't known
}

// readReplication reads the answer to SHOW REPLICA STATUS or one of its older
// forms: the greatest lag over all channels, or why it isn't known.
func readReplication(res *protocol.Result) replication {
	r := replication{known: true}
	if len(res.Rows) == 0 {
		r.lagWhy = "the server isn't a replica of any source"
		return r
	}
	for _, row := range res.Rows {
		get := func(names ...string) (string, bool) {
			for i, column := range res.Columns {
				for _, name := range names {
					if strings.EqualFold(column, name) && i < len(row) && row[i] != nil {
						return *row[i], true
					}
				}
			}
			return "", false
		}
		if r.source == "" {
			host, named := get("Source_Host", "Master_Host")
			port, _ := get("Source_Port", "Master_Port")
			switch {
			case host != "":
				r.source = net.JoinHostPort(host, port)
			case !named:
				r.source = "a server that it doesn't name"
			}
			id, ok := get("Source_UUID", "Master_UUID")
			if !ok {
				id, _ = get("Source_Server_Id", "Master_Server_Id")
			}
			if id != "0" {
				r.sourceID = id
			}
		}
		for _, thread := range []struct {
			name, now, before, failure string
			state                      *string
		}{
			{"receiver", "Replica_IO_Running", "Slave_IO_Running", "Last_IO_Error", &r.io},
			{"applier", "Replica_SQL_Running", "Slave_SQL_Running", "Last_SQL_Error", &r.sql},
		} {
			running, ok := get(thread.now, thread.before)
			if !ok {
				continue
			}
			if *thread.state == "" || !strings.EqualFold(running, "Yes") {
				*thread.state = running
			}
			if strings.EqualFold(running, "Yes") || r.lagWhy != "" {
				continue
			}
			r.lagWhy = "the replication " + thread.name + " isn't running (" + running + ")"
			if text, _ := get(thread.failure); text != "" {
				r.lagWhy += ": " + text
			}
		}
		if r.lagWhy != "" {
			continue
		}
		text, ok := get("Seconds_Behind_Source", "Seconds_Behind_Master")
		if !ok {
			r.lagWhy = "the server reports no seconds behind its source"
			continue
		}
		seconds, err := strconv.ParseFloat(text, 64)
		if err != nil || seconds < 0 {
			r.lagWhy = "the server reports " + strconv.Quote(text) + " seconds behind its source"
			continue
		}
		r.lag = max(r.lag, time.Duration(seconds*float64(time.Second)))
	}
	r.lagKnown = r.lagWhy == ""
	return r
}

// The forms of the statement that shows replication, with who knows them: MariaDB
// (every connection to a source at once), MySQL 8.0.22 and later, those before.
const (
	lagMariaDB = "SHOW ALL SLAVES STATUS"
	lagMySQL   = "SHOW REPLICA STATUS"
	lagOld     = "SHOW SLAVE STATUS"
)

// askReplication asks what the server replicates from, and how well.
func (p *probe) askReplication() (replication, error) {
	forms := []string{p.lagSQL}
	switch {
	case p.lagSQL != "":
	case p.facts.mariaDB:
		forms = []string{lagMariaDB, lagMySQL, lagOld}
	default:
		forms = []string{lagMySQL, lagOld}
	}
	var r replication
	for _, form := range forms {
		res, err := p.conn.Query(form)
		wire, refused := sqlError(err)
		switch {
		case err == nil:
			p.lagSQL = form
			return readReplication(res), nil
		case !refused:
			return r, err
		case isDenied(wire):
			privilege := "REPLICATION CLIENT"
			if p.facts.mariaDB {
				privilege = "REPLICA MONITOR (before MariaDB 10.5: REPLICATION CLIENT)"
			}
			r.lagWhy = fmt.Sprintf("the account '%s' may not run %s; GRANT it %s ON *.*", p.srv.cluster.options().User, form, privilege)
			return r, nil
		default:
			r.lagWhy = fmt.Sprintf("%s: %d %s", form, wire.Code, wire.Message)
		}
	}
	p.lagSQL = ""
	return r, nil
}

// executed is what a server has executed. It is parsed only when its text changes.
type executed struct {
	texts    []string // values of facts.gtidVars
	set      gtid.Set
	position string
}

// readExecuted reads the values of facts.gtidVars.
func (e *executed) readExecuted(values []*string) {
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
	*e = executed{texts: texts}
	for i, text := range texts {
		set, err := gtid.Parse(text)
		if err != nil {
			continue // unknown is what the set then says
		}
		if i == 0 {
			e.position = set.String()
		}
		e.set = e.set.Union(set)
	}
}

// gtidVariables are the variables that tell what a server has executed, the
// server's own word for it first.
func gtidVariables(vars map[string]string) []string {
	var list []string
	for _, name := range []string{"gtid_executed", "gtid_current_pos", "gtid_binlog_state", "gtid_slave_pos"} {
		if _, ok := vars[name]; ok {
			list = append(list, name)
		}
	}
	return list
}
