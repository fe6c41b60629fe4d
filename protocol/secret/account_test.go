package secret

import (
	"crypto/x509/pkix"
	"encoding/asn1"
	"testing"
)

func TestSubject(t *testing.T) {
	raw, err := asn1.Marshal(pkix.Name{CommonName: "app", Organization: []string{"Shop, Inc"}, Country: []string{"DE"}}.ToRDNSequence())
	if err != nil {
		t.Fatal(err)
	}
	for subject, want := range map[string]bool{
		`CN=app,O=Shop\, Inc,C=DE`: true, `C=DE, O=Shop\, Inc, CN=app`: true, "CN=app": false, "CN=App": false,
		`CN=app,O=Shop\, Inc,C=D`: false, "": false, `\`: false,
	} {
		if got := hasSubject(raw, subject); got != want {
			t.Errorf("%s: %v", subject, got)
		}
	}
}
