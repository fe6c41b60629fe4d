package backend

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"shardway/protocol"
	"shardway/router/backend/replication"
)

// facts is what one server says about itself; immutable.
type facts struct {
	version, serverID                  string
	mariaDB                            bool
	collation                          uint16
	charset, sqlMode                   string
	maxAllowedPacket, lowerCase        int
	maxConnections, maxUserConnections int
	waitTimeout, interactiveTimeout    int // seconds
	readOnlyVars                       int // 0: none; 1: read_only; 2: super_read_only too
	gtidVars                           []string
	collations                         map[uint16]Collation
	databases                          []string
	capabilities                       protocol.Capability // offered
}

func (f *facts) equal(o *facts) bool {
	a, b := *f, *o
	a.collations, b.collations, a.databases, b.databases = nil, nil, nil, nil
	return a.same(&b) && maps.Equal(f.collations, o.collations) && slices.Equal(f.databases, o.databases) && slices.Equal(f.gtidVars, o.gtidVars)
}

func (f *facts) same(o *facts) bool {
	return f.version == o.version && f.serverID == o.serverID && f.mariaDB == o.mariaDB &&
		f.collation == o.collation && f.charset == o.charset && f.sqlMode == o.sqlMode &&
		f.maxAllowedPacket == o.maxAllowedPacket && f.lowerCase == o.lowerCase &&
		f.waitTimeout == o.waitTimeout && f.interactiveTimeout == o.interactiveTimeout &&
		f.maxConnections == o.maxConnections && f.maxUserConnections == o.maxUserConnections &&
		f.readOnlyVars == o.readOnlyVars && f.capabilities == o.capabilities
}

// readOnlyColumns is the select list that tells whether the server is read only.
func (f *facts) readOnlyColumns() string {
	switch f.readOnlyVars {
	case 1:
		return "@@global.read_only"
	case 2:
		return "@@global.read_only,@@global.super_read_only"
	default:
		return "1"
	}
}

// columns is the select list that tells whether the server is read only and what
// it has executed.
func (f *facts) columns() string {
	list := []string{f.readOnlyColumns()}
	for _, name := range f.gtidVars {
		list = append(list, "@@global."+name)
	}
	return strings.Join(list, ",")
}

// SHOW and not SELECT @@…: it leaves out what the server doesn't have.
const showVariables = "SHOW GLOBAL VARIABLES WHERE Variable_name IN ('server_uuid','server_id','read_only','super_read_only'," +
	"'gtid_executed','gtid_current_pos','gtid_binlog_state','gtid_slave_pos'," +
	"'max_connections','max_user_connections','max_allowed_packet','wait_timeout','interactive_timeout','lower_case_table_names','collation_server','character_set_server','sql_mode')"

// learn asks a server about itself. What it doesn't know stays zero; an error is
// one of the connection.
func learn(c *Conn) (*facts, error) {
	f := &facts{version: c.greeting.Version, collation: uint16(c.greeting.Collation), capabilities: c.greeting.Capabilities}
	f.mariaDB = strings.Contains(f.version, "MariaDB")

	vars := map[string]string{}
	res, err := queryTolerant(c, showVariables)
	if err != nil {
		return nil, err
	}
	if res != nil {
		for _, row := range res.Rows {
			if len(row) >= 2 && row[0] != nil && row[1] != nil {
				vars[strings.ToLower(*row[0])] = *row[1]
			}
		}
	}
	number := func(name string) int {
		n, err := strconv.Atoi(vars[name])
		if err != nil {
			return 0
		}
		return n
	}
	f.maxConnections, f.maxUserConnections = number("max_connections"), number("max_user_connections")
	f.waitTimeout, f.interactiveTimeout = number("wait_timeout"), number("interactive_timeout")
	f.maxAllowedPacket, f.lowerCase = number("max_allowed_packet"), number("lower_case_table_names")
	f.charset, f.sqlMode = vars["character_set_server"], vars["sql_mode"]
	if _, ok := vars["read_only"]; ok {
		f.readOnlyVars = 1
		if _, ok := vars["super_read_only"]; ok {
			f.readOnlyVars = 2
		}
	}
	f.gtidVars = replication.Variables(vars)
	if f.serverID = vars["server_uuid"]; f.serverID == "" {
		f.serverID = vars["server_id"]
	}

	if f.collations, err = learnCollations(c, f.mariaDB); err != nil {
		return nil, err
	}
	// The greeting has one byte for the collation; the variable has its name.
	for id, one := range f.collations {
		if one.Name == vars["collation_server"] {
			f.collation = id
		}
	}
	if f.charset == "" {
		f.charset = f.collations[f.collation].Charset
	}

	if res, err = queryTolerant(c, "SHOW DATABASES"); err != nil {
		return nil, err
	}
	if res != nil {
		for _, row := range res.Rows {
			if len(row) > 0 && row[0] != nil {
				f.databases = append(f.databases, *row[0])
			}
		}
	}
	slices.Sort(f.databases)
	return f, nil
}

