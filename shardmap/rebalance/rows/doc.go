// Package rows has tables as they are on servers: what a [Table] looks like,
// its rows read and written byte by byte, and whether two servers have the same.
//
// [Describe] says what a table is: its [Column], [Index], [Foreign] and
// [Trigger] values. A [Session] is a connection under which every value is read
// and written exactly, whatever the server's settings are. [Session.Scan] walks
// over a table in the order of its primary key, chunk by chunk within a [Limit]:
// a [Chunk] is a [Range] of primary keys and the [Batch] of rows in it.
// [Session.ReadKeys] reads the rows of a list of [Key] values.
// [Session.ReplaceRange] and [Session.ReplaceKeys] put them in place of what a
// server has; a [Collision] is a row in the way that they must not touch. A
// [Sum] is the checksum of many rows, a [Hash] that of one, and a [Load] how
// many there are in a slot. [Session.Views] gives each [View] of a database.
//
// Wherever a condition is asked for it is SQL over the table's columns, such as
// of [shardway/shardmap.Table.SlotSQL]; "" is all rows.
//
// # Guarantees
//
// A row that is written is read again as the same bytes, or the write fails: a
// session never truncates, rounds or converts. One thing is as in a dump: JSON
// of MySQL travels as text, so a DECIMAL, a date or a BLOB inside of a document,
// where SQL's functions put it, is a DOUBLE or a string afterwards. It looks the
// same, but for a DECIMAL of more than 17 digits, which the checksum shows.
//
// Nothing is locked by reading. Writes are the caller's transaction: what fails
// in it is undone by its rollback.
//
// Errors name the server, the table, and the statement's beginning.
package rows
