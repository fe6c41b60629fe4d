// Package config reads, defaults and checks Shardway's configuration.
//
// A [Config] is one complete, checked configuration. [Load] makes it from
// [Sources]: flags beat the environment, the environment beats the file, and
// the file beats the defaults. Nothing is guessed: an unknown key, a bad value
// and keys that contradict each other are [Problem] values that say where the
// value was written (file and line, variable or flag), which key it is, what
// is wrong with it and what would be right; all of them are reported at once
// in one [Error].
//
// [Keys] is the table of all keys; the flags, the names in the environment,
// the defaults and docs/configuration.md come from it. A [Size] is a number of
// bytes written as 64MiB. [Config.Inert] lists the keys which this version
// accepts and checks, but which change nothing yet.
//
// A Config isn't changed after Load returned it, so it may be shared freely.
// It holds passwords: print [Config.Redacted], never the Config itself.
//
// Only commands import this package: everything else gets its settings as
// plain options.
package config
