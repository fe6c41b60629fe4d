package e2e

import (
	"fmt"
	"strconv"
	"testing"
)

// TestB5EveryVariableStaysWithItsClient sets each session variable of the server
// to another value for one client, and looks what the next client has on the
// same server connection.
func TestB5EveryVariableStaysWithItsClient(t *testing.T) {
	onBoth(t, "vars", app, func(e *env) {
		d := e.serve(settings{"pool": "{max_per_server: 1, wait_timeout: 3s}"})
		// What a server counts or draws anew for each connection or statement.
		own := map[string]bool{
			"error_count": true, "warning_count": true, "statement_id": true, "pseudo_thread_id": true, "rand_seed1": true,
			"rand_seed2": true, "timestamp": true, "last_insert_id": true, "identity": true, "last_gtid": true, "in_transaction": true,
			// Shardway's own, for all clients of a connection.
			"session_track_system_variables": true, "session_track_schema": true, "session_track_state_change": true,
			"session_track_transaction_info": true, "wait_timeout": true,
			// These keep the connection for their client.
			"autocommit": true, "insert_id": true, "pseudo_slave_mode": true, "pseudo_replica_mode": true, "gtid_seq_no": true,
			"server_id": true, "gtid_domain_id": true, "require_row_format": true,
		}
		rows, err := e.plain(nil).text("SHOW SESSION VARIABLES")
		e.must(err)
		a, b := e.dial(d, nil), e.dial(d, nil)
		checked := 0
		for _, row := range rows {
			name, value := row[0], row[1]
			var others []string
			switch n, err := strconv.ParseUint(value, 10, 63); {
			case own[name]:
				continue
			case value == "ON":
				others = []string{"OFF"}
			case value == "OFF":
				others = []string{"ON"}
			case err == nil:
				others = []string{fmt.Sprint(n + 1), "4096", "2"}
			default:
				continue
			}
			ask := "SELECT @@SESSION." + name + " FROM users WHERE id = 7"
			before, err := b.one("/* shardway: primary */ " + ask)
			if err != nil {
				continue // a global variable
			}
			for _, other := range others {
				rs, err := a.query("SET SESSION " + name + " = " + other)
				if err != nil || rs[0].Err != nil {
					continue // read only, or of another range
				}
				set, err := a.one("/* shardway: primary */ " + ask)
				if err != nil {
					e.Errorf("%s = %s: its client gets %v", name, other, err)
					break
				}
				checked++
				if after, err := b.one("/* shardway: primary */ " + ask); err != nil || after != before {
					e.Errorf("%s: another client has %q, %v after a SET to %s (%s); it was %q", name, after, err, other, set, before)
				}
				if again, err := a.one("/* shardway: primary */ " + ask); err != nil || again != set {
					e.Errorf("%s: its client has %q, %v; it had %q", name, again, err, set)
				}
				break
			}
			// For the next variable this client is as after its login.
			if _, err := a.simple(comReset); err != nil {
				e.Errorf("%s: reset: %v", name, err)
				a.close()
				a = e.dial(d, nil)
			}
		}
		if checked < 60 {
			e.Errorf("only %d variables were checked", checked)
		}
		e.Logf("note: %d variables", checked)
	})
}
