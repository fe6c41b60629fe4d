package health

// State is the circuit state of one server.
type State string

const (
	// Connecting is a server not known to answer yet. A primary is tried; a replica too,
	// unless its lag must be known first. Successors: up, busy, lagging, down.
	Connecting State = "connecting"
	// Up is a server that answers and is eligible. Successors: busy, lagging, ejected,
	// suspect, down.
	Up State = "up"
	// Busy is a server that answers that it has too many connections; pooled connections stay
	// in use. Successors: up, lagging, suspect, down.
	Busy State = "busy"
	// Lagging is a replica that answers but serves no reads: its lag is over
	// the limit or unknown. Successors: up, suspect, down.
	Lagging State = "lagging"
	// Ejected is a replica that answers probes but serves no reads for a while, since its
	// connections broke or its reads took far longer than others'. Successors: up, busy, lagging,
	// suspect, down.
	Ejected State = "ejected"
	// Suspect is a server to which a connection broke; a probe is under way. A replica
	// serves no reads until the probe is answered; a primary gets new connections
	// only. Successors: up, busy, lagging, down.
	Suspect State = "suspect"
	// Down is a server that can't be connected to, or refuses the login. Successors: up,
	// busy, lagging.
	Down State = "down"
)
