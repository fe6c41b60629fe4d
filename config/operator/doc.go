// Package operator gives the operator's login at the servers, [Account], as the
// configuration has it. Like config, only commands import it.
package operator
