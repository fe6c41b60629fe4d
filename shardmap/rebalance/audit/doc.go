// Package audit looks whether every row is where the map says, and puts right
// what isn't.
//
// [Run] walks over all tables of the map's databases with [Options] and gives a
// [Report] of [Finding] values, each of a [Kind].
//
// # Guarantees
//
// Without Repair nothing is written. With it, no row is removed before the same
// bytes are on the shard that owns it, and a row of which two versions exist is
// left alone.
package audit
