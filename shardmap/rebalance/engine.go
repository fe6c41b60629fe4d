package rebalance

import (
	"context"
	"errors"
)

// Engine runs rebalances. It is made by New.
type Engine struct {
	store Store
	o     Options
}

// New returns an engine for the moves in a store's map.
func New(store Store, o Options) *Engine { return &Engine{store: store, o: o} }

// Run brings each move of the rebalance of that id to where its want says, and
// returns what it did, also with an error. It returns a *[Running] error when
// another engine has the rebalance. It ends with the context's error when ctx
// is done, after taking back a pause that isn't decided; what it has copied
// stays, and the next Run goes on.
func (e *Engine) Run(ctx context.Context, id string) (Report, error) {
	return Report{}, errors.New("not yet")
}

// Status reads how far a rebalance is: from the map, and from what the engine
// keeps on the servers.
func (e *Engine) Status(ctx context.Context, id string) (Report, error) {
	return Report{}, errors.New("not yet")
}
