package roles

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"shardway/router/backend/health"
	"shardway/shardmap/gtid"
)

// Sight is what was last seen of one server of one shard, for whoever judges
// roles from it.
type Sight struct {
	Shard, Addr string
	Role        Role         // by the map, or by what was observed since: who is the primary now
	State       health.State // what follows is of before where it is down or connecting
	Since       time.Time    // when the state began
	Seen        time.Time    // when the server last said what follows; zero if never

	ServerID    string // server_uuid, or server_id where there is none
	ReadOnly    bool   // read_only or super_read_only is on
	SourceKnown bool   // whether the server says what it replicates from, or that it doesn't
	ReplicaOf   string // host:port of its source, also while its threads are stopped; "" if it has none
	SourceID    string // the source's server_uuid, or server_id where there is none; "" if not known yet
	IO, SQL     string // the replication threads' states: Yes, No, Connecting …
	// GTID is what the server has executed: gtid_executed, or all that MariaDB's
	// gtid_binlog_state, gtid_current_pos and gtid_slave_pos tell. Position is the
	// server's own word for it, gtid_executed or gtid_current_pos.
	GTID     gtid.Set
	Position string
}

// Answers says that the sight is of a server that answers now.
func (s *Sight) Answers() bool {
	return !s.Seen.IsZero() && s.State != health.Down && s.State != health.Connecting
}

// free says that the server takes writes and follows nobody, as a primary does.
// Without GTIDs nobody can tell a primary from a server that was forgotten.
func (s *Sight) free() bool {
	return s.Answers() && !s.ReadOnly && s.SourceKnown && s.ReplicaOf == "" && !s.GTID.IsEmpty()
}

// Follows says that s is configured as a replica of o, by address or identity.
func (s *Sight) Follows(o *Sight) bool {
	return s.ReplicaOf != "" && (s.ReplicaOf == o.Addr || s.SourceID != "" && s.SourceID == o.ServerID)
}

// Standing is what the roles of one shard are judged from.
type Standing struct {
	Primary     string   // the address that is in use as the primary
	Established bool     // it was judged steady, and has answered without an outage since
	Known       gtid.Set // all that it was ever seen to have
	Banned      string   // a former primary, which is no candidate; "" for none
	Sights      []Sight  // of every member
}

// Verdict is what became of a shard's roles.
type Verdict struct {
	Kind    Kind
	Primary string // who is the primary now: the one in use, or the one promoted; the one in use if split
	Why     string // of promoted and split; and of steady, what keeps a candidate from being followed
	Strays  map[string]string
	// Strays are members that must serve nothing, each with its reason.
}

// Equal says whether two verdicts say the same of a primary.
func (v *Verdict) Equal(o *Verdict) bool {
	return v.Kind == o.Kind && v.Why == o.Why && maps.Equal(v.Strays, o.Strays)
}

// Kind is what a Verdict says.
type Kind uint8

const (
	// Steady says that the primary in use stays. Whether it can be used is for its state to say.
	Steady Kind = iota
	// Promoted says that another member is the primary now.
	Promoted
	// Split says that two servers take writes and neither is known to be the primary.
	Split
)

