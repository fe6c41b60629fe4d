// Package compress is the transport of compressed MySQL connections. A Transport is a net.Conn that packs what is
// written with an Algorithm, and unpacks what is read.
//
// What the package guarantees: memory is bounded whatever a packet promises; a packet that lies is an error, after
// which the connection is of no more use; nothing is held while nothing is unread.
package compress
