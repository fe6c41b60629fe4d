// Package ties says which rows of one table can matter once those of another are known.
//
// A [Tie] is an equality of two columns without which no row of the one table matters; [Of] finds them in a statement. A
// [Copy] is a table that is brought, for one or several places of the statement; [Sort] says in which order copies are
// brought, and by which [Key] the rows of the later ones are chosen.
package ties
