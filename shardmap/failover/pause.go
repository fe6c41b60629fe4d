package failover

import "strings"

// pause is what a change of primary writes into the map while the shard is
// paused, so that it can be finished or undone by whoever comes after:
//
//	switchover to ADDR by WHO
//	failover from ADDR by WHO
//	failover from ADDR to ADDR by WHO
//
// with ": promoting" or ": undoing" behind it once that is decided. Each is
// stored by compare-and-swap, so that of two who act at the same time one finds
// that it may not go on.
type pause struct {
	failover bool
	from, to string // from of a failover alone; to may be empty there
	by       string
	phase    string // "", promoting or undoing
}

const (
	promoting = "promoting"
	undoing   = "undoing"
)

func (p pause) String() string {
	s := "switchover"
	if p.failover {
		s = "failover from " + p.from
	}
	if p.to != "" {
		s += " to " + p.to
	}
	s += " by " + p.by
	if p.phase != "" {
		s += ": " + p.phase
	}
	return s
}

// parsePause reads a shard's Paused; ok is false for what isn't a change of
// primary.
func parsePause(text string) (p pause, ok bool) {
	for _, phase := range []string{promoting, undoing} {
		if rest, cut := strings.CutSuffix(text, ": "+phase); cut {
			text, p.phase = rest, phase
			break
		}
	}
	words := strings.SplitN(text, " ", 7)
	take := func(word string) (next string, found bool) {
		if len(words) < 2 || words[0] != word {
			return "", false
		}
		next, words = words[1], words[2:]
		return next, true
	}
	switch {
	case len(words) == 0:
		return pause{}, false
	case words[0] == "switchover":
		words = words[1:]
		if p.to, ok = take("to"); !ok {
			return pause{}, false
		}
	case words[0] == "failover":
		p.failover = true
		words = words[1:]
		if p.from, ok = take("from"); !ok {
			return pause{}, false
		}
		p.to, _ = take("to")
	default:
		return pause{}, false
	}
	if len(words) < 2 || words[0] != "by" {
		return pause{}, false
	}
	p.by = strings.Join(words[1:], " ")
	return p, true
}
