// Package secret verifies users' passwords. A Secret is what a password is
// verified against, made of the password itself or of a stored verifier as in
// mysql.user; it doesn't hold the password.
package secret