// learnCollations reads the server's collations. MariaDB 10.10 and later has some
// without a character set of their own in COLLATIONS; the other table has them
// once for each character set, with full names and ids.
func learnCollations(c *Conn, mariaDB bool) (map[uint16]Collation, error) {
	all := map[uint16]Collation{}
	queries := []string{"SELECT ID, COLLATION_NAME, CHARACTER_SET_NAME FROM information_schema.COLLATIONS"}
	if mariaDB {
		queries = append(queries, "SELECT ID, FULL_COLLATION_NAME, CHARACTER_SET_NAME FROM information_schema.COLLATION_CHARACTER_SET_APPLICABILITY")
	}
	for _, sql := range queries {
		res, err := queryTolerant(c, sql)
		if err != nil {
			return nil, err
		}
		if res == nil {
			continue
		}
		for _, row := range res.Rows {
			if len(row) < 3 || row[0] == nil || row[1] == nil || row[2] == nil {
				continue
			}
			if id, err := strconv.ParseUint(*row[0], 10, 16); err == nil && id > 0 {
				all[uint16(id)] = Collation{Name: *row[1], Charset: *row[2]}
			}
		}
	}
	return all, nil
}

// Learned returns what the servers say about themselves; its map and slice are
// not to be changed.
func (c *Cluster) Learned() Learned { return *c.learned.Load() }

// relearn puts together what Learned returns. The caller holds mu.
func (c *Cluster) relearn() {
	snap := c.snapshot.Load()
	if snap.m == nil {
		return
	}
	// Who speaks first: the default shard's primary, the primaries, the replicas.
	var speakers []*member
	var primaries int
	first := snap.shards[snap.m.DefaultShard("").ID]
	speakers = append(speakers, first.primary)
	for _, s := range snap.order {
		if s != first {
			speakers = append(speakers, s.primary)
		}
	}
	primaries = len(speakers)
	speakers = append(speakers, first.replicas...)
	for _, s := range snap.order {
		if s != first {
			speakers = append(speakers, s.replicas...)
		}
	}

	var l Learned
	databases := map[string]bool{}
	for i, m := range speakers {
		f := m.srv.health.Load().probed.facts
		if f == nil {
			continue
		}
		if !l.OK {
			l = Learned{
				OK: true, Addr: m.srv.addr, Version: f.version, Collation: f.collation, Charset: f.charset, SQLMode: f.sqlMode,
				WaitTimeout: time.Duration(f.waitTimeout) * time.Second, InteractiveTimeout: time.Duration(f.interactiveTimeout) * time.Second,
				MaxAllowedPacket: f.maxAllowedPacket, LowerCaseTables: f.lowerCase, Collations: f.collations,
				Capabilities: f.capabilities,
			}
		}
		if i >= primaries && l.Addr != m.srv.addr {
			break // replicas speak only where no primary did, and the first of them for all
		}
		l.Capabilities &= f.capabilities
		if f.maxAllowedPacket > 0 && (l.MaxAllowedPacket == 0 || f.maxAllowedPacket < l.MaxAllowedPacket) {
			l.MaxAllowedPacket = f.maxAllowedPacket
		}
		for _, name := range f.databases {
			databases[name] = true
		}
	}
	l.Databases = slices.Sorted(maps.Keys(databases))
	c.learned.Store(&l)
}
