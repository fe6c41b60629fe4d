package rebalance

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"shardway/shardmap"
	"shardway/shardmap/rebalance/pace"
)

// Engine runs rebalances. It is made by New and may be used by any number of
// goroutines.
type Engine struct {
	store Store
	o     Options
}

// New returns an engine for the moves in a store's map.
func New(store Store, o Options) *Engine { return &Engine{store: store, o: o.withDefaults()} }

// Run brings each move of the rebalance of that id to where its want says, and
// returns what it did, also with an error. It returns a *[Running] error when
// another engine has the rebalance. A server that can't be reached is tried
// again and again; Progress says so. Run ends with the context's error when ctx
// is done, after taking back a pause that isn't decided; what it has copied
// stays, and the next Run goes on.
func (e *Engine) Run(ctx context.Context, id string) (Report, error) {
	r := &run{
		Options: e.o, store: e.store, id: id, began: time.Now(), changed: make(chan struct{}),
		movers: map[string]*mover{}, copying: make(chan struct{}, e.o.Parallel), switching: make(chan struct{}, 1), report: &Report{},
	}
	r.fleet = newFleet(r)
	r.limiter = pace.NewLimiter(e.o.Limit)
	r.pace = pace.New(e.o.Share)
	var random [6]byte
	_, _ = rand.Read(random[:]) // never fails
	r.token = e.o.By + " #" + hex.EncodeToString(random[:])
	err := r.run(ctx)
	return r.finalReport(), err
}

// run is one rebalance under way.
type run struct {
	Options
	store     Store
	id        string
	token     string // tells this engine from any other
	began     time.Time
	fleet     *fleet
	limiter   *pace.Limiter
	pace      *pace.Pacer
	copying   chan struct{} // a place for each move that may be copied now
	switching chan struct{} // the place for the one that is switched
	making    sync.Mutex    // of tables, so that two moves don't make the same one

	mu      sync.Mutex
	m       *shardmap.Map // the newest that is known
	changed chan struct{} // closed when m is another one
	movers  map[string]*mover
	locks   *locks
	report  *Report
	end     context.CancelCauseFunc // of the session
}

// errAgain ends a session of the engine after which it begins anew: the servers
// are others, or a lock was lost.
var errAgain = errors.New("the servers of the rebalance have changed")

func (r *run) run(ctx context.Context) error {
	m, err := r.store.Load(ctx)
	if err != nil {
		return err
	}
	r.setMap(m)
	if len(r.moves()) == 0 {
		return fmt.Errorf("version %d of the map has no rebalance %q; `shardctl rebalance status` lists them", m.Version(), r.id)
	}
	for wait := time.Second; ; wait = min(2*wait, 5*time.Second) {
		began := time.Now()
		err := r.session(ctx)
		_, taken := errors.AsType[*Running](err)
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err == nil, taken, isFinal(err), errors.Is(err, errCrash):
			return err
		}
		if time.Since(began) > time.Minute {
			wait = time.Second
		}
		r.warn("it begins anew: %s", err)
		r.lost(err)
		if !sleep(ctx, wait) {
			return context.Cause(ctx)
		}
	}
}

// lost shows why nothing is done for any move just now.
func (r *run) lost(err error) {
	for _, v := range r.all() {
		v.update(func(p *MoveProgress) { p.Error = err.Error() })
	}
	if r.Progress != nil {
		r.Progress(r.now())
	}
}

// session runs the movers under the locks of one set of servers.
func (r *run) session(ctx context.Context) error {
	if m, err := r.store.Load(ctx); err == nil {
		r.setMap(m)
	}
	l, err := r.lock(ctx)
	if err != nil {
		return err
	}
	defer l.close()
	r.mu.Lock()
	r.locks = l
	r.mu.Unlock()

	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var helpers sync.WaitGroup
	defer helpers.Wait()
	defer cancel(nil)
	helpers.Go(func() { r.watch(ctx, cancel) })
	helpers.Go(func() { l.keep(ctx, cancel) })
	helpers.Go(func() { r.fleet.watch(ctx) })
	helpers.Go(func() { r.tell(ctx) })

	r.mu.Lock()
	r.end = cancel
	r.mu.Unlock()
	var all sync.WaitGroup
	var movers []*mover
	for _, mv := range r.moves() {
		movers = append(movers, r.mover(mv))
	}
	for _, v := range movers {
		all.Go(func() {
			if err := v.run(ctx); errors.Is(err, errCrash) {
				cancel(err)
			}
			r.settledNow()
		})
	}
	all.Wait()
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, errSettled) {
		return cause
	}
	var problems []error
	for _, v := range r.all() {
		if err := v.failed(); err != nil {
			problems = append(problems, err)
		}
	}
	if err := errors.Join(problems...); err != nil {
		return final{err}
	}
	return nil
}

