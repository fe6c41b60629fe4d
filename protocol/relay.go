package protocol

import (
	"io"
	"slices"
	"strings"
)

// ReplyKind says which form a command's reply has.
type ReplyKind uint8

// The forms of replies.
const (
	ReplyQuery     ReplyKind = iota // QUERY, STMT_EXECUTE: OK, ERR or results, one after another
	ReplyFetch                      // STMT_FETCH: rows, or ERR
	ReplyFieldList                  // FIELD_LIST: column definitions, or ERR
	ReplySimple                     // one OK, EOF or ERR
	ReplyString                     // STATISTICS: one packet of text
)

// Relay says how Forward changes a reply. The zero value relays as is.
type Relay struct {
	// SetStatus and ClearStatus change the status flags that the client sees
	// in OK and EOF packets.
	SetStatus, ClearStatus Status

	// HoldError is asked when a reply begins with an ERR packet; if it says
	// true the client doesn't get it. It may be nil.
	HoldError func(*Error) bool

	// LateError is asked when an ERR packet ends a reply that has begun, and says
	// which error the client sees in its place. It may be nil.
	LateError func(*Error) *Error

	// LocalFile is the text of the client's own LOAD DATA LOCAL: the server may
	// ask for the file that it names, once. Nil for all other statements.
	LocalFile []byte
	// File, with LocalFile, is what the server gets instead of the client's
	// file, which the client isn't asked for. An error of reading it is in a
	// *FileError of the server's side: the connection has to be closed, which
	// undoes the statement.
	File io.Reader

	// Track names the system variables, in lower case, whose changes a client
	// with CapSessionTrack sees; "*" is all. Nil is MySQL's own default:
	// time_zone, autocommit, character_set_client, character_set_results and
	// character_set_connection.
	Track []string

	// TrackKinds are the other kinds of change that it sees, besides changes
	// of the current database, which it always does.
	TrackKinds []ChangeKind
}

// Reply is what a server answered, summed up.
type Reply struct {
	// OK is the last OK or EOF packet of the reply, with the server's own
	// status. Info is decoded where nothing is relayed; Changes are all of the
	// reply's.
	OK

	// Err is the server's ERR packet; the server connection stays usable.
	Err *Error

	// Held says that Relay.HoldError kept Err from the client.
	Held bool

	Rows       uint64
	ResultSets int

	// Records is the first number in the text of the last OK packet: of an
	// UPDATE the rows matched, of an INSERT … SELECT the rows read.
	Records uint64

	// FirstByte says that a part of this reply was sent to the client: it
	// can't be had from another server any more. When Forward fails on the
	// server's side and this is false, nothing of the reply is left in the
	// client's buffer either.
	FirstByte bool

	// Broken says that a packet to the client was cut in the middle. Not even
	// an ERR packet can follow.
	Broken bool
}

// passes says whether a client may see a change.
func (r *Relay) passes(kind ChangeKind, data []byte) bool {
	switch kind {
	case ChangeSchema:
		return true
	case ChangeSysVar:
		d := decoder{p: data}
		name := d.lenString()
		if r.Track == nil {
			switch string(name) {
			case "time_zone", "autocommit", "character_set_client", "character_set_results", "character_set_connection":
				return true
			}
			return false
		}
		for _, t := range r.Track {
			if t == "*" || strings.EqualFold(t, string(name)) {
				return true
			}
		}
		return false
	default:
		return slices.Contains(r.TrackKinds, kind)
	}
}

// filter keeps of a server's session state what the client may see. What it
// returns may be track itself.
func (r *Relay) filter(track []byte) []byte {
	var kept []byte
	all := true
	for d := (decoder{p: track}); len(d.p) > 0; {
		entry := d.p
		kind := ChangeKind(d.byte())
		data := d.lenString()
		if d.bad {
			break
		}
		entry = entry[:len(entry)-len(d.p)]
		if !r.passes(kind, data) {
			if all {
				kept = append(kept, track[:len(track)-len(entry)-len(d.p)]...)
				all = false
			}
			continue
		}
		if !all {
			kept = append(kept, entry...)
		}
	}
	if all {
		return track
	}
	return kept
}
