package shardmap

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// moves reads the moves of a database whose owners have been read.
func (p *parser) moves(m *Map, d *Database, n *yaml.Node, path string) {
	if n == nil {
		return
	}
	before := len(p.problems)
	taken := map[int]string{}
	for _, e := range p.entries(n, path) {
		id, vpath := e.key.Value, join(path, e.key.Value)
		if p.full() {
			return
		}
		if !idForm.MatchString(id) {
			p.errorf(e.key, vpath, "is no id of a move; use 1 to 64 letters, digits, '_', '.' and '-'")
			continue
		}
		f := p.fields(e.value, vpath, "slots", "from", "to", "state", "want", "hold", "by")
		if f == nil {
			continue
		}
		v := &Move{ID: id, Database: d}
		missing := false
		for _, k := range []string{"slots", "from", "to", "state"} {
			if f[k] == nil {
				p.errorf(e.value, vpath+"."+k, "is missing; moves are written by shardctl rebalance")
				missing = true
			}
		}
		if missing {
			continue
		}
		v.From, v.To = p.shardRef(m, f["from"], vpath+".from"), p.shardRef(m, f["to"], vpath+".to")
		if v.From == nil || v.To == nil {
			continue
		}
		if v.From == v.To {
			p.errorf(f["to"], vpath+".to", "is the shard from which the slots are moved")
			continue
		}
		v.State = MoveState(f["state"].Value)
		if !slices.Contains([]MoveState{MovePlanned, MoveCopying, MovePaused, MoveMoved, MoveReturning, MoveCleaning}, v.State) {
			p.errorf(f["state"], vpath+".state", "must be planned, copying, paused, moved, returning or cleaning, not %s", kindName(f["state"]))
			continue
		}
		if w := f["want"]; w != nil {
			v.Want = MoveWant(w.Value)
			if !slices.Contains([]MoveWant{WantSwitch, WantUndo, WantFinish, WantCancel}, v.Want) {
				p.errorf(w, vpath+".want", "must be switch, undo, finish or cancel, not %s", kindName(w))
				continue
			}
		}
		if h := f["hold"]; h != nil {
			if h.Kind != yaml.ScalarNode || h.Tag != "!!bool" {
				p.errorf(h, vpath+".hold", "must be true or false, not %s", kindName(h))
				continue
			}
			v.Hold = strings.EqualFold(h.Value, "true")
		}
		if b := f["by"]; b != nil {
			v.By, _ = p.text(b, vpath+".by")
		}
		p.moveSlots(d, v, f["slots"], vpath+".slots", taken)
		if len(v.slots) > 0 {
			d.moves = append(d.moves, v)
		}
	}
	if len(p.problems) > before {
		return
	}
	d.orderMoves()
}

// moveSlots reads the slots of one move: each is in no other, and owned by the
// shard that the state says.
func (p *parser) moveSlots(d *Database, v *Move, n *yaml.Node, path string, taken map[int]string) {
	before := len(p.problems)
	for i, item := range p.items(n, path, "ranges") {
		at := fmt.Sprintf("%s[%d]", path, i)
		r, err := parseRange(item.Value, d.Slots)
		if item.Kind != yaml.ScalarNode {
			err = fmt.Errorf("must be a range, not %s", kindName(item))
		}
		if err != nil {
			p.errorf(item, at, "%s", err)
			return
		}
		for slot := r.from; slot <= r.to; slot += r.step {
			if other, ok := taken[slot]; ok {
				p.errorf(item, at, "slot %d is moved by %s and by %s; a slot is in one move at a time", slot, other, v.ID)
				return
			}
			taken[slot] = v.ID
			owner := d.owners[slot]
			switch {
			case owner != v.From && owner != v.To,
				v.State == MoveMoved && owner != v.To, v.State == MoveReturning && owner != v.To,
				(v.State == MovePlanned || v.State == MoveCopying || v.State == MovePaused) && owner != v.From:
				p.errorf(item, at, "slot %d is owned by %s, which can't be with from: %s, to: %s and state: %s", slot, owner.ID, v.From.ID, v.To.ID, v.State)
				return
			}
			v.slots = append(v.slots, slot)
		}
	}
	slices.Sort(v.slots)
	if len(v.slots) == 0 && len(p.problems) == before {
		p.errorf(n, path, "has no slots")
		return
	}
	for _, slot := range v.slots {
		if d.owners[slot] != d.owners[v.slots[0]] {
			p.errorf(n, path, "slots %d and %d have different owners; those of one move have one", v.slots[0], slot)
			v.slots = nil
			return
		}
	}
}

