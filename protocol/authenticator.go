package protocol

import "shardway/protocol/secret"

// Authenticator knows the users.
type Authenticator interface {
	// Admit is called before anything is verified. It may wait; an error, an
	// *Error where the client should see it, ends the login.
	Admit(user string) error

	// Account says what the user must prove. For a user that isn't known it is
	// nil, or better one whose secrets are decoys; the login then fails as
	// with a wrong password.
	Account(user string) *secret.Account

	// Proved is called after each Admit that returned nil.
	Proved(user string, ok bool)
}
