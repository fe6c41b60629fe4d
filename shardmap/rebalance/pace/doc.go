// Package pace says how fast rows may be worked on, so that clients of the same
// servers hardly notice it.
//
// A [Pacer] makes steps of the work short and lets it rest between them while
// clients use the servers; a [Limiter] bounds rows each second in any case; a
// [Meter] says how many they are. All three may be used by several goroutines.
package pace
