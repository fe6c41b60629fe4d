// Package secret verifies users. An Account is what a user must prove to log
// in; a Secret in it is what a password is verified against, made of the
// password itself or of a stored verifier as in mysql.user. It doesn't hold the
// password.
package secret
