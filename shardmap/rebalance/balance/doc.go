// Package balance says which slots must move so that the shards of a database
// are even.
//
// [Plan] takes the weights of the slots, rows or bytes, and a [Goal], which may
// be to [Isolate] one slot or to [Place] some, and gives a [Result]: the [Move]
// values, what each shard has before and after as [Share] values, and each
// [Heavy] slot that evens out badly. It does no I/O, and the same input gives
// the same result.
//
// # Guarantees
//
// Of two shards that both stay, none gives slots to the other unless the goal
// asks for that. A shard that is drained keeps no slot. No shard gets above the
// [Result].Level by more than one slot's weight unless it was there before and
// mayn't give.
package balance
