package parse_test

import (
	"testing"

	"shardway/router/parse"
)

func TestSubstituteKeepsTheNamesOfColumns(t *testing.T) {
	value := func(name string) string {
		switch name {
		case "row_count", "found_rows":
			return "5"
		case "@@warning_count":
			return "7"
		default:
			return ""
		}
	}
	for _, c := range []struct{ sql, want string }{
		{"SELECT ROW_COUNT() + 1, Row_Count ( ) AS n, 'ROW_COUNT()'", "SELECT 5 + 1 AS `ROW_COUNT() + 1`, 5 AS n, 'ROW_COUNT()'"},
		{"select row_count() n, concat(row_count(), found_rows(), `a`) from t where id = row_count()", "select 5 n, concat(5, 5, `a`) AS `concat(row_count(), found_rows(), ``a``)` from t where id = 5"},
		{"SELECT (SELECT ROW_COUNT()), 2", "SELECT (SELECT 5 AS `ROW_COUNT()`) AS `(SELECT ROW_COUNT())`, 2"},
		{"SELECT ROW_COUNT() UNION ALL SELECT 3 ; ", "SELECT 5 AS `ROW_COUNT()` UNION ALL SELECT 3 ; "},
		{"SELECT ROW_COUNT() INTO @n", "SELECT 5 AS `ROW_COUNT()` INTO @n"},
		{"SELECT @@warning_count, @@session.warning_count+1, @@global.warning_count LIMIT 1", "SELECT 7 AS `@@warning_count`, 7+1 AS `@@session.warning_count+1`, @@global.warning_count LIMIT 1"},
		{"SET @a = ROW_COUNT(), @b = (SELECT FOUND_ROWS())", "SET @a = 5, @b = (SELECT 5)"},
		{"INSERT INTO t (a) VALUES (ROW_COUNT())", "INSERT INTO t (a) VALUES (5)"},
		{"INSERT INTO t (a) SELECT FOUND_ROWS() FROM u", "INSERT INTO t (a) SELECT 5 AS `FOUND_ROWS()` FROM u"},
		{"UPDATE t SET a = ROW_COUNT() WHERE b = ? AND `row_count` = 1", "UPDATE t SET a = 5 WHERE b = ? AND `row_count` = 1"},
		{"SELECT CASE WHEN ROW_COUNT() THEN 1 END /* why */ FROM t", "SELECT CASE WHEN 5 THEN 1 END AS `CASE WHEN ROW_COUNT() THEN 1 END` /* why */ FROM t"},
		{"DO shop.row_count()", ""},
		{"SELECT row_count, 'ROW_COUNT()' FROM t", ""},
		{"SELECT ROW_COUNT( FROM", ""},
		{"SELECT /*!99999 ROW_COUNT(), */ ROW_COUNT()", ""},
	} {
		got, ok := parse.Substitute([]byte(c.sql), 0, value)
		if string(got) != c.want || ok != (c.want != "") {
			t.Errorf("%s\n got %s, %v\nwant %s", c.sql, got, ok, c.want)
		}
	}
}
