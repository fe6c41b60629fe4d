// Package socket receives and transmits bytes on sockets that don't block, by one
// system call each. It has no types: waiting until a socket is ready, deadlines and
// closing are its net.Conn's.
package socket
