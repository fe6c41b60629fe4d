package digest

import (
	"fmt"
	"strconv"
	"strings"
)

// ValueKind is the type of a literal.
type ValueKind uint8

// The kinds of literals.
const (
	Marker  ValueKind = iota // ? in prepared text: the value comes with EXECUTE
	Null                     // NULL
	Bool                     // TRUE, FALSE: I is 1 or 0
	Int                      // I
	Uint                     // U, above the signed range
	Decimal                  // S is the text: 1.5, or an integer beyond 64 bits
	Float                    // F, and S is the text: 1e3
	String                   // S, without quotes, escapes resolved
	Bytes                    // S, the bytes that a hexadecimal or bit literal stands for
)

// Value is one literal of a text. S aliases the scanned text or its Digest's buffer: see Digest.Scan.
type Value struct {
	Kind ValueKind
	I    int64
	U    uint64
	F    float64
	S    []byte
	// Numeric says of Bytes that the literal was lifted from 0x35 or b'101', a number where a number is wanted; X'35' is
	// a number there to MySQL and a string to MariaDB.
	Numeric bool
	// Bound says that it is the value of a parameter, not written in the text.
	Bound bool
	// Start and End are the literal's place in the scanned text.
	Start, End int
}

// String shows a value to a reader: a letter for the kind where it isn't plain, and the value.
func (v Value) String() string {
	switch v.Kind {
	case Marker:
		return "?"
	case Int:
		return strconv.FormatInt(v.I, 10)
	case Uint:
		return "u" + strconv.FormatUint(v.U, 10)
	case Decimal:
		return "d" + string(v.S)
	case Float:
		return fmt.Sprintf("f%g", v.F)
	case Bytes:
		return fmt.Sprintf("x%x", v.S)
	case Null:
		return "NULL"
	case Bool:
		return fmt.Sprintf("bool %d", v.I)
	default:
		return strconv.Quote(string(v.S))
	}
}

// Mode is what of the session's settings changes how a text is read; it is part of a norm's identity.
type Mode uint8

// The modes.
const (
	AnsiQuotes         Mode = 1 << iota // "a" is an identifier
	NoBackslashEscapes                  // \ is an ordinary character in strings
	PipesAsConcat                       // || is CONCAT
	HighNotPrecedence                   // NOT binds tighter
	IgnoreSpace                         // white space may stand before a function's parenthesis
	MultibyteUnsafe                     // character_set_client may hide a quote or backslash inside a character: gbk, sjis, big5, cp932, gb18030
)

// ModeOf returns the mode for a session's sql_mode and character_set_client.
func ModeOf(sqlMode, charset string) Mode {
	var m Mode
	rest := sqlMode
	for rest != "" {
		var word string
		word, rest = cutComma(rest)
		switch strings.ToLower(word) {
		case "ansi_quotes":
			m |= AnsiQuotes
		case "no_backslash_escapes":
			m |= NoBackslashEscapes
		case "pipes_as_concat":
			m |= PipesAsConcat
		case "high_not_precedence":
			m |= HighNotPrecedence
		case "ignore_space":
			m |= IgnoreSpace
		case "ansi", "db2", "maxdb", "mssql", "oracle", "postgresql":
			m |= AnsiQuotes | PipesAsConcat | IgnoreSpace
		}
	}
	switch strings.ToLower(charset) {
	case "gbk", "sjis", "big5", "cp932", "gb18030":
		m |= MultibyteUnsafe
	}
	return m
}

func cutComma(s string) (word, rest string) {
	for i := range len(s) {
		if s[i] == ',' {
			return s[:i], s[i+1:]
		}
	}
	return s, ""
}
