// Package tables makes one answer of what several servers say of tables: of their state, their checksums and their sizes.
// Each function adds to the first of the results. It has no types of its own.
package tables
