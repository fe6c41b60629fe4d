package shardmap

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Move is a set of slots of one database on its way from one shard to another.
// What has begun with one operator's command is a rebalance; its moves have
// ids like r1.1 and r1.2.
type Move struct {
	ID       string
	Database *Database
	From, To *Shard
	State    MoveState
	Want     MoveWant // what the operator has asked for; may be empty
	Hold     bool     // the operator has asked that no rows are copied for now
	By       string   // who has asked for it: user@host; may be empty

	slots []int // ascending
}

// MoveState says how far a move is. Only the engine that moves the rows changes
// it.
type MoveState string

// The states, each with its successors.
const (
	MovePlanned   MoveState = "planned"   // nothing has been done yet: copying, or the move is dropped
	MoveCopying   MoveState = "copying"   // the target has copies, of some rows or of all: paused, cleaning
	MovePaused    MoveState = "paused"    // statements for the slots wait, the target takes over: moved, copying
	MoveMoved     MoveState = "moved"     // the target owns the slots, the source has copies that follow: returning, cleaning
	MoveReturning MoveState = "returning" // statements for the slots wait, the source takes over again: cleaning, moved
	MoveCleaning  MoveState = "cleaning"  // the copies of the shard that isn't the owner are removed: the move is dropped
)

// MoveWant is what the operator has asked for.
type MoveWant string

// What can be asked for.
const (
	WantNothing MoveWant = ""       // copy, and stay level
	WantSwitch  MoveWant = "switch" // let the target own the slots as soon as it has all
	WantUndo    MoveWant = "undo"   // let the source own them again, with all writes made since
	WantFinish  MoveWant = "finish" // remove the copies at the source
	WantCancel  MoveWant = "cancel" // remove the copies at the target, which never owned the slots
)

// Rebalance is the id of what the move is a part of: r1 for r1.2.
func (v *Move) Rebalance() string {
	if i := strings.LastIndexByte(v.ID, '.'); i > 0 {
		return v.ID[:i]
	}
	return v.ID
}

// Slots returns the move's slots, ascending.
func (v *Move) Slots() []int { return v.slots }

// Has reports whether slot is one of the move's.
func (v *Move) Has(slot int) bool {
	_, ok := slices.BinarySearch(v.slots, slot)
	return ok
}

// Begun reports whether servers may hold copies for the move.
func (v *Move) Begun() bool { return v.State != MovePlanned }

// Waits reports whether statements for the slots wait.
func (v *Move) Waits() bool { return v.State == MovePaused || v.State == MoveReturning }

// Owner is the shard that owns the slots, one of From and To.
func (v *Move) Owner() *Shard { return v.Database.owners[v.slots[0]] }

// Copies is the other one of From and To: where there are copies of the rows,
// once the move has begun.
func (v *Move) Copies() *Shard {
	if v.Owner() == v.From {
		return v.To
	}
	return v.From
}

// SlotSQL returns the SQL condition that is true of the rows of t in the move's
// slots, and never NULL. qualifier is put before the key column, see
// Table.SlotSQL. The table must be sharded.
func (v *Move) SlotSQL(t *Table, qualifier string) string { return t.InSQL(v.slots, qualifier) }

// InSQL returns the SQL condition that is true of the rows of t in one of these
// slots, of which there is one at least, and never NULL. qualifier is put before
// the key column, see SlotSQL. The table must be sharded.
func (t *Table) InSQL(slots []int, qualifier string) string {
	return slotsSQL(t.SlotSQL(qualifier), slots)
}

// Moves returns the database's moves, ordered by id.
func (d *Database) Moves() []*Move { return d.moves }

// Moving returns the begun move that slot is a part of, or nil. It panics when
// slot is not in [0, Slots).
func (d *Database) Moving(slot int) *Move {
	if d.moving == nil {
		return nil
	}
	return d.moving[slot]
}

// Foreign returns the slots of which the shard of that id may hold rows that
// aren't its own, ascending.
func (d *Database) Foreign(id string) []int {
	var slots []int
	for _, v := range d.moves {
		if v.Begun() && v.Copies().ID == id {
			slots = append(slots, v.slots...)
		}
	}
	slices.Sort(slots)
	return slots
}

// OwnSQL returns the SQL condition that is true of those rows of t on the shard
// of that id which the shard owns, and never NULL; it is empty where that is
// all of them. qualifier is put before the key column, see SlotSQL. The table
// must be sharded.
func (t *Table) OwnSQL(shard, qualifier string) string {
	if t.Database.moving == nil {
		return ""
	}
	foreign := t.Database.Foreign(shard)
	if len(foreign) == 0 {
		return ""
	}
	return "NOT " + slotsSQL(t.SlotSQL(qualifier), foreign)
}

// slotsSQL is the condition that the slot, an expression, is one of slots.
func slotsSQL(slot string, slots []int) string {
	slot = "COALESCE(" + slot + ",-1)" // no slot, rather than NULL, for a key that is NULL
	var single []string
	var terms []string
	for _, r := range compress(slots) {
		switch {
		case r.from == r.to:
			single = append(single, strconv.Itoa(r.from))
		case r.step == 1:
			terms = append(terms, fmt.Sprintf("%s BETWEEN %d AND %d", slot, r.from, r.to))
		default:
			terms = append(terms, fmt.Sprintf("(%s BETWEEN %d AND %d AND %s %% %d = %d)", slot, r.from, r.to, slot, r.step, r.from%r.step))
		}
	}
	if len(single) > 0 {
		terms = append(terms, slot+" IN ("+strings.Join(single, ",")+")")
	}
	return "(" + strings.Join(terms, " OR ") + ")"
}

// WithMoves returns the next version of the map, in which the database has
// these moves and no others; of each, the ID, From, To, State, Want, Hold, By
// and the slots are taken over, and the owners are set as the states say. The
// text's comments stay.
func (m *Map) WithMoves(db string, moves []*Move) (*Map, error) {
	return m.editMoves(db, moves, nil)
}

// NewMove returns a planned move of slots, which are sorted here.
func NewMove(id string, from, to *Shard, slots []int, want MoveWant, by string) *Move {
	slots = slices.Clone(slots)
	slices.Sort(slots)
	return &Move{ID: id, From: from, To: to, State: MovePlanned, Want: want, By: by, slots: slots}
}

// WithMove returns the next version of the map, in which edit has changed the
// State, Want or Hold of one move, or says that it is gone. A move that becomes
// MoveMoved gives its slots to To, one that becomes MoveCleaning after
// MoveReturning gives them back to From. The text's comments stay.
func (m *Map) WithMove(db, id string, edit func(*Move) (keep bool)) (*Map, error) {
	d := m.Database(db)
	if d == nil {
		return nil, fmt.Errorf("the map has no database %q", db)
	}
	var moves []*Move
	owner := map[int]*Shard{}
	found := false
	for _, v := range d.moves {
		c := *v
		if v.ID == id {
			found = true
			if !edit(&c) {
				continue
			}
			to := v.Owner()
			switch {
			case c.State == MoveMoved:
				to = v.To
			case c.State == MoveCleaning && v.State == MoveReturning:
				to = v.From
			}
			if to != v.Owner() {
				for _, slot := range v.slots {
					owner[slot] = to
				}
			}
		}
		moves = append(moves, &c)
	}
	if !found {
		return nil, fmt.Errorf("database %s has no move %q in version %d of the map", d.Name, id, m.version)
	}
	return m.editMoves(db, moves, owner)
}
