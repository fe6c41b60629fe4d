// Package fakemysql is a scripted MySQL server for tests: it speaks the real
// protocol over a loopback listener or net.Pipe, and says what the test wants.
//
// New follows a script of Steps, made by Expect and Always, and fails the
// test for what comes unexpected or not at all. Serve calls a Handler for
// each command of each Session. Options say who may log in and what the
// greeting holds. A Server records what it Got, can drop its clients, stop
// and start again at its address, and is gone, with all its goroutines, when
// the test ends.
package fakemysql
