package loaddata

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	for _, tt := range []struct {
		sql  string
		want string
	}{
		{"LOAD DATA LOCAL INFILE 'a.csv' INTO TABLE t", `a.csv [] [] {"\t" -1 92 "\n" 0 ""}`},
		{"load data low_priority local infile \"it''s\" replace into table `db`.`t x`", `it''s [] [] {"\t" -1 92 "\n" 0 ""}`},
		{
			"LOAD DATA LOCAL INFILE 'a' IGNORE INTO TABLE db.t PARTITION (p0, p1) CHARACTER SET 'UTF8MB4' FIELDS TERMINATED BY ',' OPTIONALLY ENCLOSED BY '\"' ESCAPED BY '' LINES TERMINATED BY '\\r\\n' IGNORE 2 LINES (a, `b`, @c, t.d)",
			`a [a b @c d] [] {"," 34 -1 "\r\n" 2 "utf8mb4"}`,
		},
		{"LOAD DATA LOCAL INFILE 'a' INTO TABLE t CHARSET latin1 COLUMNS ESCAPED BY '\\\\' TERMINATED BY 0x7C7C LINES TERMINATED BY X'0A' IGNORE 1 ROWS", `a [] [] {"||" -1 92 "\n" 1 "latin1"}`},
		{"LOAD DATA LOCAL INFILE 'a' INTO TABLE t (a, @b, @C) SET c = @b + @c, d := CONCAT(@B, ',', a), t.e = DEFAULT, f = @@sql_mode;", `a [a @b @C] [c d e f] {"\t" -1 92 "\n" 0 ""}`},
		{"LOAD DATA LOCAL INFILE 'a' INTO TABLE t /* LINES */ # no\n -- no\n LINES STARTING BY '' TERMINATED BY ';'", `a [] [] {"\t" -1 92 ";" 0 ""}`},
		{"LOAD DATA LOCAL INFILE 'a' INTO TABLE t ()", `a [] [] {"\t" -1 92 "\n" 0 ""}`},

		{"LOAD DATA INFILE 'a' INTO TABLE t", "LOCAL INFILE is missing"},
		{"LOAD XML LOCAL INFILE 'a' INTO TABLE t", "LOAD DATA is missing"},
		{"LOAD DATA LOCAL INFILE 'a' INTO TABLE t /*! LINES TERMINATED BY 'x' */", "only some servers"},
		{"LOAD DATA LOCAL INFILE 'a' INTO TABLE t LINES STARTING BY 'x'", "STARTING BY"},
		{"LOAD DATA LOCAL INFILE 'a' INTO TABLE t FIELDS TERMINATED BY ''", "fixed width"},
		{"LOAD DATA LOCAL INFILE 'a' INTO TABLE t LINES TERMINATED BY ''", "told apart"},
		{"LOAD DATA LOCAL INFILE 'a' INTO TABLE t FIELDS TERMINATED BY '\\n'", "told apart"},
		{"LOAD DATA LOCAL INFILE 'a' INTO TABLE t FIELDS ENCLOSED BY 'ab'", "more than one character"},
		{"LOAD DATA LOCAL INFILE 'a' INTO TABLE t FIELDS TERMINATED BY _utf8'x'", "plain string"},
		{"LOAD DATA LOCAL INFILE 'a' INTO TABLE t FIELDS TERMINATED BY 0x7", "hexadecimal"},
		{"LOAD DATA LOCAL INFILE 'a' INTO TABLE t FIELDS TERMINATED BY", "no string"},
		{"LOAD DATA LOCAL INFILE 'a' INTO TABLE t IGNORE x LINES", "no number"},
		{"LOAD DATA LOCAL INFILE 'a' INTO TABLE t (a, b", "missing"},
		{"LOAD DATA LOCAL INFILE 'a' INTO TABLE t (a) SET b = (SELECT 1)", "subquery"},
		{"LOAD DATA LOCAL INFILE 'a' INTO TABLE t (a) SET b = @other", "no field of the file"},
		{"LOAD DATA LOCAL INFILE 'a' INTO TABLE t (a) AND MORE", "isn't expected"},
		{"LOAD DATA LOCAL INFILE 'a", "doesn't end"},
		{"LOAD DATA LOCAL INFILE 'a' INTO TABLE t /* ", "doesn't end"},
	} {
		s, err := Parse(tt.sql, Mode{})
		if err != nil {
			if !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%s: %v, want %s", tt.sql, err, tt.want)
			}
			continue
		}
		f := s.Format
		if got := fmt.Sprintf("%s %v %v {%q %d %d %q %d %q}", s.File, s.Fields, s.Sets, f.FieldEnd, f.Enclosed, f.Escaped, f.LineEnd, f.Skip, f.Charset); got != tt.want {
			t.Errorf("%s:\n%s, want\n%s", tt.sql, got, tt.want)
		}
	}
	s, err := Parse(`LOAD DATA LOCAL INFILE 'a\n' INTO TABLE "t" FIELDS TERMINATED BY '\n'`, Mode{ANSIQuotes: true, NoBackslashEscapes: true})
	if err != nil || s.File != `a\n` || s.Format.FieldEnd != `\n` || s.Format.Escaped != -1 {
		t.Errorf("%+v, %v", s, err)
	}
}

