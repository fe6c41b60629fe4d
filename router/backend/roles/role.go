package roles

// Role says what a connection is wanted for, and which part a server plays in
// its shard.
type Role uint8

const (
	// Primary is the server that takes a shard's writes.
	Primary Role = iota
	// Replica is a server that follows a primary. A Want of this role is served
	// by a primary when no replica is eligible and Options.FallbackToPrimary is set.
	Replica
	// Any is a Want that every server of the shard can serve, such as a read of a
	// reference table. No server has this role.
	Any
)

// String gives "primary", "replica" or "any".
func (r Role) String() string {
	switch r {
	case Primary:
		return "primary"
	case Replica:
		return "replica"
	default:
		return "any"
	}
}
