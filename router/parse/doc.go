// Package parse turns SQL text into the few facts that routing needs, and is the only importer of the SQL parser.
//
// A [Digest] lifts the literals of a text out in one pass: its Norm is the text with each literal as a question
// mark, its Args are the literals as [Value]s of a [ValueKind]. A [Cache] keeps a [Statement] for each norm; only a
// miss parses ([Parse]), and [Counts] counts. A Statement lists the query [Block]s, each with a [Role] and its
// [Table]s, and the conditions that every row must meet ([Cond], of a [CondOp], over [Column]s and [Operand]s of an
// [OperandKind], an [Expr] of an [ExprOp] among them), what an [Insertion] stores, each [Assignment], [SetVar] with its [Scope], the
// [Definition] of DDL with each [ColumnDefinition] and [ForeignKey], [Tx] and [Hints]; [Kind] and [Flags] say what the statement does, and [Mode] how the server's sql_mode reads the text.
//
// Digest, Value, Mode and Hints are names for the types of package digest, which reads text; package bridge rewrites
// for the parser what it doesn't know.
//
// [Substitute] writes values into a client's own text. A [Reference] is where a text names a table.
//
// # Guarantees
//
// A Statement is immutable and a pure function of (norm, mode): every text with that norm has these facts, and
// the texts differ in their Args alone. Analysis errs to one side only: a statement that isn't surely a read has
// no [FlagRead]; a condition that isn't surely demanded of every row is [CondUnknown]; and what can't be read is
// [Unparsed] with the words it holds, never an error that hides the statement. Nothing here changes what is sent
// to a server: that is always the client's own text.
//
// # Lifetimes
//
// Digest's Norm and Args are valid until its next Scan, and Args' bytes also alias the scanned text. A Statement
// holds copies and lives as long as the caller likes. Digest isn't safe for concurrent use; Cache and Parse are.
package parse
