package protocol

// OK is an OK packet, decoded; the EOF packet that ends rows is one too.
// Changes come only from servers that were asked for CapSessionTrack.
type OK struct {
	AffectedRows uint64
	InsertID     uint64
	Status       Status
	Warnings     uint16
	Info         string
	Changes      []Change
}

// Change is a piece of session state that a server says has changed.
type Change struct {
	Kind  ChangeKind
	Name  string // the variable's name, with ChangeSysVar alone
	Value string
}

// ChangeKind says what a Change is about.
type ChangeKind uint8

// The kinds of change, with the protocol's numbers.
const (
	ChangeSysVar            ChangeKind = iota // Name and Value of a system variable
	ChangeSchema                              // Value: the current database
	ChangeState                               // Value: "1" when some session state changed
	ChangeGTID                                // Value: the GTIDs of the last transaction
	ChangeTxCharacteristics                   // Value: the statements that begin the same transaction
	ChangeTxState                             // Value: eight letters, "T_______"
)
