package rebalance

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"shardway/shardmap"
	"shardway/shardmap/server"
)

// progress is what is shown of the move.
func (v *mover) progress() MoveProgress {
	rate := v.rate.Rate()
	v.mu.Lock()
	defer v.mu.Unlock()
	p := v.p
	p.Lag = -1
	if !v.reached.IsZero() {
		p.Lag = time.Since(v.reached)
	}
	if p.Phase == PhaseCopy || p.Phase == PhaseClean {
		p.Rate = rate
		if rate > 0 && p.RowsTotal > p.Rows {
			p.Left = time.Duration(float64(p.RowsTotal-p.Rows) / rate * float64(time.Second))
		}
	}
	return p
}

// lastReached is when the copies last had all that the owner had.
func (v *mover) lastReached() time.Time {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.reached
}

// tell tells the progress until ctx is done.
func (r *run) tell(ctx context.Context) {
	if r.Progress == nil {
		return
	}
	last := map[string]string{}
	ended, told := false, time.Time{}
	for {
		p := r.now()
		changed := false
		for _, mv := range p.Moves {
			key, text := mv.Database+"/"+mv.ID, fmt.Sprint(mv.State, mv.Phase, mv.Step, mv.Wait, mv.Error)
			changed = changed || last[key] != text
			last[key] = text
		}
		if changed || ended || time.Since(told) >= r.Tick {
			r.Progress(p)
			told = time.Now()
		}
		if ended {
			return
		}
		ended = !sleep(ctx, min(50*time.Millisecond, r.Tick))
	}
}

func (r *run) now() Progress {
	p := Progress{Rebalance: r.id, At: time.Now(), By: r.By, Version: r.current().Version()}
	for _, v := range r.all() {
		p.Moves = append(p.Moves, v.progress())
	}
	return p
}

func (r *run) finalReport() Report {
	r.mu.Lock()
	report := *r.report
	known := r.m != nil
	r.mu.Unlock()
	if known {
		report.Progress = r.now()
	}
	report.Took = time.Since(r.began)
	return report
}

// Status reads how far a rebalance is: from the map, and from what the engine
// keeps on the servers. By is empty when no engine runs it. Servers that can't
// be reached are warned of.
func (e *Engine) Status(ctx context.Context, id string) (Report, error) {
	m, err := e.store.Load(ctx)
	if err != nil {
		return Report{}, err
	}
	r := &run{Options: e.o, store: e.store, id: id, m: m, report: &Report{}, changed: make(chan struct{})}
	report := Report{Progress: Progress{Rebalance: id, At: time.Now(), Version: m.Version()}}
	moves := r.moves()
	if len(moves) == 0 {
		return report, fmt.Errorf("version %d of the map has no rebalance %q; `shardctl rebalance status` lists them", m.Version(), id)
	}
	q := &asker{r: r, servers: map[string]*server.Server{}}
	defer q.close()
	for _, mv := range moves {
		p, strays, err := q.move(ctx, mv)
		if err != nil {
			r.warn("%s", err)
		}
		report.Moves = append(report.Moves, p)
		report.Strays = append(report.Strays, strays...)
	}
	report.By = q.by
	report.Warnings = r.report.Warnings
	return report, nil
}

// asker asks servers for the states that engines keep.
type asker struct {
	r       *run
	servers map[string]*server.Server
	by      string
}

func (q *asker) close() {
	for _, n := range q.servers {
		n.Close()
	}
}

func (q *asker) server(ctx context.Context, addr string) (*server.Server, error) {
	if n := q.servers[addr]; n != nil {
		return n, nil
	}
	n, err := q.r.open(ctx, addr)
	if err == nil {
		q.servers[addr] = n
	}
	return n, err
}

func (q *asker) move(ctx context.Context, mv *shardmap.Move) (MoveProgress, []Stray, error) {
	p := MoveProgress{Phase: PhasePrepare, Lag: -1}
	k := kindTo
	switch mv.State {
	case shardmap.MoveMoved, shardmap.MoveReturning:
		k = kindBack
	case shardmap.MoveCleaning:
		k = kindClean
	case shardmap.MovePlanned, shardmap.MoveCopying, shardmap.MovePaused:
	}
	var strays []Stray
	err := q.ask(ctx, mv, k, &p, &strays)
	p.ID, p.Database, p.From, p.To = mv.ID, mv.Database.Name, mv.From.ID, mv.To.ID
	p.Slots, p.State, p.Want, p.Hold = shardmap.FormatSlots(mv.Slots()), mv.State, mv.Want, mv.Hold
	return p, strays, err
}

func (q *asker) ask(ctx context.Context, mv *shardmap.Move, k kind, p *MoveProgress, strays *[]Stray) error {
	n, err := q.server(ctx, mv.Copies().Primary.Addr)
	if err != nil {
		return err
	}
	list, err := n.Query(ctx, "SELECT engine, progress, IS_USED_LOCK(?) AS used FROM shardway.rebalances WHERE db = ? AND move = ? AND kind = ?",
		lockName(q.r.id), mv.Database.Name, mv.ID, string(k))
	if code := server.Code(err); code == 1146 || code == 1049 {
		return nil // no engine has been there
	}
	if err != nil {
		return err
	}
	for _, row := range list {
		if err := json.Unmarshal([]byte(row["progress"]), p); err != nil {
			return fmt.Errorf("%s: shardway.rebalances: move %s of %s: %w", n.Addr, mv.ID, mv.Database.Name, err)
		}
		if row["used"] != "" {
			q.by = withoutToken(row["engine"])
		}
	}
	if k != kindBack {
		return nil
	}
	found, err := n.DB.QueryContext(ctx, `SELECT name, row_key, gtid, UNIX_TIMESTAMP(at), here, owner FROM shardway.rebalance_strays
		WHERE db = ? AND move = ? ORDER BY id LIMIT 1000`, mv.Database.Name, mv.ID)
	if err != nil {
		return fmt.Errorf("%s: shardway.rebalance_strays: %w", n.Addr, err)
	}
	defer found.Close()
	for found.Next() {
		s := Stray{Move: mv.ID}
		var at sql.NullFloat64
		if err := found.Scan(&s.Table, &s.Key, &s.GTID, &at, &s.Here, &s.Owner); err != nil {
			return fmt.Errorf("%s: shardway.rebalance_strays: %w", n.Addr, err)
		}
		s.At = time.Unix(int64(at.Float64), 0).UTC()
		*strays = append(*strays, s)
	}
	return found.Err()
}
