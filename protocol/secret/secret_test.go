package secret

import (
	"strings"
	"testing"
)

func TestSHACrypt(t *testing.T) {
	// As openssl passwd -5 makes it.
	const want = "5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5"
	if got := string(shaCrypt([]byte("Hello world!"), []byte("saltstring"), 5000)); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestNoVerifiers(t *testing.T) {
	for _, text := range []string{"", "*", "*12", "$A$", "$A$005$short", "$A$00z$" + strings.Repeat("x", 63), "0xz", strings.Repeat("g", 64)} {
		if _, err := Verifier(text); err == nil || len(text) > 4 && strings.Contains(err.Error(), text) {
			t.Errorf("%q: %v", text, err)
		}
	}
}
