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

// okPacket is an OK packet as it lies in its payload.
type okPacket struct {
	affected, insertID uint64
	status             Status
	warnings           uint16
	statusAt           int // where the status is in the payload
	info, track        []byte
}

// parseOK reads an OK packet, also in the form that ends rows with
// CapDeprecateEOF. What it returns are parts of p.
func parseOK(p []byte, caps Capability) (okPacket, error) {
	d := decoder{p: p}
	d.byte()
	o := okPacket{affected: d.LenInt(), insertID: d.LenInt()}
	o.statusAt = len(p) - len(d.p)
	o.status = Status(d.uint16())
	o.warnings = d.uint16()
	if d.bad {
		return o, malformed("an OK packet of %d bytes ends early", len(p))
	}
	if len(d.p) == 0 {
		return o, nil
	}
	if !caps.Has(CapSessionTrack) {
		// Servers count the text's bytes before it; the manual says that it
		// just goes on to the end.
		if o.info = d.lenString(); d.bad || len(d.p) > 0 {
			o.info = p[o.statusAt+4:]
		}
		return o, nil
	}
	o.info = d.lenString()
	if o.status.Has(StatusSessionStateChanged) && len(d.p) > 0 {
		o.track = d.lenString()
	}
	if d.bad {
		return o, malformed("the text or the session state of an OK packet of %d bytes is cut", len(p))
	}
	return o, nil
}

// parseEOF reads an EOF packet.
func parseEOF(p []byte) (okPacket, error) {
	d := decoder{p: p}
	d.byte()
	o := okPacket{warnings: d.uint16(), statusAt: 3}
	o.status = Status(d.uint16())
	if d.bad {
		return o, malformed("an EOF packet of %d bytes ends early", len(p))
	}
	return o, nil
}

func (o *okPacket) decode() (OK, error) {
	ok := OK{
		AffectedRows: o.affected, InsertID: o.insertID, Status: o.status,
		Warnings: o.warnings, Info: string(o.info),
	}
	var err error
	ok.Changes, err = appendChanges(nil, o.track)
	return ok, err
}

// uncounted is a variable that MySQL reports with every statement when all variables are tracked. It is the number of
// the statement and no state, and is left out so that it costs nothing.
const uncounted = "statement_id"

// appendChanges decodes the session state of an OK packet.
func appendChanges(dst []Change, track []byte) ([]Change, error) {
	d := decoder{p: track}
	for len(d.p) > 0 && !d.bad {
		kind := ChangeKind(d.byte())
		e := decoder{p: d.lenString(), bad: d.bad}
		switch kind {
		case ChangeSysVar:
			for first := true; first || len(e.p) > 0 && !e.bad; first = false {
				name, value := e.lenString(), e.lenString()
				if !e.bad && string(name) != uncounted {
					dst = append(dst, Change{Kind: kind, Name: string(name), Value: string(value)})
				}
			}
		case ChangeGTID:
			e.byte() // the encoding, always 0: text
			fallthrough
		case ChangeSchema, ChangeTxCharacteristics, ChangeTxState:
			if value := e.lenString(); !e.bad {
				dst = append(dst, Change{Kind: kind, Value: string(value)})
			}
		case ChangeState: // one character, without a length of its own
			dst = append(dst, Change{Kind: kind, Value: string(e.p)})
		default: // of a later server; its length says where it ends
		}
		d.bad = d.bad || e.bad
	}
	if d.bad {
		return dst, malformed("%d bytes of session state end early", len(track))
	}
	return dst, nil
}

// appendTrack encodes changes as appendChanges decodes them.
func appendTrack(dst []byte, changes []Change) []byte {
	for _, c := range changes {
		var data []byte
		switch c.Kind {
		case ChangeSysVar:
			data = appendLenString(data, c.Name)
		case ChangeGTID:
			data = append(data, 0)
		case ChangeSchema, ChangeState, ChangeTxCharacteristics, ChangeTxState:
		}
		if c.Kind == ChangeState {
			data = append(data, c.Value...)
		} else {
			data = appendLenString(data, c.Value)
		}
		dst = append(dst, byte(c.Kind))
		dst = appendLenString(dst, data)
	}
	return dst
}

// appendOK encodes an OK packet under its first byte. The flag that says that
// session state follows is set by whether it does.
func appendOK(dst []byte, header byte, o *okPacket, caps Capability) []byte {
	status := o.status &^ StatusSessionStateChanged
	tracks := caps.Has(CapSessionTrack) && len(o.track) > 0
	if tracks {
		status |= StatusSessionStateChanged
	}
	dst = append(dst, header)
	dst = AppendLenInt(dst, o.affected)
	dst = AppendLenInt(dst, o.insertID)
	dst = append(dst, byte(status), byte(status>>8), byte(o.warnings), byte(o.warnings>>8))
	if len(o.info) > 0 || tracks {
		dst = appendLenString(dst, o.info)
	}
	if tracks {
		dst = appendLenString(dst, o.track)
	}
	return dst
}

func appendEOF(dst []byte, status Status, warnings uint16) []byte {
	status &^= StatusSessionStateChanged
	return append(dst, headerEOF, byte(warnings), byte(warnings>>8), byte(status), byte(status>>8))
}

// WriteOK buffers an OK packet. Changes reach a peer with CapSessionTrack
// alone.
func (c *Conn) WriteOK(ok OK) error {
	o := okPacket{affected: ok.AffectedRows, insertID: ok.InsertID, status: ok.Status, warnings: ok.Warnings}
	if ok.Info != "" {
		o.info = []byte(ok.Info)
	}
	if len(ok.Changes) > 0 {
		o.track = appendTrack(nil, ok.Changes)
	}
	return c.writeOK(headerOK, &o)
}

// WriteError buffers an ERR packet.
func (c *Conn) WriteError(e *Error) error {
	return c.WritePacket(appendError(c.scratch[:0], e))
}

// WriteEOF buffers what ends rows: an EOF packet, or with CapDeprecateEOF an
// OK packet in its place.
func (c *Conn) WriteEOF(status Status, warnings uint16) error {
	status |= c.more
	if c.caps.Has(CapDeprecateEOF) {
		return c.writeOK(headerEOF, &okPacket{status: status, warnings: warnings})
	}
	return c.WritePacket(appendEOF(c.scratch[:0], status, warnings))
}

// writeColumnsEnd buffers the EOF packet after column definitions, which
// peers with CapDeprecateEOF don't get.
func (c *Conn) writeColumnsEnd(status Status, warnings uint16) error {
	status |= c.more
	if c.caps.Has(CapDeprecateEOF) {
		return nil
	}
	return c.WritePacket(appendEOF(c.scratch[:0], status, warnings))
}

func (c *Conn) writeOK(header byte, o *okPacket) error {
	o.status |= c.more
	return c.WritePacket(appendOK(c.scratch[:0], header, o, c.caps))
}