// parts takes a file apart, written in pieces of a size.
func parts(s *Splitter, file string, piece int) (head string, rows []string, err error) {
	rest, last := file, false
	more := func() {
		k := min(piece, len(rest))
		_, _ = s.Write([]byte(rest[:k]))
		rest = rest[k:]
		last = rest == ""
	}
	more()
	for {
		raw, done := s.Head(last)
		head += string(raw)
		if done {
			break
		}
		more()
	}
	for {
		row, ok, err := s.Next(last)
		switch {
		case err != nil:
			return head, rows, err
		case ok:
			key := fmt.Sprintf("%q", row.Key)
			if row.Missing {
				key = "missing"
			} else if row.Null {
				key = "NULL"
			}
			rows = append(rows, fmt.Sprintf("%q=%s", row.Raw, key))
		case last:
			return head, rows, nil
		default:
			more()
		}
	}
}

func TestSplit(t *testing.T) {
	csv := Format{FieldEnd: ",", Enclosed: '"', Escaped: '\\', LineEnd: "\n"}
	tab := Format{FieldEnd: "\t", Enclosed: -1, Escaped: '\\', LineEnd: "\n"}
	with := func(f Format, change func(*Format)) Format { change(&f); return f }
	for _, tt := range []struct {
		name        string
		f           Format
		fields, key int
		file        string
		head        string
		rows        []string
	}{
		{"tabs", tab, 2, 0, "1\ta\n2\tb\n", "", []string{`"1\ta\n"="1"`, `"2\tb\n"="2"`}},
		{"no end", tab, 2, 1, "1\ta\n2\tb", "", []string{`"1\ta\n"="a"`, `"2\tb"="b"`}},
		{"nothing", tab, 2, 0, "", "", nil},
		{"an empty line", tab, 2, 0, "\n1\ta\n", "", []string{`"\n"=""`, `"1\ta\n"="1"`}},
		{"too few", tab, 3, 2, "1\ta\n1\ta\t\n1\ta\t", "", []string{`"1\ta\n"=missing`, `"1\ta\t\n"=""`, `"1\ta\t"=missing`}},
		{"too many", tab, 1, 0, "1\ta\\\nb\tc\n2\n", "", []string{`"1\ta\\\nb\tc\n"="1"`, `"2\n"="2"`}},
		{"escapes", tab, 2, 0, "a\\\tb\\\\\tx\\\ny\n\\N\tz\nN\tz\n\\NN\tq\n", "", []string{`"a\\\tb\\\\\tx\\\ny\n"="a\tb\\"`, `"\\N\tz\n"=NULL`, `"N\tz\n"="N"`, `"\\NN\tq\n"="NN"`}},
		{"an escape at the end", tab, 1, 0, "a\\", "", []string{`"a\\"="a\\"`}},
		{"no escape", with(tab, func(f *Format) { f.Escaped = -1 }), 2, 0, "a\\\tb\n\\N\tb\n", "", []string{`"a\\\tb\n"="a\\"`, `"\\N\tb\n"="\\N"`}},
		{"quotes", csv, 2, 1, "\"1,2\n3\",\"a\"\"b\"\n1,\"x\\\"y\"\n1,z\"z\"\n\"\",\"\"\n", "", []string{`"\"1,2\n3\",\"a\"\"b\"\n"="a\"b"`, `"1,\"x\\\"y\"\n"="x\"y"`, `"1,z\"z\"\n"="z\"z\""`, `"\"\",\"\"\n"=""`}},
		{"a quote inside", csv, 2, 0, "\"a\"b\",1\nc,2\n", "", []string{`"\"a\"b\",1\n"="a\"b"`, `"c,2\n"="c"`}},
		{"a quote that doesn't end", csv, 2, 0, "\"a,1\nb,2\n", "", []string{`"\"a,1\nb,2\n"="\"a,1\nb,2\n"`}},
		{"NULL in words", csv, 1, 0, "NULL\n\"NULL\"\nnull\n", "", []string{`"NULL\n"=NULL`, `"\"NULL\"\n"="NULL"`, `"null\n"="null"`}},
		{"a quote as escape", with(csv, func(f *Format) { f.Escaped = '"' }), 2, 0, "\"a\"\"b\",1\n\"c\",2\n", "", []string{`"\"a\"\"b\",1\n"="a\"b"`, `"\"c\",2\n"="c"`}},
		{"long marks", with(csv, func(f *Format) { f.FieldEnd, f.LineEnd = "||", "\r\n" }), 2, 0, "a|b||\"c\rd\"\r\ne\r||f\r\n", "", []string{`"a|b||\"c\rd\"\r\n"="a|b"`, `"e\r||f\r\n"="e\r"`}},
		{"a part of a mark at the end", with(tab, func(f *Format) { f.LineEnd = "\r\n" }), 1, 0, "a\r\nb\r", "", []string{`"a\r\n"="a"`, `"b\r"="b\r"`}},
		{"a head", with(csv, func(f *Format) { f.Skip = 2 }), 1, 0, "\"id\n1\\\n2\n3\n4\n", "\"id\n1\\\n2\n", []string{`"3\n"="3"`, `"4\n"="4"`}},
		{"a head longer than the file", with(csv, func(f *Format) { f.Skip = 5 }), 1, 0, "1\n2\n", "1\n2\n", nil},
		{"no key", tab, 2, -1, "1\t2\n", "", []string{`"1\t2\n"=""`}},
	} {
		for _, piece := range []int{1, 2, 3, 1000} {
			head, rows, err := parts(NewSplitter(tt.f, tt.fields, tt.key, 1000), tt.file, piece)
			if err != nil || head != tt.head || !slices.Equal(rows, tt.rows) {
				t.Errorf("%s, %d bytes at a time: %q\n%v, %v\nwant %q\n%v", tt.name, piece, head, rows, err, tt.head, tt.rows)
			}
		}
	}
	if _, _, err := parts(NewSplitter(csv, 1, 0, 100), "\""+strings.Repeat("x", 300), 50); err == nil || !strings.Contains(err.Error(), "row 1 is larger") {
		t.Errorf("a row that doesn't end: %v", err)
	}
}

