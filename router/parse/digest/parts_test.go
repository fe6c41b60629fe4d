package digest

import (
	"slices"
	"strings"
	"testing"
)

// split cuts a text into its parts.
func split(sql string, mode Mode) (all []string) {
	for s := []byte(sql); ; {
		end, rest := FirstPart(s, mode)
		all = append(all, strings.TrimSpace(string(s[:end])))
		if rest == len(s) {
			return all
		}
		s = s[rest:]
	}
}

func TestI16FirstPart(t *testing.T) {
	const body = "create procedure p(in a int, out b varchar(10)) comment 'x;y' reads sql data begin declare d int default case when 1 then 2 else 3 end; " +
		"declare exit handler for sqlexception begin rollback; end; declare continue handler for not found set d = 1; " +
		"l: loop if d > 1 then leave l; elseif d = if(1, 2, 3) then set d = 1; else begin end; end if; end loop l; " +
		"case d when 1 then select 1; else select 2; end case; while d > 0 do set d = d - 1; end while; " +
		"repeat set d = d + 1; until d > case when 1 then 2 end end repeat; select case d when 1 then if(1,2,3) else repeat('x', 2) end; " +
		"select end, begin from t; end"
	for _, c := range []struct {
		sql  string
		mode Mode
		want []string
	}{
		{sql: "select 1", want: []string{"select 1"}},
		{sql: "select 1;", want: []string{"select 1"}},
		{sql: " select 1 ; ; \n", want: []string{"select 1"}},
		{sql: "select 1; select 2", want: []string{"select 1", "select 2"}},
		{sql: "select 1;;select 2", want: []string{"select 1", "", "select 2"}},
		{sql: "select 1; -- x; y", want: []string{"select 1", "-- x; y"}},
		{sql: "select ';'; select \";\"; select `;` from t; select 1", want: []string{"select ';'", "select \";\"", "select `;` from t", "select 1"}},
		{sql: "select '\\';'; select 1", want: []string{"select '\\';'", "select 1"}},
		{sql: "select '\\'; select 1", mode: NoBackslashEscapes, want: []string{"select '\\'", "select 1"}},
		{sql: "select '''; '; select 1", want: []string{"select '''; '", "select 1"}},
		{sql: "select 1 /* ; */; select 2 # ;\n; select 3 -- ;\n; select 4", want: []string{"select 1 /* ; */", "select 2 # ;", "select 3 -- ;", "select 4"}},
		{sql: "select 5--1; select 2", want: []string{"select 5--1", "select 2"}},
		{sql: "select /*! 1 */; select 2", want: []string{"select /*! 1 */", "select 2"}},
		{sql: "begin; insert into t values (1); commit", want: []string{"begin", "insert into t values (1)", "commit"}},
		{sql: "begin work; select 1", want: []string{"begin work", "select 1"}},
		{sql: "start transaction; select case when a then b end from t; commit", want: []string{"start transaction", "select case when a then b end from t", "commit"}},
		{sql: "begin not atomic select 1; select 2; end; select 3", want: []string{"begin not atomic select 1; select 2; end", "select 3"}},
		{sql: body + "; select 1", want: []string{body, "select 1"}},
		{sql: "select 1; " + body + ";", want: []string{"select 1", body}},
		{sql: "create function f() returns int return if(1, 2, 3); select 1", want: []string{"create function f() returns int return if(1, 2, 3)", "select 1"}},
		{sql: "create function f(a int) returns char(10) charset utf8mb4 deterministic return case a when 1 then 2 end; select 1", want: []string{"create function f(a int) returns char(10) charset utf8mb4 deterministic return case a when 1 then 2 end", "select 1"}},
		{sql: "create procedure if not exists p() l1: begin select 1; end l1; select 2", want: []string{"create procedure if not exists p() l1: begin select 1; end l1", "select 2"}},
		{sql: "create procedure p() select 1; select 2", want: []string{"create procedure p() select 1", "select 2"}},
		{sql: "create procedure p() if 1 then select 1; end if; select 2", want: []string{"create procedure p() if 1 then select 1; end if", "select 2"}},
		{sql: "create trigger t after insert on x for each row set @a = 1; select 2", want: []string{"create trigger t after insert on x for each row set @a = 1", "select 2"}},
		{sql: "create trigger t after insert on x for each row begin set @a = 1; if new.a then set @b = 1; end if; end; select 2", want: []string{"create trigger t after insert on x for each row begin set @a = 1; if new.a then set @b = 1; end if; end", "select 2"}},
		{sql: "create event e on schedule every 1 day do begin delete from t; end; select 2", want: []string{"create event e on schedule every 1 day do begin delete from t; end", "select 2"}},
		{sql: "create table t (a int); drop table if exists t; select 1", want: []string{"create table t (a int)", "drop table if exists t", "select 1"}},
		{sql: "begin not atomic for i in 1..3 do insert into t values (i); end for; end; select 1", want: []string{"begin not atomic for i in 1..3 do insert into t values (i); end for; end", "select 1"}},
		{sql: "select 'x; select 1", want: []string{"select 'x; select 1"}},
		{sql: "select '\xbf\\'; select 1", mode: MultibyteUnsafe, want: []string{"select '\xbf\\'; select 1"}},
	} {
		if got := split(c.sql, c.mode); !slices.Equal(got, c.want) {
			t.Errorf("%q is split into %q, want %q", c.sql, got, c.want)
		}
	}
}

// FuzzFirstPart checks that every byte of a text is in a part or between two of them.
func FuzzFirstPart(f *testing.F) {
	for _, sql := range texts(f) {
		f.Add(sql, byte(0))
	}
	f.Add("create procedure p() begin select 1; end; select 2", byte(0))
	f.Fuzz(func(t *testing.T, sql string, mode byte) {
		s := []byte(sql)
		for n := 0; ; n++ {
			end, rest := FirstPart(s, Mode(mode))
			if end < 0 || rest < end || rest > len(s) || n > len(sql) {
				t.Fatalf("%q: a part ends at %d and the next begins at %d of %d", s, end, rest, len(s))
			}
			if between := strings.Trim(string(s[end:rest]), "; \t\n\v\f\r"); between != "" {
				t.Fatalf("%q: %q is lost", s, between)
			}
			if rest == len(s) {
				return
			}
			s = s[rest:]
		}
	})
}
