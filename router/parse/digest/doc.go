// Package digest reads SQL text as far as its words go, and knows nothing of its grammar.
//
// A [Digest] lifts the literals of a text out in one pass: its Norm is the text with each literal as a question
// mark, its Args are the literals as [Value]s, each of a [ValueKind]. [Mode] says how the server's sql_mode and the
// client's character set make the text be read. [Split] cuts a norm into [Token]s, each of a [TokenKind]: a [Source],
// with the [Hints] of its comments. [Words] and [Qualifiers] list the names in a text that can't be read any further.
//
// # Guarantees
//
// Scan never fails: where servers differ on what a text means, or a form is too rare for a rule, the norm is the text
// itself and there are no Args but its markers. A norm scans to itself. The tokens of a norm hold one marker for each
// Arg, in order.
//
// # Lifetimes
//
// A Digest's Norm, Key and Args are valid until its next Scan, and Args' bytes also alias the scanned text. A Source
// holds a copy of its text. Neither is safe for concurrent use.
package digest
