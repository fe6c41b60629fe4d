package preflight

import (
	"fmt"
	"testing"
)

func TestMissingRights(t *testing.T) {
	need := []right{{"SELECT"}, {"CONNECTION_ADMIN", "SUPER"}}
	for _, c := range []struct {
		scope, want string
		grants      []string
	}{
		{"*.*", "[] false", []string{"GRANT ALL PRIVILEGES ON *.* TO `o`@`%` WITH GRANT OPTION"}},
		{"shop", "[] false", []string{"GRANT select, SUPER ON *.* TO `o`@`%`"}},
		{"*.*", "[SELECT CONNECTION_ADMIN] false", []string{"GRANT USAGE ON *.* TO `o`@`%`", "GRANT ALL PRIVILEGES ON `shop`.* TO `o`@`%`"}},
		{"shop", "[] false", []string{"GRANT USAGE ON *.* TO `o`@`%`", "GRANT ALL PRIVILEGES ON `shop`.* TO `o`@`%`"}},
		{"shop", "[CONNECTION_ADMIN] false", []string{"GRANT SELECT ON `sh%`.* TO `o`@`%`", "GRANT SUPER ON `blog`.* TO `o`@`%`"}},
		{"my_shop", "[CONNECTION_ADMIN] false", []string{"GRANT SELECT ON `my\\_shop`.* TO `o`@`%`"}},
		{"myXshop", "[SELECT CONNECTION_ADMIN] false", []string{"GRANT SELECT ON `my\\_shop`.* TO `o`@`%`"}},
		{"myXshop", "[CONNECTION_ADMIN] false", []string{"GRANT SELECT ON `my_shop`.* TO `o`@`%`"}},
		{"shop", "[SELECT CONNECTION_ADMIN] true", []string{"GRANT `admins`@`%` TO `o`@`%`", "GRANT SELECT ON `shop`.`users` TO `o`@`%`"}},
	} {
		missing, role := missingRights(c.grants, c.scope, need)
		if got := fmt.Sprint(missing, " ", role); got != c.want {
			t.Errorf("%s with %q lacks %s, want %s", c.scope, c.grants, got, c.want)
		}
	}
}

func TestBytes(t *testing.T) {
	for text, want := range map[string]string{"": "0 B", "0": "0 B", "1023": "1023 B", "1536": "1.5 KiB", "5368709120": "5 GiB"} {
		if got := bytes(text); got != want {
			t.Errorf("%q is %s, want %s", text, got, want)
		}
	}
}

func TestDefinition(t *testing.T) {
	for text, want := range map[string]bool{
		"alter table users ADD x INT": true, "CREATE OR REPLACE TABLE t (a INT)": true, "CREATE UNIQUE INDEX i ON t (a)": true, "TRUNCATE TABLE t": true,
		"CREATE TEMPORARY TABLE t (a INT)": false, "DROP TEMPORARY TABLE t": false, "CREATE USER u": false, "SELECT 'ALTER TABLE t'": false,
	} {
		if definition.MatchString(text) != want {
			t.Errorf("%q: want %t", text, want)
		}
	}
}