// orderMoves sorts the moves and notes which slots are on their way.
func (d *Database) orderMoves() {
	slices.SortFunc(d.moves, func(a, b *Move) int { return naturalCompare(a.ID, b.ID) })
	for _, v := range d.moves {
		if !v.Begun() {
			continue
		}
		if d.moving == nil {
			d.moving = make([]*Move, d.Slots)
		}
		for _, slot := range v.slots {
			d.moving[slot] = v
		}
	}
}

func (v *Move) yaml() string {
	list := FormatSlots(v.slots)
	for i := range list {
		list[i] = strconv.Quote(list[i])
	}
	out := fmt.Sprintf("{slots: [%s], from: %s, to: %s, state: %s", strings.Join(list, ", "), quote(v.From.ID), quote(v.To.ID), v.State)
	if v.Want != WantNothing {
		out += ", want: " + string(v.Want)
	}
	if v.Hold {
		out += ", hold: true"
	}
	if v.By != "" {
		out += ", by: " + quote(v.By)
	}
	return out + "}"
}

// movesYAML writes the moves of a database below its key, each in one line.
func movesYAML(moves []*Move, indent string) string {
	var b strings.Builder
	for _, v := range moves {
		fmt.Fprintf(&b, "%s%s: %s\n", indent, quote(v.ID), v.yaml())
	}
	return b.String()
}

// editMoves returns the next version of the map with other moves of one
// database, and with other owners of the slots that owner names.
func (m *Map) editMoves(db string, moves []*Move, owner map[int]*Shard) (*Map, error) {
	d := m.Database(db)
	if d == nil {
		return nil, fmt.Errorf("the map has no database %q", db)
	}
	return m.edit(func(doc *yaml.Node) error {
		n := child(child(doc, "databases"), d.Name)
		remove(n, "moves")
		if len(moves) > 0 {
			if err := set(n, "moves", movesYAML(moves, "")); err != nil {
				return err
			}
		}
		if len(owner) == 0 {
			return nil
		}
		c := *d
		c.owners = slices.Clone(d.owners)
		for slot, s := range owner {
			c.owners[slot] = s
		}
		return set(n, "owners", c.ownersYAML(m, ""))
	})
}

// edit returns the next version of the map with its YAML changed by change,
// which gets the topmost mapping.
func (m *Map) edit(change func(doc *yaml.Node) error) (*Map, error) {
	text, err := m.Marshal()
	if err != nil {
		return nil, err
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(text, &doc); err != nil {
		return nil, err
	}
	if err := change(doc.Content[0]); err != nil {
		return nil, err
	}
	var out bytes.Buffer
	enc := yaml.NewEncoder(&out)
	enc.SetIndent(2)
	if err := enc.Encode(&doc); err != nil {
		return nil, err
	}
	next, err := Parse(out.Bytes())
	if err != nil {
		return nil, err
	}
	return next.WithVersion(m.version + 1), nil
}

// remove takes a key out of a mapping.
func remove(n *yaml.Node, key string) {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			n.Content = slices.Delete(n.Content, i, i+2)
			return
		}
	}
}

// set gives a key of a mapping the value that text is in YAML; a comment on the
// value before stays.
func set(n *yaml.Node, key, text string) error {
	var doc yaml.Node
	if err := yaml.Unmarshal([]byte(text), &doc); err != nil {
		return err
	}
	value := doc.Content[0]
	if was := child(n, key); was != nil {
		value.HeadComment, value.LineComment, value.FootComment = was.HeadComment, was.LineComment, was.FootComment
		*was = *value
		return nil
	}
	n.Content = append(n.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: key}, value)
	return nil
}
