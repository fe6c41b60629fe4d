// Package protocol is the MySQL wire: framing, login on both sides, commands,
// replies and their relaying. It knows nothing of shards.
//
// A Conn is one MySQL connection, to a client or to a server. Dial logs in to
// a server and gives its Greeting; Login accepts a Client. ReadCommand and
// WriteCommand carry a Command; Forward relays its whole answer, as a Relay
// says, and sums it up in a Reply with an OK and its Changes, or an Error; an
// Incoming reads it row by row, and a Mark is a place to go back to in what is
// written.
// Prepared, Execute and Param are prepared statements; Rows with its Columns
// is a result that Shardway makes itself, Result one that it reads. TLSMode,
// ClientTLS and the TLSReloader of ServerTLS say how connections are
// encrypted, Compression how they are compressed; an Authenticator gives each
// user's secret.Account; and a SideError says on which Side a relay broke.
//
// What the package guarantees: a packet is never held whole where it is only
// relayed; a connection that waits for its client's next command holds no
// buffer; sequence ids, CapDeprecateEOF and CapSessionTrack are translated in
// Forward and nowhere else; bytes that make no sense are an *Error that names
// what was wrong, never a panic.
//
// Byte slices that a Conn returns are parts of its read buffer: they are
// valid until the next read of that Conn.
package protocol
