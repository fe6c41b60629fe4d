package failover

import (
	"context"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"shardway/shardmap/gtid"
)

// State is what a server says of itself.
type State struct {
	Addr          string
	Flavor        string // MariaDB or MySQL
	Version       string
	ServerID      string
	UUID          string // of MySQL
	ReadOnly      bool
	SuperReadOnly bool
	LogBin        bool // it writes a binary log
	LogUpdates    bool // with what it applies as a replica
	GTID          bool // every transaction has a GTID
	StrictGTID    bool // gtid_strict_mode of MariaDB; true on MySQL

	// Executed are the transactions that it has: gtid_executed, or MariaDB's
	// gtid_binlog_state, which is what errant transactions are found by.
	Executed gtid.Set
	// Position is what a replica must reach to have all of that.
	Position gtid.Set

	// Replica is nil for a server that isn't set up to follow another.
	Replica  *Replica
	SemiSync SemiSync
	// Long are the transactions that are open for longer than a second, oldest
	// first; empty where its account may not see them.
	Long []Transaction
}

// SemiSync is how a server is set up for semi-sync.
type SemiSync struct {
	Has     bool // it knows semi-sync
	Source  bool // as a source it waits for acknowledgements
	Replica bool // as a replica it acknowledges
	Clients int  // replicas that acknowledge now, of a source
}

func (s SemiSync) on() bool { return s.Source }

// Replica is how a server follows another.
type Replica struct {
	Source     string // host:port as it is set up
	SourceID   string // server id of the source that it last was connected to
	SourceUUID string // of MySQL
	User       string
	Receiver   string // Yes, No, Connecting, …
	Applier    bool
	UsesGTID   bool
	Behind     time.Duration // -1: unknown
	Error      string        // the last of the receiver's or the applier's
	Received   gtid.Set      // all that it has received or executed

	retry  string // seconds between two attempts to connect
	secure bool
	ca     string
	verify bool
}

// Transaction is an open transaction.
type Transaction struct {
	Thread int64
	User   string
	Age    time.Duration
}

// Inspect logs in to a server and asks for its state.
func Inspect(ctx context.Context, o Options, addr string) (State, error) {
	o = o.withDefaults()
	n, err := open(ctx, o, addr)
	if err != nil {
		return State{}, err
	}
	defer n.Close()
	return n.state(ctx)
}

func (n *node) state(ctx context.Context) (State, error) {
	s := State{Addr: n.Addr, Flavor: n.Flavor(), Version: n.Version}
	rows, err := n.Query(ctx, `SHOW GLOBAL VARIABLES WHERE Variable_name IN ('server_id','server_uuid','read_only','super_read_only','log_bin',
		'log_slave_updates','log_replica_updates','gtid_mode','gtid_strict_mode','gtid_executed','gtid_binlog_state','gtid_binlog_pos','gtid_slave_pos','gtid_current_pos')
		OR Variable_name LIKE 'rpl_semi_sync%enabled'`)
	if err != nil {
		return s, err
	}
	vars := map[string]string{}
	for _, row := range rows {
		vars[strings.ToLower(row["Variable_name"])] = row["Value"]
	}
	on := func(names ...string) bool {
		return slices.ContainsFunc(names, func(name string) bool { return truth(vars[name]) })
	}
	s.ServerID, s.UUID = vars["server_id"], vars["server_uuid"]
	// MariaDB has more words for read_only from version 12 on.
	s.ReadOnly, s.SuperReadOnly = vars["read_only"] != "" && vars["read_only"] != "OFF" && vars["read_only"] != "0", on("super_read_only")
	s.LogBin, s.LogUpdates = on("log_bin"), on("log_slave_updates", "log_replica_updates")
	s.SemiSync.Source = on("rpl_semi_sync_source_enabled", "rpl_semi_sync_master_enabled")
	s.SemiSync.Replica = on("rpl_semi_sync_replica_enabled", "rpl_semi_sync_slave_enabled")
	for name := range vars {
		s.SemiSync.Has = s.SemiSync.Has || strings.HasPrefix(name, "rpl_semi_sync_")
	}
	executed, position := "gtid_executed", "gtid_executed"
	s.GTID, s.StrictGTID = vars["gtid_mode"] == "ON", true
	if n.MariaDB {
		executed, position = "gtid_binlog_state", "gtid_current_pos"
		s.GTID, s.StrictGTID = true, on("gtid_strict_mode")
	}
	if s.Executed, err = gtid.Parse(vars[executed]); err != nil {
		return s, n.Fail(executed, err)
	}
	if s.Position, err = gtid.Parse(vars[position]); err != nil {
		return s, n.Fail(position, err)
	}
	has := s.Position
	if n.MariaDB {
		// Without what it wrote itself: a replica is compared with others by
		// what it has of their primary.
		if has, err = gtid.Parse(vars["gtid_slave_pos"]); err != nil {
			return s, n.Fail("gtid_slave_pos", err)
		}
	}
	if s.Replica, err = n.replica(ctx, has); err != nil {
		return s, err
	}
	if s.SemiSync.Source {
		rows, err := n.Query(ctx, "SHOW GLOBAL STATUS WHERE Variable_name IN ('Rpl_semi_sync_master_clients','Rpl_semi_sync_source_clients')")
		if err != nil {
			return s, err
		}
		for _, row := range rows {
			s.SemiSync.Clients, _ = strconv.Atoi(row["Value"]) // 0 for what is no number
		}
	}
	s.Long = n.long(ctx)
	return s, nil
}

