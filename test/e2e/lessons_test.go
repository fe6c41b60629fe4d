package e2e

import (
	"strings"
	"testing"
)

// startUps are what client programs and drivers send when they connect.
var startUps = map[string]string{
	"Connector/J": "SET NAMES utf8mb4;SET character_set_results = NULL;SET autocommit=1;SET SESSION sql_mode='STRICT_TRANS_TABLES';SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED;SET SESSION TRANSACTION READ WRITE;SET SQL_SELECT_LIMIT=DEFAULT;SET net_write_timeout=600",
	"MariaDB/J":   "set autocommit=1, sql_mode = concat(@@sql_mode,',STRICT_TRANS_TABLES');set session wait_timeout=28800;SET session_track_schema=1",
	"mysql2":      "SET time_zone = '+00:00';SET NAMES utf8mb4 COLLATE utf8mb4_unicode_ci;SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ",
	"PDO":         "SET NAMES 'utf8mb4' COLLATE 'utf8mb4_unicode_ci';set session sql_mode='ONLY_FULL_GROUP_BY,STRICT_TRANS_TABLES,NO_ZERO_IN_DATE,NO_ZERO_DATE,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION';SET AUTOCOMMIT=0;SET AUTOCOMMIT=1",
	"PyMySQL":     "SET AUTOCOMMIT = 0;SET NAMES utf8mb4;ROLLBACK;SET AUTOCOMMIT = 1",
	"Django":      "SET SQL_AUTO_IS_NULL = 0;SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED;SELECT VERSION(), @@sql_mode, @@default_storage_engine, @@sql_auto_is_null, @@lower_case_table_names, CONVERT_TZ('2001-01-01 01:00:00', 'UTC', 'UTC') IS NOT NULL",
	"Rails":       "SET NAMES utf8mb4 COLLATE utf8mb4_unicode_ci, @@SESSION.sql_mode = CONCAT(@@sql_mode, ',STRICT_ALL_TABLES,NO_AUTO_VALUE_ON_ZERO'), @@SESSION.sql_auto_is_null = 0, @@SESSION.wait_timeout = 2147483",
	"Debezium":    "SET SESSION lock_wait_timeout=10;SET SESSION innodb_lock_wait_timeout=10;SET autocommit=1;SHOW VARIABLES LIKE 'character_set_server';SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ",
	"HeidiSQL":    "/*!40101 SET NAMES utf8mb4 */;SET SQL_MODE='STRICT_TRANS_TABLES,NO_ENGINE_SUBSTITUTION';SHOW VARIABLES;SELECT CONNECTION_ID();SHOW DATABASES",
	"DBeaver":     "SET SESSION sql_mode='ANSI_QUOTES';SET SESSION sql_mode='';SELECT @@session.auto_increment_increment AS auto_increment_increment, @@character_set_client AS character_set_client, @@time_zone AS time_zone;SHOW WARNINGS;SELECT DATABASE();SET SQL_SELECT_LIMIT=200;SET SQL_SELECT_LIMIT=DEFAULT",
	"Navicat":     "SET NAMES utf8mb4;SHOW VARIABLES LIKE 'lower_case_%';SHOW VARIABLES LIKE 'sql_mode';SET SESSION group_concat_max_len=1000000",
	"phpMyAdmin":  "SELECT @@version, @@version_comment;SET NAMES 'utf8mb4' COLLATE 'utf8mb4_general_ci';SET collation_connection = 'utf8mb4_unicode_ci';SET lc_messages = 'en_US';SELECT CURRENT_USER()",
	"mysqldump":   "/*!40100 SET @@SQL_MODE='' */;/*!40103 SET TIME_ZONE='+00:00' */;SET SESSION character_set_results = 'binary';SET SESSION NET_READ_TIMEOUT= 86400, SESSION NET_WRITE_TIMEOUT= 86400;SET @saved_cs_client = NULL",
}

// TestC7StartUpStatementsNeitherFailNorPin: an unparsed SET locked clients to one server.
func TestC7StartUpStatementsNeitherFailNorPin(t *testing.T) {
	onBoth(t, "startups", app, func(e *env) {
		d := e.serve(nil)
		watcher := e.dial(d, nil)
		for name, sqls := range startUps {
			w := e.dial(d, nil)
			for sql := range strings.SplitSeq(sqls, ";") {
				if rs, err := w.query(sql); err != nil || rs[0].Err != nil {
					e.Errorf("%s: %s: %v, %v", name, sql, err, rs)
					break
				}
			}
			e.givenBack(watcher, w)
			if why := e.pinned(watcher, w); why != "" {
				e.Errorf("%s keeps a connection for its %s", name, why)
			}
			w.close()
		}
	})
}

// TestT28TheVersionInTheHandshakeIsTheServers: drivers choose features by it.
func TestT28TheVersionInTheHandshakeIsTheServers(t *testing.T) {
	onBoth(t, "version", app, func(e *env) {
		w, plain := e.dial(e.serve(nil), nil), e.plain(nil)
		got, err := w.one("SELECT VERSION()")
		e.must(err)
		want, err := plain.one("SELECT VERSION()")
		e.must(err)
		if got != want || strings.TrimPrefix(w.version, "5.5.5-") != want {
			e.Errorf("VERSION() is %s, the handshake says %s, want %s", got, w.version, want)
		}
	})
}

// TestG14AResetForgetsAllButTheSchema: prepared statements, variables and insert ids die, the schema stays.
func TestG14AResetForgetsAllButTheSchema(t *testing.T) {
	onBoth(t, "resets", app, func(e *env) {
		d := e.serve(settings{"users": "{app: {password: app}}"})
		ours, plain := e.dial(d, nil), e.plain(nil)
		var answers [2][]string
		for i, w := range []*wire{ours, plain} {
			for _, sql := range []string{"SET @a = 5, time_zone = '+03:00'", "INSERT INTO notes (txt) VALUES ('reset')", "USE information_schema", "BEGIN"} {
				if rs, err := w.query(sql); err != nil || rs[0].Err != nil {
					e.Fatal(sql, err, rs)
				}
			}
			p, err := w.prepare("SELECT 1")
			e.must(err)
			if _, err := w.simple(comReset); err != nil {
				e.Fatal(err)
			}
			rs, err := w.execute(p, true)
			e.must(err)
			if rs[0].Err == nil || rs[0].Err.Code != 1243 {
				e.Errorf("a prepared statement lives on after a reset: %v", rs)
			}
			for _, sql := range []string{"SELECT DATABASE()", "SELECT @a", "SELECT @@time_zone", "SELECT LAST_INSERT_ID()"} {
				got, err := w.one(sql)
				e.must(err)
				answers[i] = append(answers[i], got)
			}
		}
		if got, want := strings.Join(answers[0], ", "), strings.Join(answers[1], ", "); got != want {
			e.Errorf("after a reset: %s, want %s", got, want)
		}
	})
}
