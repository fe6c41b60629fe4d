package protocol

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Error is an ERR packet: what a server answered, or what Shardway answers
// itself. State has five characters. errors.Is compares codes alone, so
// errors.Is(err, &Error{Code: 1045}) finds a login that was denied.
type Error struct {
	Code    uint16
	State   string
	Message string
}

// The codes that this package gives itself, each with the state that drivers
// expect.
const (
	codeBadHandshake    = 1043 // 08S01
	codeAccessDenied    = 1045 // 28000
	codePacketTooLarge  = 1153 // 08S01
	codeOutOfOrder      = 1156 // 08S01
	codeNotSupported    = 1235 // 42000
	codeMalformedPacket = 1835 // HY000
	codeSecureTransport = 3159 // HY000
)

// Errorf makes an Error; a state that hasn't five characters becomes HY000.
func Errorf(code uint16, state, format string, args ...any) *Error {
	if len(state) != 5 {
		state = "HY000"
	}
	return &Error{Code: code, State: state, Message: fmt.Sprintf(format, args...)}
}

// Error gives the message with its code and state, as mysql clients print it.
func (e *Error) Error() string {
	return fmt.Sprintf("ERROR %d (%s): %s", e.Code, e.State, e.Message)
}

// Is says whether target is an Error of the same code.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Code == e.Code
}

// ErrProbe is what Login.Accept returns for a peer that connected and said
// nothing: a load balancer's health check. It deserves no log line.
var ErrProbe = errors.New("protocol: the peer left before its handshake response")

// Side is the end of a relay at which something happened.
type Side uint8

// The two sides of a relay.
const (
	SideClient Side = iota + 1
	SideServer
)

// String gives "client" or "server".
func (s Side) String() string {
	if s == SideClient {
		return "client"
	}
	return "server"
}

// SideError is a failed read or write of a relay with the side it failed on.
// That side's connection is of no more use.
type SideError struct {
	Side Side
	Err  error
}

// Error names the side and the cause.
func (e *SideError) Error() string { return e.Side.String() + ": " + e.Err.Error() }

// Unwrap gives the cause.
func (e *SideError) Unwrap() error { return e.Err }

func malformed(format string, args ...any) *Error {
	return Errorf(codeMalformedPacket, "HY000", "malformed packet: "+format, args...)
}

// decodeError reads an ERR packet. Servers that refuse a connection before
// the handshake send it without a state.
func decodeError(p []byte) (*Error, error) {
	if len(p) < 3 || p[0] != headerERR {
		return nil, malformed("an ERR packet of %d bytes", len(p))
	}
	e := &Error{Code: binary.LittleEndian.Uint16(p[1:]), State: "HY000"}
	p = p[3:]
	if len(p) >= 6 && p[0] == '#' {
		e.State = string(p[1:6])
		p = p[6:]
	}
	e.Message = string(p)
	return e, nil
}

func appendError(dst []byte, e *Error) []byte {
	state := e.State
	if len(state) != 5 {
		state = "HY000"
	}
	dst = append(dst, headerERR, byte(e.Code), byte(e.Code>>8), '#')
	dst = append(dst, state...)
	return append(dst, e.Message...)
}
