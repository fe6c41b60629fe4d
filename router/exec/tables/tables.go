package tables

import (
	"slices"
	"strconv"
	"strings"

	"shardway/protocol"
)

// AddChecksums adds up a table's checksums in the first result: a server's own is the sum of its rows', modulo 2^32.
func AddChecksums(results []*protocol.Result) {
	sum := results[0]
	for i, row := range sum.Rows {
		var total uint64
		known := true
		for _, res := range results {
			text, ok := "", false
			if i < len(res.Rows) && len(res.Columns) > 1 {
				text, ok = res.Get(i, res.Columns[1])
			}
			n, err := strconv.ParseUint(text, 10, 64)
			known = known && ok && err == nil
			total += n
		}
		row[1] = nil
		if known {
			text := strconv.FormatUint(total%(1<<32), 10)
			row[1] = &text
		}
	}
}

// AddStatus adds to the first result what other shards say of the tables. A table is OK where all shards say so.
func AddStatus(results []*protocol.Result, shards []string) {
	sum := results[0]
	value := func(row []*string, i int) string {
		if i >= len(row) || row[i] == nil {
			return ""
		}
		return *row[i]
	}
	same := func(a, b []*string) bool {
		return slices.EqualFunc(a, b, func(x, y *string) bool { return x == y || x != nil && y != nil && *x == *y })
	}
	for n, res := range results[1:] {
		for _, row := range res.Rows {
			if slices.ContainsFunc(results[0].Rows, func(known []*string) bool { return same(known, row) }) {
				continue
			}
			table, last := value(row, 0), -1
			for i, known := range sum.Rows {
				if value(known, 0) == table {
					last = i
				}
			}
			text := value(row, 3) + " (shard " + shards[n+1] + ")"
			told := append(slices.Clone(row[:3]), &text)
			if last >= 0 && value(row, 2) == "status" && value(sum.Rows[last], 2) == "status" {
				if value(sum.Rows[last], 3) == "OK" {
					sum.Rows[last] = told
				}
				continue
			}
			at := len(sum.Rows)
			if last >= 0 {
				at = last // before the table's status
			}
			sum.Rows = slices.Insert(sum.Rows, at, told)
		}
	}
}

// sizesOf are the columns of a result about tables by their names in information_schema.TABLES, also where they have those of
// SHOW TABLE STATUS; -1 for those that it hasn't.
func sizesOf(names []string) func(column string) int {
	return func(column string) int {
		return slices.IndexFunc(names, func(name string) bool {
			switch name = strings.ToUpper(name); name {
			case "NAME":
				name = "TABLE_NAME"
			case "ROWS":
				name = "TABLE_ROWS"
			}
			return name == column
		})
	}
}

// AddSizes adds the sizes of the other shards' rows to the first result about tables, for those that are on several
// shards. names are the columns of the first one; the others are of SHOW TABLE STATUS.
func AddSizes(results []*protocol.Result, names []string, sharded func(table string) bool) {
	sum := results[0]
	at := sizesOf(names)
	number := func(row []*string, i int) (n uint64, ok bool) {
		if i < 0 || row[i] == nil {
			return 0, false
		}
		n, err := strconv.ParseUint(*row[i], 10, 64)
		return n, err == nil
	}
	put := func(row []*string, i int, n uint64) {
		text := strconv.FormatUint(n, 10)
		row[i] = &text
	}
	for _, row := range sum.Rows {
		name := row[at("TABLE_NAME")]
		if name == nil || !sharded(*name) {
			continue
		}
		var rows, length uint64
		for n, res := range results {
			from, theirs := at, row
			if n > 0 {
				from = sizesOf(res.Columns)
				i := slices.IndexFunc(res.Rows, func(r []*string) bool { return r[0] != nil && strings.EqualFold(*r[0], *name) })
				if i < 0 {
					continue
				}
				theirs = res.Rows[i]
			}
			x, _ := number(theirs, from("TABLE_ROWS"))
			y, _ := number(theirs, from("DATA_LENGTH"))
			rows, length = rows+x, length+y
			if n == 0 {
				continue
			}
			for _, column := range []string{"TABLE_ROWS", "DATA_LENGTH", "INDEX_LENGTH", "DATA_FREE", "AUTO_INCREMENT"} {
				own, ok1 := number(row, at(column))
				other, ok2 := number(theirs, from(column))
				switch {
				case at(column) < 0, !ok2:
				case column == "AUTO_INCREMENT", !ok1:
					put(row, at(column), max(own, other))
				default:
					put(row, at(column), own+other)
				}
			}
		}
		if average := at("AVG_ROW_LENGTH"); average >= 0 && rows > 0 && at("TABLE_ROWS") >= 0 && at("DATA_LENGTH") >= 0 {
			put(row, average, length/rows)
		}
	}
}