// FuzzSplit: the parts are the whole file, however it comes in.
func FuzzSplit(f *testing.F) {
	f.Add([]byte("1,\"a\"\"b\"\n\\N,2\r\n"), ",", "\n", byte('"'), byte('\\'), uint8(1), uint8(2), uint8(3))
	f.Fuzz(func(t *testing.T, file []byte, fieldEnd, lineEnd string, enclosed, escaped byte, skip, fields, piece uint8) {
		format := Format{FieldEnd: fieldEnd, Enclosed: int(enclosed), Escaped: int(escaped), LineEnd: lineEnd, Skip: int(skip % 4)}
		if enclosed == 0 {
			format.Enclosed = -1
		}
		if escaped == 0 {
			format.Escaped = -1
		}
		if format.check() != nil {
			return
		}
		n := 1 + int(fields%8)
		all := [2]bytes.Buffer{}
		var keys [2][]string
		for i, size := range []int{1 + int(piece%16), len(file) + 1} {
			s := NewSplitter(format, n, n/2, 1<<20)
			head, rows, err := parts(s, string(file), size)
			if err != nil {
				t.Fatal(err)
			}
			all[i].WriteString(head)
			for _, r := range rows {
				var raw string
				if _, err := fmt.Sscanf(r, "%q=", &raw); err != nil {
					t.Fatal(err)
				}
				all[i].WriteString(raw)
			}
			keys[i] = rows
		}
		if !bytes.Equal(all[0].Bytes(), file) || !bytes.Equal(all[1].Bytes(), file) || !slices.Equal(keys[0], keys[1]) {
			t.Fatalf("%q came apart as\n%q\n%q", file, keys[0], keys[1])
		}
	})
}
