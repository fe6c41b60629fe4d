package shardmap

// Value is a value of the key column as a statement gives it: a literal or a
// bound parameter. It is small, copied freely, and S is only read during
// Locate.
type Value struct {
	Kind ValueKind
	I    int64   // Int
	U    uint64  // Uint
	F    float64 // Float
	S    []byte  // Decimal: its text; String: the unescaped bytes as the client sent them; Bytes: the raw bytes

	// UTF8 says that the client's character set (character_set_client, and
	// with it collation_connection) is utf8mb4, utf8mb3 or binary, or that the
	// bytes need no conversion for another reason. Without it a String with a
	// byte above 0x7f is Unknown, since the server converts it.
	UTF8 bool

	// Numeric says of Bytes that the literal was written 0x35 or b'101', which
	// is a number where a number is wanted. X'35' is a number there to MySQL
	// and a string to MariaDB, so without Numeric it is Unknown for an integer
	// key.
	Numeric bool
}

// ValueKind is the type of a Value as the server sees it.
type ValueKind uint8

const (
	// Other is anything that is not listed below: dates, JSON, expressions,
	// strings with an introducer or a COLLATE clause. It is always Unknown.
	Other ValueKind = iota
	// Null is NULL.
	Null
	// Int is a signed integer; TRUE and FALSE are Int 1 and 0.
	Int
	// Uint is an unsigned integer.
	Uint
	// Float is a floating-point number: a literal with an exponent, or a bound
	// FLOAT or DOUBLE.
	Float
	// Decimal is an exact number with its text in S: 5.0, or an integer that
	// doesn't fit 64 bits.
	Decimal
	// String is a character string.
	String
	// Bytes is a hexadecimal or bit literal.
	Bytes
)

// Use is what a statement does with the value.
type Use uint8

const (
	// Compare asks for the rows that `key = value`, `key IN (…, value, …)` or a
	// list of rows, `(key, a) IN ((value, 1), …)`, can match. `key <=> NULL` is
	// not asked here: NULL is no key.
	Compare Use = iota
	// Insert asks for the row that INSERT of the value makes under a strict
	// sql_mode (STRICT_TRANS_TABLES or STRICT_ALL_TABLES, without IGNORE),
	// where the server refuses what the column can't hold.
	Insert
	// InsertLax asks the same for a session without strict mode or a statement
	// with IGNORE, where the server stores the nearest value instead. More is
	// Unknown here unless the map declares the key_type.
	InsertLax
	// Equal asks as Compare does, for `key = value` and `key <=> value` alone,
	// also as `(key, a) = (value, 1)`, and places more: lists compare by other
	// rules, where '9007199254740993' may be a double and '1e2' may be 1.
	Equal
)

// LocationKind says how much is known.
type LocationKind uint8

const (
	// Unknown says that the rows may be in any slot: scatter or refuse.
	Unknown LocationKind = iota
	// Placed says that every row that matches, or the row that is stored, is in
	// Slot.
	Placed
	// Nowhere says that no row can match. It is never the answer to Insert and
	// InsertLax.
	Nowhere
)

func (k LocationKind) String() string {
	switch k {
	case Placed:
		return "placed"
	case Nowhere:
		return "nowhere"
	case Unknown:
	}
	return "unknown"
}

// Location is where the rows of one key value are.
type Location struct {
	Kind  LocationKind
	Slot  int    // Placed only
	Shard *Shard // the owner of Slot; nil unless Placed
}
