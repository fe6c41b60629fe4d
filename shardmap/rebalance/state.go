package rebalance

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"shardway/shardmap/gtid"
	"shardway/shardmap/rebalance/rows"
)

// kind says what the state of a move on a server is of.
type kind string

const (
	kindTo    kind = "to"    // of the copies at the target, kept there
	kindBack  kind = "back"  // of the copies at the source once the target owns the slots, kept there
	kindClean kind = "clean" // of the removing of copies, kept where they are
)

// The tables of the engine on each server that it writes to. Each transaction
// of the engine changes a row of rebalances: by that it is told from others, and
// an engine whose place another has taken finds out.
var stateTables = []string{
	"CREATE DATABASE IF NOT EXISTS shardway",
	`CREATE TABLE IF NOT EXISTS shardway.rebalances (
		db VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
		move VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
		kind VARCHAR(8) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
		engine VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
		writes BIGINT UNSIGNED NOT NULL DEFAULT 0,
		position MEDIUMTEXT CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
		equal MEDIUMTEXT CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
		strays_from MEDIUMTEXT CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
		strays_known MEDIUMTEXT CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
		carries TINYINT NOT NULL DEFAULT 0,
		progress MEDIUMTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
		started TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
		at TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
		PRIMARY KEY (db, move, kind)) ENGINE=InnoDB`,
	`CREATE TABLE IF NOT EXISTS shardway.rebalance_tables (
		db VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
		move VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
		kind VARCHAR(8) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
		name VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
		after_key MEDIUMTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
		done TINYINT NOT NULL DEFAULT 0,
		copied BIGINT UNSIGNED NOT NULL DEFAULT 0,
		PRIMARY KEY (db, move, kind, name)) ENGINE=InnoDB`,
	`CREATE TABLE IF NOT EXISTS shardway.rebalance_strays (
		db VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
		move VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
		id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT,
		name VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
		row_key MEDIUMTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
		gtid VARCHAR(255) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
		at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
		here LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
		owner LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
		PRIMARY KEY (db, move, id), KEY (id)) ENGINE=InnoDB`,
}

// makeState makes the engine's tables on a server where they are missing, and
// says what the one is that marks its transactions.
func makeState(ctx context.Context, db *sql.DB, addr string) (*rows.Table, error) {
	mark, err := rows.Describe(ctx, db, "shardway", "rebalances")
	if err == nil {
		_, err = rows.Describe(ctx, db, "shardway", "rebalance_strays") // the last one
	}
	if err == nil || !errors.Is(err, rows.ErrNoTable) {
		return mark, err
	}
	for _, query := range stateTables {
		if _, err := db.ExecContext(ctx, query); err != nil {
			return nil, fmt.Errorf("%s: %.80s: %w", addr, query, err)
		}
	}
	return rows.Describe(ctx, db, "shardway", "rebalances")
}

// state is what the engine keeps of a move on a server.
type state struct {
	s     *rows.Session // of the server
	addr  string
	token string
	db    string
	move  string
	kind  kind

	position    gtid.Set // all changes up to it are in the copies
	equal       gtid.Set // what was changed up to it has been found equal, or changed again; empty: not all has been compared
	straysFrom  gtid.Set // where the looking for strays goes on
	straysKnown gtid.Set // what is up to it, is none
	carries     bool     // the reference tables go along
	tables      map[string]tableState
	progress    MoveProgress
}

// tableState is how far the copying, or the removing, of a table is.
type tableState struct {
	after  rows.Key
	done   bool
	copied uint64
}

// errTaken is the error of an engine whose place another one has taken.
var errTaken = errors.New("another engine has gone on with it")

// load reads the state and makes it this engine's own; ok is false where there
// is none.
func (st *state) load(ctx context.Context) (ok bool, err error) {
	_, err = st.s.Exec(ctx, "UPDATE shardway.rebalances SET engine = ?, writes = writes + 1 WHERE db = ? AND move = ? AND kind = ?", st.token, st.db, st.move, string(st.kind))
	if err != nil {
		return false, err
	}
	var position, equal, from, known, progress string
	found, err := st.one(ctx, "SELECT position, equal, strays_from, strays_known, carries, progress FROM shardway.rebalances WHERE db = ? AND move = ? AND kind = ?",
		[]any{st.db, st.move, string(st.kind)}, &position, &equal, &from, &known, &st.carries, &progress)
	if err != nil || !found {
		return false, err
	}
	for _, set := range []struct {
		to   *gtid.Set
		text string
	}{{&st.position, position}, {&st.equal, equal}, {&st.straysFrom, from}, {&st.straysKnown, known}} {
		if *set.to, err = gtid.Parse(set.text); err != nil {
			return false, final{fmt.Errorf("%s: shardway.rebalances has no position for move %s of %s: %w", st.addr, st.move, st.db, err)}
		}
	}
	_ = json.Unmarshal([]byte(progress), &st.progress) // without it the numbers begin anew
	st.tables = map[string]tableState{}
	list, err := st.s.Query(ctx, "SELECT name, after_key, done, copied FROM shardway.rebalance_tables WHERE db = ? AND move = ? AND kind = ?", st.db, st.move, string(st.kind))
	if err != nil {
		return false, err
	}
	defer list.Close()
	for list.Next() {
		var name, after string
		var t tableState
		if err := list.Scan(&name, &after, &t.done, &t.copied); err != nil {
			return false, err
		}
		t.after = rows.Key(after)
		st.tables[name] = t
	}
	return true, list.Err()
}

