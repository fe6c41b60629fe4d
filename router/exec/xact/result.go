package xact

import (
	"strings"

	"shardway/protocol"
)

// Outcome is how a transaction ended.
type Outcome uint8

// The outcomes.
const (
	RolledBack Outcome = iota // nothing of it is left, or will be as soon as a server is back
	Committed                 // so is every part of it, or will be as soon as a server is back
	Unknown                   // the server that decided can't be asked: it may be either
	Divided                   // without atomicity: some parts are committed, others not
)

// Result is how a transaction ended, and why.
type Result struct {
	Outcome Outcome
	Why     error  // what went wrong; nil when nothing did
	Server  string // where
	Shard   string
	// Waits says of Unknown that the transaction is decided as soon as the server that decides answers.
	Waits bool
	// Late are the shards whose part is still to be committed.
	Late []string
}

// ForClient is what the client is told of a COMMIT that isn't known to have been one; nil when it is.
func (r *Result) ForClient(parts []*Participant) error {
	shards := make([]string, len(parts))
	for i, p := range parts {
		shards[i] = p.Shard
	}
	on := strings.Join(shards, ", ")
	why := ""
	if r.Why != nil {
		why = strings.TrimSuffix(r.Why.Error(), ".")
	}
	switch r.Outcome {
	case Committed:
		return nil
	case RolledBack:
		return protocol.Errorf(1213, "40001", "shardway: %s of shard %s didn't commit (%s), so the transaction was rolled back on all its shards (%s); try it again from its start", r.Server, r.Shard, why, on)
	case Divided:
		return protocol.Errorf(1105, "HY000", "shardway: %s of shard %s didn't commit (%s), and other shards did: the transaction, which wasn't atomic, is committed in part: look before you try it again", r.Server, r.Shard, why)
	default:
		if r.Waits {
			return protocol.Errorf(1105, "HY000", "shardway: %s of shard %s broke during COMMIT (%s): the transaction is being resolved, it will be committed or rolled back on all its shards (%s) as soon as shard %s answers; look before you try it again", r.Server, r.Shard, why, on, r.Shard)
		}
		return protocol.Errorf(1105, "HY000", "shardway: the connection to %s of shard %s broke (%s) during COMMIT: whether the transaction was committed isn't known; look before you try it again", r.Server, r.Shard, why)
	}
}
