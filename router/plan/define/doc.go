// Package define says which definitions of tables hold over several shards.
//
// A [Change] is what a statement of DDL says of one table of the map. Its Problem is what one server would keep for all
// rows and several servers can't, or what would lose the rows' places, with a way to write it.
package define
