package backend

import (
	"crypto/tls"
	"errors"
	"io"
	"strings"
	"syscall"

	"shardway/protocol"
)

// Errors of Acquire. The error returned wraps one of these and a *protocol.Error
// that a client may be given as it is: its text begins "shardway:".
var (
	// ErrNoServer says that no server of the shard can serve the request; the
	// message names the shard, the role and each server's reason. Code 1205,
	// which clients retry, or 1105 if the servers refuse Shardway's login or the
	// map has no such shard.
	ErrNoServer = errors.New("no usable server")
	// ErrPoolWait says that no connection became free within the wait; the
	// message names the server, the ceiling and the time waited. Code 1040.
	ErrPoolWait = errors.New("no connection became free in time")
	// ErrClosed says that the Cluster is closed. Code 1053.
	ErrClosed = errors.New("cluster is closed")
)

// acquireError is one of the sentinels together with what a client sees.
type acquireError struct {
	kind error
	wire *protocol.Error
}

func (e *acquireError) Error() string   { return e.wire.Message }
func (e *acquireError) Unwrap() []error { return []error{e.kind, e.wire} }

func newError(kind error, code uint16, state, format string, args ...any) error {
	return &acquireError{kind: kind, wire: protocol.Errorf(code, state, format, args...)}
}

// Reasons why one server's pool gave no connection. They stay inside the package:
// Acquire moves on to another server or makes one of the errors above of them.
var (
	errLeft = errors.New("the server left the map")
	errBusy = errors.New("the server refuses more connections")
)

// errHeader is with the error of a login that failed as it does at a server that
// takes a PROXY header for the client's first packet.
var errHeader = errors.New("servers.proxy_protocol is v2, but the server seems not to take PROXY headers from this host: " +
	"list it in MariaDB's proxy_protocol_networks, or set servers.proxy_protocol: off")

// MySQL error codes that the package acts on.
const (
	codeTooManyConnections = 1040 // the server's max_connections is reached
	codeDBAccessDenied     = 1044
	codeAccessDenied       = 1045
	codeUnknownDatabase    = 1049
	codeBadHandshake       = 1043
	codeServerShutdown     = 1053
	codeUnknownError       = 1105
	codeHostBlocked        = 1129
	codeHostNotPrivileged  = 1130
	codeTableDenied        = 1142
	codeNoSuchTable        = 1146
	codeTooManyUserConns   = 1203
	codePacketsOutOfOrder  = 1156
	codeLockWaitTimeout    = 1205
	codeUserLimitReached   = 1226
	codeSpecificAccess     = 1227
	codeReadOnly           = 1290 // the server runs with an option that forbids the statement: read_only
	codeReadOnlyMode       = 1836
	codeTLSRequired        = 3159
)

// isBusy says whether a server refused a login only because it has as many
// connections as it allows.
func isBusy(err error) bool {
	var e *protocol.Error
	if !errors.As(err, &e) {
		return false
	}
	return e.Code == codeTooManyConnections || e.Code == codeTooManyUserConns || e.Code == codeUserLimitReached
}

// isRefusal says whether a server is alive but refused the login.
func isRefusal(err error) bool {
	var e *protocol.Error
	return errors.As(err, &e) && !isBusy(err)
}

// isDenied says whether a server refused a statement for want of a privilege.
func isDenied(e *protocol.Error) bool {
	switch e.Code {
	case codeDBAccessDenied, codeAccessDenied, codeTableDenied, codeSpecificAccess:
		return true
	}
	return false
}

// loginFix says what an operator should do about a refused login.
func loginFix(e *protocol.Error, user string) string {
	switch e.Code {
	case codeAccessDenied, codeDBAccessDenied:
		return "check servers.user and servers.password, and that the account '" + user + "' may log in from this host"
	case codeHostBlocked:
		return "unblock this host: FLUSH HOSTS or TRUNCATE performance_schema.host_cache"
	case codeHostNotPrivileged:
		return "create the account '" + user + "' for this host"
	case codeTLSRequired:
		return "set servers.tls.mode to required"
	default:
		return "check servers.user, servers.password and servers.tls"
	}
}

// mistaken says whether a login failed as errHeader says.
func mistaken(err error) bool {
	var e *protocol.Error
	var answer tls.RecordHeaderError // the server's error, where its part of a TLS handshake was due
	switch {
	case errors.As(err, &e):
		return e.Code == codeBadHandshake || e.Code == codePacketsOutOfOrder ||
			e.Code == codeHostNotPrivileged && strings.HasPrefix(e.Message, "Proxy header") // else it is the account that isn't for the host
	default:
		return errors.As(err, &answer) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
	}
}
