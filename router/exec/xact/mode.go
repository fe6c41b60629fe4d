package xact

// CrossShard says what becomes of a transaction that needs a second shard.
type CrossShard uint8

// What can become of it.
const (
	CrossShardAtomic CrossShard = iota // all shards commit or none
	CrossShardForbid                   // the statement that needs it is refused
	CrossShardUnsafe                   // each shard commits for itself, one after another
)

// String is the value of the configuration and of @@shardway_cross_shard.
func (c CrossShard) String() string {
	switch c {
	case CrossShardForbid:
		return "forbid"
	case CrossShardUnsafe:
		return "unsafe"
	default:
		return "atomic"
	}
}

// CrossShardOf is the inverse of String.
func CrossShardOf(s string) CrossShard {
	switch s {
	case "forbid":
		return CrossShardForbid
	case "unsafe":
		return CrossShardUnsafe
	default:
		return CrossShardAtomic
	}
}
