package e2e

import (
	"testing"

	"shardway/test/cluster"
)

// gathered is app with a table of odd columns.
func gathered(f cluster.Flavor) cluster.Data {
	d := app(f)
	d.Script = append(d.Script,
		"CREATE TABLE odd (id INT NOT NULL AUTO_INCREMENT, n BIGINT NOT NULL DEFAULT 3, low VARCHAR(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci, hidden INT DEFAULT 5 INVISIBLE, "+
			"gen INT GENERATED ALWAYS AS (n * 2) VIRTUAL, geo GEOMETRY, wide VARCHAR(10) CHARACTER SET utf16, z INT(8) UNSIGNED ZEROFILL, dflt VARCHAR(30) NOT NULL DEFAULT 'it''s \"a\" \\\\ default', "+
			"fl FLOAT NOT NULL, big DECIMAL(65,30), stamp TIMESTAMP(6) NULL DEFAULT CURRENT_TIMESTAMP(6) ON UPDATE CURRENT_TIMESTAMP(6), zero DATE NOT NULL DEFAULT '2020-01-01', bits BIT(64), "+
			"PRIMARY KEY (id, n), UNIQUE KEY (z), KEY two (low(5), fl))",
		"INSERT INTO odd (id, n, low, hidden, geo, wide, z, fl, big, stamp, bits) VALUES "+
			"(1, 3, 'Straße', 7, ST_GeomFromText('POINT(1 2)'), 'wörd', 42, 1.1, 12345678901234567890123456789012345.123456789012345678901234567890, '2026-03-04 05:06:07.123456', X'ffffffffffffffff'),"+
			"(2, 12, 'STRASSE', NULL, NULL, '', 4294967295, 3.4028234e38, -0.000000000000000000000000000001, NULL, 0),"+
			"(3, 5, 'a\\\\b''c\\n\\0d', 1, ST_GeomFromText('LINESTRING(0 0,1 1)'), NULL, NULL, -1e-30, NULL, '2038-01-19 03:14:07', NULL),"+
			"(4, 14, NULL, 2, NULL, NULL, 0, 16777217, 0, '1970-01-02 00:00:01', 5)",
	)
	d.Tables = append(d.Tables, cluster.Placed{Name: "odd", Key: "n", Placement: "mod", Options: "key_type: bigint"})
	return d
}

// TestGather runs testdata/gather.sql through Shardway and on the plain server, as text and prepared.
func TestGather(t *testing.T) {
	statements := readStatements(t, "testdata/gather.sql")
	onEach(t, "gather", gathered, func(e *env) {
		d := e.serve(settings{"limits": "{gather_rows: 100000}"})
		for _, prepared := range []bool{false, true} {
			compared, refused := e.compare(statements, prepared, func() *wire { return e.dial(d, nil) }, func() *wire { return e.plain(nil) }, nil)
			e.Logf("note: %d statements answered alike, %d refused", compared, refused)
		}
	})
}