func truth(v string) bool { return v == "ON" || v == "1" || v == "YES" }

// replica reads how the server follows another. Has is what it has applied.
func (n *node) replica(ctx context.Context, has gtid.Set) (*Replica, error) {
	query := "SHOW REPLICA STATUS"
	if n.MariaDB {
		query = "SHOW SLAVE STATUS"
	}
	rows, err := n.Query(ctx, query)
	if err != nil || len(rows) == 0 {
		return nil, err
	}
	row := map[string]string{}
	for name, v := range rows[0] { // the same names for both
		row[strings.NewReplacer("Master", "Source", "Slave", "Replica").Replace(name)] = v
	}
	r := &Replica{
		Source: net.JoinHostPort(row["Source_Host"], row["Source_Port"]), User: row["Source_User"],
		SourceID: row["Source_Server_Id"], SourceUUID: row["Source_UUID"],
		Receiver: row["Replica_IO_Running"], Applier: row["Replica_SQL_Running"] == "Yes", Behind: -1,
		Error: row["Last_IO_Error"], retry: row["Connect_Retry"],
		secure: row["Source_SSL_Allowed"] == "Yes", ca: row["Source_SSL_CA_File"], verify: row["Source_SSL_Verify_Server_Cert"] == "Yes",
	}
	if r.Error == "" {
		r.Error = row["Last_SQL_Error"]
	}
	if seconds, err := strconv.Atoi(row["Seconds_Behind_Source"]); err == nil {
		r.Behind = time.Duration(seconds) * time.Second
	}
	received := row["Retrieved_Gtid_Set"]
	r.UsesGTID = row["Auto_Position"] == "1"
	if n.MariaDB {
		received = row["Gtid_IO_Pos"]
		r.UsesGTID = row["Using_Gtid"] != "" && row["Using_Gtid"] != "No"
	}
	got, err := gtid.Parse(received)
	if err != nil {
		return nil, n.Fail(query, err)
	}
	r.Received = got.Union(has)
	return r, nil
}

// follows says whether the server is set up to follow the one of that state.
func (s *State) follows(source *State) bool {
	switch {
	case s.Replica == nil:
		return false
	case s.Replica.Source == source.Addr:
		return true
	case s.Replica.SourceUUID != "":
		return s.Replica.SourceUUID == source.UUID
	}
	return s.Replica.SourceID != "0" && s.Replica.SourceID == source.ServerID
}

// long lists open transactions. An account that may not see them sees none.
func (n *node) long(ctx context.Context) []Transaction {
	rows, err := n.Query(ctx, `SELECT t.trx_mysql_thread_id AS thread, p.USER AS user, p.HOST AS host, TIMESTAMPDIFF(SECOND, t.trx_started, NOW()) AS age
		FROM information_schema.INNODB_TRX t JOIN information_schema.PROCESSLIST p ON p.ID = t.trx_mysql_thread_id
		WHERE t.trx_started < NOW() - INTERVAL 1 SECOND AND p.USER <> 'system user' ORDER BY t.trx_started`)
	if err != nil {
		return nil
	}
	var all []Transaction
	for _, row := range rows {
		thread, _ := strconv.ParseInt(row["thread"], 10, 64) // the server's own numbers
		age, _ := strconv.Atoi(row["age"])
		all = append(all, Transaction{Thread: thread, User: row["user"] + "@" + row["host"], Age: time.Duration(age) * time.Second})
	}
	return all
}
