package audit

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"shardway/shardmap"
	"shardway/shardmap/rebalance/rows"
)

// Kind is what is wrong.
type Kind string

// The kinds of findings.
const (
	Misplaced Kind = "misplaced" // a row on a shard that doesn't own its slot, and not on the one that does; repair moves it
	Doubled   Kind = "doubled"   // the same row on its owner and on another shard; repair removes it there
	Differing Kind = "differing" // two versions of a row, on its owner and on another shard: which one is right, somebody has to say
	NoSlot    Kind = "no slot"   // a row whose key is NULL
	Copy      Kind = "copy"      // a row of a reference table that isn't alike on all shards; repair makes it as on Base
	Behind    Kind = "behind"    // a sequence whose next number is in the table already; repair moves it past the greatest
	Unlisted  Kind = "unlisted"  // a table that isn't in the map and has rows on another shard than the default one
	Missing   Kind = "missing"   // a table of the map that a shard lacks
)

// Finding is one thing that is wrong.
type Finding struct {
	Kind     Kind   `json:"kind"`
	Database string `json:"database"`
	Table    string `json:"table"`
	Shard    string `json:"shard"`           // where it is
	Owner    string `json:"owner,omitempty"` // where it belongs
	Key      string `json:"key,omitempty"`   // the primary key as SQL
	Text     string `json:"text"`            // what is wrong, and what to do where repair can't
	Repaired bool   `json:"repaired"`
}

// Examined is how much of one table on one shard was looked at.
type Examined struct {
	Database string `json:"database"`
	Table    string `json:"table"`
	Shard    string `json:"shard"`
	Rows     int64  `json:"rows"`
	Findings int    `json:"findings"` // also those that the report leaves out
	Repaired int    `json:"repaired"`
}

// Report is what was found.
type Report struct {
	Version  uint64        `json:"version"` // of the map
	Tables   []Examined    `json:"tables"`
	Findings []Finding     `json:"findings"` // at most Options.Most of a table on a shard
	Count    int           `json:"count"`    // of all findings
	Repaired int           `json:"repaired"`
	Took     time.Duration `json:"took_ns"`
}

// Options say how to look.
type Options struct {
	// Open opens the server at an address of the map. Required.
	Open func(addr string) (*sql.DB, error)
	// Database is the one to look at; empty is all.
	Database string
	// Repair puts right what can be.
	Repair bool
	// Base is the shard whose copies of reference tables are taken for right.
	// Empty: the default shard of each database.
	Base string
	// Most is how many findings of a table on a shard are told one by one.
	// Default 20.
	Most int
	// Rows is how many rows are looked at at a time. Default 10,000.
	Rows int
	// Settle is how long a difference between copies is given to go away by
	// itself, since each copy is written at its own moment. Default 2s.
	Settle time.Duration
	// Progress is told of each table that has been looked at; nil is allowed.
	Progress func(Examined)
}

// Run looks at all tables of the map. Slots that move are looked at where the
// moves allow rows of them; what moves isn't repaired here.
func Run(ctx context.Context, m *shardmap.Map, o Options) (Report, error) {
	if o.Most == 0 {
		o.Most = 20
	}
	if o.Rows == 0 {
		o.Rows = 10_000
	}
	if o.Settle == 0 {
		o.Settle = 2 * time.Second
	}
	began := time.Now()
	r := &run{Options: o, m: m, sides: map[string]*side{}, report: Report{Version: m.Version(), Tables: []Examined{}, Findings: []Finding{}}}
	defer r.close()
	err := r.all(ctx)
	r.report.Took = time.Since(began)
	return r.report, err
}

type run struct {
	Options
	m      *shardmap.Map
	d      *shardmap.Database
	sides  map[string]*side
	report Report
}

// side is a shard's primary.
type side struct {
	shard *shardmap.Shard
	db    *sql.DB
	s     *rows.Session
}

func (r *run) close() {
	for _, e := range r.sides {
		_ = e.s.Close() // what was written is committed
		_ = e.db.Close()
	}
}

// at is the session on a shard's primary.
func (r *run) at(ctx context.Context, sh *shardmap.Shard) (*side, error) {
	if e := r.sides[sh.ID]; e != nil {
		return e, nil
	}
	db, err := r.Open(sh.Primary.Addr)
	if err != nil {
		return nil, fmt.Errorf("shard %s: %w", sh.ID, err)
	}
	s, err := rows.Connect(ctx, db, sh.Primary.Addr)
	if err != nil {
		_ = db.Close() // it wasn't used
		return nil, fmt.Errorf("shard %s: %w", sh.ID, err)
	}
	e := &side{shard: sh, db: db, s: s}
	r.sides[sh.ID] = e
	return e, nil
}

func (r *run) all(ctx context.Context) error {
	if r.Base != "" && r.m.Shard(r.Base) == nil {
		return fmt.Errorf("the map has no shard %q", r.Base)
	}
	found := false
	for _, d := range r.m.Databases() {
		if r.Database != "" && r.m.Database(r.Database) != d {
			continue
		}
		found = true
		r.d = d
		for _, t := range d.Tables {
			if err := r.table(ctx, t); err != nil {
				return fmt.Errorf("table %s.%s: %w", d.Name, t.Name, err)
			}
		}
		if err := r.unlisted(ctx); err != nil {
			return err
		}
	}
	if !found {
		return fmt.Errorf("the map has no database %q", r.Database)
	}
	return nil
}

func (r *run) table(ctx context.Context, t *shardmap.Table) error {
	shapes := map[string]*rows.Table{}
	for _, sh := range r.m.Shards() {
		e, err := r.at(ctx, sh)
		if err != nil {
			return err
		}
		shape, err := rows.Describe(ctx, e.db, r.d.Name, t.Name)
		if errors.Is(err, rows.ErrNoTable) {
			if r.d.Holds(sh) {
				x := r.examine(t.Name, sh)
				r.add(x, Finding{Kind: Missing, Text: "the shard has no such table: make it there as it is on the others"})
				r.done(x)
			}
			continue
		}
		if err != nil {
			return err
		}
		if len(shape.Key) == 0 {
			return fmt.Errorf("it has no primary key on shard %s, so its rows can't be told apart: add one", sh.ID)
		}
		shapes[sh.ID] = shape
	}
	var err error
	if t.Reference {
		err = r.copies(ctx, t, shapes)
	} else {
		err = r.sharded(ctx, t, shapes)
	}
	if err != nil || t.Sequence == "" {
		return err
	}
	return r.sequence(ctx, t, shapes)
}

func (r *run) examine(table string, sh *shardmap.Shard) *Examined {
	return &Examined{Database: r.d.Name, Table: table, Shard: sh.ID}
}

// add takes a finding into the report and says where, so that it can be marked
// as repaired; nil where there is no room.
func (r *run) add(x *Examined, f Finding) {
	f.Database, f.Table, f.Shard = x.Database, x.Table, x.Shard
	x.Findings++
	r.report.Count++
	if f.Repaired {
		x.Repaired++
		r.report.Repaired++
	}
	if x.Findings <= r.Most {
		r.report.Findings = append(r.report.Findings, f)
	}
}

func (r *run) done(x *Examined) {
	r.report.Tables = append(r.report.Tables, *x)
	if r.Progress != nil {
		r.Progress(*x)
	}
}
