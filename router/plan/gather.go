package plan

// Gather brings rows to temporary tables on one server and runs the client's statement there.
type Gather struct {
	Why string
}

func (*Gather) plan() {}

// String is "gather: why".
func (p *Gather) String() string { return "gather: " + p.Why }
