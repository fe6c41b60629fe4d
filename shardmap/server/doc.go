// Package server reaches one MySQL or MariaDB server for those who change
// something there in several steps.
//
// An [Account] opens it, a [Server] is one connection to it that knows its
// flavor and version, bounds each statement, and names the server in each
// error; [Code] is the number of an error. [Server.Clients] lists the [Clients],
// each a [Client], and [Server.Kill] ends them. [Server.Raise] sets the fence
// that keeps out proxies whose map is old; they read it by [FenceQuery].
package server