// Judge says who is the primary of a shard. It is a function of what was
// seen alone.
func Judge(st *Standing) Verdict {
	v := Verdict{Primary: st.Primary, Strays: map[string]string{}}
	var primary *Sight
	var free []*Sight  // other members that look like a primary
	family := st.Known // the transactions of the shard
	for i := range st.Sights {
		s := &st.Sights[i]
		if s.Addr == st.Primary {
			primary = s
		} else if s.free() {
			free = append(free, s)
			continue
		}
		if !s.Seen.IsZero() {
			family = family.Union(s.GTID)
		}
	}
	if !family.IsEmpty() {
		// A server with a history of its own was never a replica here. What the map
		// says of it is for the operator to know.
		free = slices.DeleteFunc(free, func(s *Sight) bool { return !s.GTID.Shares(family) })
	}
	for _, s := range free {
		v.Strays[s.Addr] = "takes writes and replicates from nobody, but isn't the primary of shard " + s.Shard
	}
	if primary == nil || len(free) == 0 {
		return v
	}
	var candidates []*Sight
	for _, s := range free {
		// The former primary is believed only if its heir says so: it takes no writes
		// any more, whoever changed it back.
		takenBack := primary.Answers() && (primary.ReadOnly || primary.Follows(s))
		if s.Addr == st.Banned && !takenBack {
			v.Strays[s.Addr] = "was the primary before " + st.Primary + " was promoted, and takes writes again"
		} else {
			candidates = append(candidates, s)
		}
	}
	known := st.Known.Union(primary.GTID)
	demoted := ""
	switch {
	case primary.State == health.Down:
		demoted = "is down"
	case !primary.Answers():
		return v // not known yet
	case primary.ReadOnly:
		demoted = "is read-only"
	case followed(primary, candidates) != nil:
		demoted = "replicates from " + followed(primary, candidates).Addr
	case st.Established:
		return v
	}
	if demoted == "" {
		return judgeRivals(v, primary, candidates)
	}
	return judgeHeirs(v, primary, demoted, known, candidates)
}

func followed(primary *Sight, candidates []*Sight) *Sight {
	for _, s := range candidates {
		if primary.Follows(s) {
			return s
		}
	}
	return nil
}

// judgeHeirs finds the successor of a primary that takes no writes.
func judgeHeirs(v Verdict, primary *Sight, demoted string, known gtid.Set, candidates []*Sight) Verdict {
	switch len(candidates) {
	case 0:
		return v
	case 1:
		heir := candidates[0]
		if !heir.GTID.Covers(known) {
			v.Why = fmt.Sprintf("%s takes writes and replicates from nobody, but lacks transactions that %s had (%s), so it isn't followed",
				heir.Addr, primary.Addr, missing(known, heir.GTID))
			v.Strays[heir.Addr] = v.Why
			return v
		}
		return promote(v, heir, fmt.Sprintf("%s takes writes and replicates from nobody, and %s %s", heir.Addr, primary.Addr, demoted))
	}
	return splitBrain(v, candidates, fmt.Sprintf("%s %s, and", primary.Addr, demoted))
}

// judgeRivals decides by GTIDs between servers which all look like the primary:
// it is the one that has everything the others have. Among equals the one in use
// stays.
func judgeRivals(v Verdict, primary *Sight, candidates []*Sight) Verdict {
	for _, first := range append([]*Sight{primary}, candidates...) {
		all := first.GTID.Covers(primary.GTID)
		for _, s := range candidates {
			all = all && first.GTID.Covers(s.GTID)
		}
		switch {
		case !all:
		case first == primary:
			return v
		default:
			return promote(v, first, fmt.Sprintf("%s and %s both take writes, and %s has all transactions of %s and more",
				first.Addr, primary.Addr, first.Addr, primary.Addr))
		}
	}
	if len(candidates) == 0 {
		return v
	}
	return splitBrain(v, append([]*Sight{primary}, candidates...), "")
}

func promote(v Verdict, heir *Sight, why string) Verdict {
	delete(v.Strays, heir.Addr)
	v.Kind, v.Primary, v.Why = Promoted, heir.Addr, why
	return v
}

func splitBrain(v Verdict, rivals []*Sight, lead string) Verdict {
	var names []string
	for _, s := range rivals {
		names = append(names, s.Addr)
	}
	all := strings.Join(names, " and ")
	v.Kind = Split
	v.Why = strings.TrimSpace(fmt.Sprintf("%s %s take writes, replicate from nobody, and each may have transactions that the other lacks; "+
		"make all but the true primary read-only (SET GLOBAL read_only = ON) or replicas of it", lead, all))
	for _, s := range rivals {
		v.Strays[s.Addr] = "split brain: " + v.Why
	}
	return v
}

// missing says in a few words what of known isn't in have.
func missing(known, have gtid.Set) string {
	text := known.Minus(have).String()
	if text == "" {
		return "of which only the server that wrote them can tell"
	}
	if len(text) > 120 {
		text = text[:120] + "…"
	}
	return text
}
