package rebalance

import (
	"time"

	"shardway/shardmap"
)

// Phase is what the engine does with a move in its state.
type Phase string

// The phases. What a move goes through within copying: prepare, copy, follow,
// verify, level; from level on a switch can begin.
const (
	PhasePrepare Phase = "prepare" // look at the servers, make tables
	PhaseCopy    Phase = "copy"    // copy chunks and follow
	PhaseFollow  Phase = "follow"  // all is copied: catch up
	PhaseVerify  Phase = "verify"  // compare both sides
	PhaseLevel   Phase = "level"   // all is there and equal; stay so
	PhaseSwitch  Phase = "switch"  // statements wait: see MoveProgress.Step
	PhaseClean   Phase = "clean"   // remove copies
	PhaseHeld    Phase = "held"    // the operator has asked to copy nothing for now
	PhaseDone    Phase = "done"    // the move has been dropped from the map
)

// Progress says how far a rebalance is.
type Progress struct {
	Rebalance string         `json:"rebalance"`
	At        time.Time      `json:"at"`
	Version   uint64         `json:"version"` // of the map
	By        string         `json:"by"`      // the engine; empty when none runs
	Moves     []MoveProgress `json:"moves"`   // ordered by id, those that are done too
}

// MoveProgress says how far a move is.
type MoveProgress struct {
	ID       string             `json:"id"`
	Database string             `json:"database"`
	From     string             `json:"from"`
	To       string             `json:"to"`
	Slots    []string           `json:"slots"` // ranges
	State    shardmap.MoveState `json:"state"`
	Want     shardmap.MoveWant  `json:"want,omitempty"`
	Hold     bool               `json:"hold,omitempty"`

	Phase Phase  `json:"phase"`
	Step  string `json:"step,omitempty"`  // of the phase, such as "wait for proxies" or the table that is read
	Wait  string `json:"wait,omitempty"`  // why nothing is copied just now, such as a replica's lag
	Error string `json:"error,omitempty"` // what stopped it, or what took the last switch back

	Tables     int    `json:"tables"` // that are copied or removed
	TablesDone int    `json:"tables_done"`
	Rows       uint64 `json:"rows"`       // copied, or removed in cleaning
	RowsTotal  uint64 `json:"rows_total"` // an estimate while rows are written
	Changes    uint64 `json:"changes"`    // rows that were read again because they had changed

	Rate float64       `json:"rate"`    // rows each second, lately
	Left time.Duration `json:"left_ns"` // of copying or cleaning; 0 when unknown
	Lag  time.Duration `json:"lag_ns"`  // how far the copies are behind; -1 when unknown

	// Pause is how long statements for the slots waited in the last switch that
	// was done, and Tries how many were begun, the ones that were taken back too.
	Pause  time.Duration `json:"pause_ns"`
	Tries  int           `json:"tries"`
	Strays int           `json:"strays"` // see [Stray]
}

// Stray is a row in the slots of a move that was written at the shard that
// doesn't own them any more, past the proxies.
type Stray struct {
	Move  string    `json:"move"`
	Table string    `json:"table"`
	Key   string    `json:"key"`  // the primary key as SQL
	GTID  string    `json:"gtid"` // the transaction
	At    time.Time `json:"at"`
	Here  string    `json:"here"`  // the row where it was written to, empty when it isn't there
	Owner string    `json:"owner"` // the row at the owner, empty when it isn't there
}

// Report says what an engine did.
type Report struct {
	Progress
	Took     time.Duration `json:"took_ns"`
	Pauses   []Pause       `json:"pauses,omitempty"`
	Warnings []string      `json:"warnings,omitempty"`
	Strays   []Stray       `json:"strays,omitempty"`
}

// Pause is one switch that was begun.
type Pause struct {
	Move   string        `json:"move"`
	To     string        `json:"to"` // the shard that was to own the slots
	Began  time.Time     `json:"began"`
	Took   time.Duration `json:"took_ns"`
	Done   bool          `json:"done"`
	Why    string        `json:"why,omitempty"`    // why it was taken back
	Fenced []string      `json:"fenced,omitempty"` // proxies that were fenced
	Steps  []Step        `json:"steps"`
}

// Step is a part of a [Pause].
type Step struct {
	Name string        `json:"name"`
	Took time.Duration `json:"took_ns"`
}