// one reads one row.
func (st *state) one(ctx context.Context, query string, args []any, to ...any) (found bool, err error) {
	list, err := st.s.Query(ctx, query, args...)
	if err != nil {
		return false, err
	}
	defer list.Close()
	if list.Next() {
		found = true
		if err := list.Scan(to...); err != nil {
			return false, err
		}
	}
	return found, list.Err()
}

// create stores the state anew, without tables, in place of any before.
func (st *state) create(ctx context.Context) error {
	return st.transaction(ctx, func() error { return st.recreate(ctx) })
}

// recreate is create within a transaction.
func (st *state) recreate(ctx context.Context) error {
	if _, err := st.s.Exec(ctx, "DELETE FROM shardway.rebalance_tables WHERE db = ? AND move = ? AND kind = ?", st.db, st.move, string(st.kind)); err != nil {
		return err
	}
	st.tables = map[string]tableState{}
	return st.replace(ctx)
}

// replace stores the state in place of any before, but for its tables.
func (st *state) replace(ctx context.Context) error {
	_, err := st.s.Exec(ctx, `REPLACE INTO shardway.rebalances (db, move, kind, engine, position, equal, strays_from, strays_known, carries, progress)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`, st.db, st.move, string(st.kind), st.token,
		st.position.String(), st.equal.String(), st.straysFrom.String(), st.straysKnown.String(), st.carries, st.progressText())
	return err
}

func (st *state) progressText() string {
	text, err := json.Marshal(st.progress)
	if err != nil {
		return "" // it has nothing that can't be written
	}
	return string(text)
}

// transaction runs f in a transaction of the session, again where it met a lock
// of somebody else's: then nothing of it is left.
func (st *state) transaction(ctx context.Context, f func() error) error {
	for tries := 1; ; tries++ {
		err := st.once(ctx, f)
		if !rows.Retryable(err) || tries == 5 || ctx.Err() != nil {
			return err
		}
	}
}

func (st *state) once(ctx context.Context, f func() error) error {
	if err := st.s.Begin(ctx); err != nil {
		return err
	}
	if err := f(); err != nil {
		back, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = st.s.Rollback(back) // a connection that is lost has done so
		return err
	}
	return st.s.Commit(ctx)
}

// write runs f in a transaction that is marked as this engine's own and keeps
// the position; errTaken says that another engine has the state.
func (st *state) write(ctx context.Context, f func() error) error {
	return st.transaction(ctx, func() error {
		done, err := st.s.Exec(ctx, `UPDATE shardway.rebalances SET writes = writes + 1, position = ?, equal = ?, strays_from = ?, progress = ?, at = CURRENT_TIMESTAMP(6)
			WHERE db = ? AND move = ? AND kind = ? AND engine = ?`,
			st.position.String(), st.equal.String(), st.straysFrom.String(), st.progressText(), st.db, st.move, string(st.kind), st.token)
		if err != nil {
			return err
		}
		if n, err := done.RowsAffected(); err != nil || n != 1 {
			return fmt.Errorf("%s: shardway.rebalances: move %s of %s: %w", st.addr, st.move, st.db, errTaken)
		}
		if f == nil {
			return nil
		}
		return f()
	})
}

// table stores how far a table is; within write.
func (st *state) table(ctx context.Context, name string, t tableState) error {
	_, err := st.s.Exec(ctx, "REPLACE INTO shardway.rebalance_tables (db, move, kind, name, after_key, done, copied) VALUES (?, ?, ?, ?, ?, ?, ?)",
		st.db, st.move, string(st.kind), name, string(t.after), t.done, t.copied)
	return err
}

// dropState removes all that the engine keeps of a move on a server.
func dropState(ctx context.Context, s *rows.Session, db, move string, strays bool) error {
	tables := []string{"rebalance_tables", "rebalances"}
	if strays {
		tables = append(tables, "rebalance_strays")
	}
	for _, table := range tables {
		if _, err := s.Exec(ctx, "DELETE FROM shardway."+table+" WHERE db = ? AND move = ?", db, move); err != nil {
			return err
		}
	}
	return nil
}

// likeMoves is the pattern of the ids of a rebalance's moves.
func likeMoves(id string) string {
	return strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(id) + ".%"
}

// withoutToken is who an engine is, for people.
func withoutToken(engine string) string {
	if i := strings.LastIndex(engine, " #"); i > 0 {
		return engine[:i]
	}
	return engine
}
