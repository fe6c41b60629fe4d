package replication

import (
	"net"
	"strconv"
	"strings"
	"time"

	"shardway/protocol"
)

// Status is what one server says of its replication, all channels together.
type Status struct {
	Known    bool   // the server answered the question
	Source   string // host:port of the source; "" if it has none
	SourceID string
	IO, SQL  string // Yes, or the state of the first thread that doesn't run
	Lag      time.Duration
	LagKnown bool
	LagWhy   string // why the lag isn't known
}

// Read reads the answer to SHOW REPLICA STATUS or one of its older
// forms: the greatest lag over all channels, or why it isn't known.
func Read(res *protocol.Result) Status {
	r := Status{Known: true}
	if len(res.Rows) == 0 {
		r.LagWhy = "the server isn't a replica of any source"
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
		if r.Source == "" {
			host, named := get("Source_Host", "Master_Host")
			port, _ := get("Source_Port", "Master_Port")
			switch {
			case host != "":
				r.Source = net.JoinHostPort(host, port)
			case !named:
				r.Source = "a server that it doesn't name"
			}
			id, ok := get("Source_UUID", "Master_UUID")
			if !ok {
				id, _ = get("Source_Server_Id", "Master_Server_Id")
			}
			if id != "0" {
				r.SourceID = id
			}
		}
		for _, thread := range []struct {
			name, now, before, failure string
			state                      *string
		}{
			{"receiver", "Replica_IO_Running", "Slave_IO_Running", "Last_IO_Error", &r.IO},
			{"applier", "Replica_SQL_Running", "Slave_SQL_Running", "Last_SQL_Error", &r.SQL},
		} {
			running, ok := get(thread.now, thread.before)
			if !ok {
				continue
			}
			if *thread.state == "" || !strings.EqualFold(running, "Yes") {
				*thread.state = running
			}
			if strings.EqualFold(running, "Yes") || r.LagWhy != "" {
				continue
			}
			r.LagWhy = "the replication " + thread.name + " isn't running (" + running + ")"
			if text, _ := get(thread.failure); text != "" {
				r.LagWhy += ": " + text
			}
		}
		if r.LagWhy != "" {
			continue
		}
		text, ok := get("Seconds_Behind_Source", "Seconds_Behind_Master")
		if !ok {
			r.LagWhy = "the server reports no seconds behind its source"
			continue
		}
		seconds, err := strconv.ParseFloat(text, 64)
		if err != nil || seconds < 0 {
			r.LagWhy = "the server reports " + strconv.Quote(text) + " seconds behind its source"
			continue
		}
		r.Lag = max(r.Lag, time.Duration(seconds*float64(time.Second)))
	}
	r.LagKnown = r.LagWhy == ""
	return r
}

// The forms of the statement that shows replication, with who knows them: MariaDB
// (every connection to a source at once), MySQL 8.0.22 and later, those before.
const (
	mariaDB = "SHOW ALL SLAVES STATUS"
	mySQL   = "SHOW REPLICA STATUS"
	older   = "SHOW SLAVE STATUS"
)

// Forms are the statements to try in turn.
func Forms(isMariaDB bool) []string {
	if isMariaDB {
		return []string{mariaDB, mySQL, older}
	}
	return []string{mySQL, older}
}

// Running says that a thread runs.
func Running(thread string) bool { return len(thread) == 3 && (thread[0] == 'Y' || thread[0] == 'y') }

// Connecting says that a receiver isn't stopped, but has no connection to its source.
func Connecting(thread string) bool {
	return thread != "" && !Running(thread) && thread != "No"
}
