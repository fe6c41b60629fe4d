package parse

import "shardway/router/parse/digest"

// What a digest is made of, under the names that those use who read Statements.
type (
	// Digest is a scanned text: its norm and its literals.
	Digest = digest.Digest
	// Value is one literal.
	Value = digest.Value
	// ValueKind is the type of a literal.
	ValueKind = digest.ValueKind
	// Mode is what of the session's settings changes how a text is read.
	Mode = digest.Mode
	// Hints are what shardway comments ask for.
	Hints = digest.Hints
)

// The kinds of literals.
const (
	Marker  = digest.Marker
	Null    = digest.Null
	Bool    = digest.Bool
	Int     = digest.Int
	Uint    = digest.Uint
	Decimal = digest.Decimal
	Float   = digest.Float
	String  = digest.String
	Bytes   = digest.Bytes
)

// ModeOf returns the mode for a session's sql_mode and character_set_client.
func ModeOf(sqlMode, charset string) Mode { return digest.ModeOf(sqlMode, charset) }

// FirstPart returns where the first of a text's statements ends and where the next one begins: len(sql) without one.
func FirstPart(sql []byte, mode Mode) (end, rest int) { return digest.FirstPart(sql, mode) }
