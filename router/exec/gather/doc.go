// Package gather says how the rows of a table get into a temporary table on another server, byte by byte.
//
// A [Table] is what a server says of a table: each [Column] and each [Index]. [Table.Choose] takes what a statement needs
// of it: a [Copy], which gives the statement that makes the temporary table, the one that reads the rows, and the INSERTs
// that store them. A [Filling] brings the rows from each [Source] into the copy, in batches, so that memory doesn't grow
// with their number; [StoreError] is the error of the server that takes them. An Index has its columns as [IndexPart]s.
// [Keys] are the values of a copied column by which the rows of another table are chosen at their shards.
//
// # Guarantees
//
// The rows are read under the session's own state, so that the conditions for them mean what they mean to the client, and
// stored under [Neutral]. What is read doesn't depend on either: text is read as bytes, a TIMESTAMP as seconds, ENUM and
// SET as numbers, a FLOAT with all its digits. The temporary table's columns have the types, collations, defaults and
// keys of the table's, so that a result shows them alike. MySQL's JSON is read as text: a value in it that was made from
// a DECIMAL, a date or bytes is a number or a string in the copy.
package gather