// errSettled ends a session in which no move can go further.
var errSettled = errors.New("each move is where it was asked to be")

// settledNow ends the session when each move is where its want says, or has
// failed, unless the engine is to stay. It is called by whoever has settled.
func (r *run) settledNow() {
	for _, v := range r.all() {
		if !v.isSettled() || r.Stay && v.failed() == nil && !v.gone() {
			return
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.end(errSettled)
}

// mover returns the one of a move.
func (r *run) mover(mv *shardmap.Move) *mover {
	r.mu.Lock()
	defer r.mu.Unlock()
	key := mv.Database.Name + "/" + mv.ID
	v := r.movers[key]
	if v == nil {
		v = &mover{r: r, db: mv.Database.Name, id: mv.ID}
		v.p.Lag = -1
		r.movers[key] = v
	}
	v.begin()
	return v
}

// all returns the movers in order.
func (r *run) all() []*mover {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := make([]*mover, 0, len(r.movers))
	for _, key := range slices.Sorted(maps.Keys(r.movers)) {
		all = append(all, r.movers[key])
	}
	return all
}

// moves returns those of the rebalance in the newest map.
func (r *run) moves() []*shardmap.Move {
	var all []*shardmap.Move
	for _, d := range r.current().Databases() {
		for _, mv := range d.Moves() {
			if mv.Rebalance() == r.id {
				all = append(all, mv)
			}
		}
	}
	return all
}

func (r *run) current() *shardmap.Map {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.m
}

// setMap takes a newer map over.
func (r *run) setMap(m *shardmap.Map) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.m != nil && m.Version() <= r.m.Version() {
		return
	}
	r.m = m
	close(r.changed)
	r.changed = make(chan struct{})
}

// news is closed when there is a newer map.
func (r *run) news() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.changed
}

// watch follows the store's map, and ends the session when a shard of the
// rebalance has another primary.
func (r *run) watch(ctx context.Context, cancel context.CancelCauseFunc) {
	for ctx.Err() == nil {
		m, err := r.store.Watch(ctx, r.current().Version())
		if err != nil {
			sleep(ctx, time.Second)
			continue
		}
		r.setMap(m)
		if !r.locks.cover(r.primaries()) {
			cancel(errAgain)
			return
		}
	}
}

// primaries are the addresses of the primaries of all sources and targets,
// sorted.
func (r *run) primaries() []string {
	var all []string
	for _, mv := range r.moves() {
		all = append(all, mv.From.Primary.Addr, mv.To.Primary.Addr)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// errState is the error of a change of a move that is in another state by now.
var errState = errors.New("the move is in another state by now")

// swap stores the map in which edit has changed a move, which must be in one of
// the states from. A change by others that leaves the move alone is taken in.
//
// Another engine may have taken over from this one and have come to the same
// state by another way. It had all locks then; so whoever still has one of them
// after the map was read knows that the map is no other engine's.
func (r *run) swap(ctx context.Context, db, id, note string, from []shardmap.MoveState, edit func(*shardmap.Move) bool) (*shardmap.Map, error) {
	for first := true; ; first = false {
		m := r.current()
		if !first {
			var err error
			if m, err = r.store.Load(ctx); err != nil {
				return nil, err
			}
			r.setMap(m)
		}
		mv := find(m, db, id)
		if mv == nil || !slices.Contains(from, mv.State) {
			if first {
				continue // it may be known from before
			}
			return nil, fmt.Errorf("%s of %s: %w", id, db, errState)
		}
		if !r.locks.cover([]string{mv.From.Primary.Addr, mv.To.Primary.Addr}) {
			return nil, errAgain
		}
		if err := r.locks.check(ctx, mv.From.Primary.Addr); err != nil {
			return nil, err
		}
		next, err := m.WithMove(db, id, edit)
		if err != nil {
			return nil, err
		}
		now, err := shardmap.Exchange(shardmap.WithNote(ctx, note), r.store, m.Version(), next)
		if now != nil {
			r.setMap(now)
		}
		switch {
		case err == nil:
			return now, nil
		case !errors.Is(err, shardmap.ErrConflict) || ctx.Err() != nil:
			return nil, err
		}
	}
}

func find(m *shardmap.Map, db, id string) *shardmap.Move {
	d := m.Database(db)
	if d == nil {
		return nil
	}
	for _, mv := range d.Moves() {
		if mv.ID == id {
			return mv
		}
	}
	return nil
}

func (r *run) warn(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.report.Warnings) < 100 && !slices.Contains(r.report.Warnings, text) {
		r.report.Warnings = append(r.report.Warnings, text)
	}
}

// point is where a test may end the engine.
func (r *run) point(step string) error {
	if r.failpoint == nil {
		return nil
	}
	return r.failpoint(step)
}

// sleep waits, and says false when ctx is done before.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
