package exec

import "testing"

// TestWhoSharesAStatement: a server's statement that names user variables has the types that they had when it was
// prepared, so it is one client's alone.
func TestWhoSharesAStatement(t *testing.T) {
	for text, shared := range map[string]bool{
		"SELECT name FROM users WHERE id = ?": true,
		"SELECT @a, @b":                       false,
		"SELECT @a := ?":                      false,
		"SELECT @`a`":                         false,
	} {
		var base Prepared
		one, other := base.Variant(text), base.Variant(text)
		if got := one.key == other.key; got != shared {
			t.Errorf("%s: shared is %t", text, got)
		}
	}
}
