package e2e

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
)

func (w *wire) scramble(plugin string) []byte {
	if w.password == "" {
		return nil
	}
	if plugin == "caching_sha2_password" {
		a := sha256.Sum256([]byte(w.password))
		b := sha256.Sum256(a[:])
		c := sha256.Sum256(append(b[:], w.salt...))
		for i := range a {
			a[i] ^= c[i]
		}
		return a[:]
	}
	a := sha1.Sum([]byte(w.password))
	b := sha1.Sum(a[:])
	c := sha1.Sum(append(append([]byte{}, w.salt...), b[:]...))
	for i := range a {
		a[i] ^= c[i]
	}
	return a[:]
}

// finishLogin goes through whatever the server asks for until OK or ERR.
func (w *wire) finishLogin() error {
	for {
		p, err := w.readPacket()
		if err != nil {
			return fmt.Errorf("login: %w", err)
		}
		switch {
		case p[0] == 0x00:
			w.loginOK = w.parseOK(p)
			return nil
		case p[0] == 0xff:
			return parseError(p)
		case p[0] == 0xfe:
			name, rest, _ := bytes.Cut(p[1:], []byte{0})
			w.salt = append([]byte{}, bytes.TrimRight(rest, "\x00")...)
			if err := w.writePacket(w.scramble(string(name))); err != nil {
				return err
			}
		case p[0] == 0x01 && len(p) == 2 && p[1] == 3: // fast path went well; OK follows
		case p[0] == 0x01 && len(p) == 2 && p[1] == 4:
			if w.secure {
				if err := w.writePacket(append([]byte(w.password), 0)); err != nil {
					return err
				}
				continue
			}
			if err := w.writePacket([]byte{2}); err != nil {
				return err
			}
			key, err := w.readPacket()
			if err != nil {
				return err
			}
			block, _ := pem.Decode(key[1:])
			if block == nil {
				return errors.New("login: no public key")
			}
			pub, err := x509.ParsePKIXPublicKey(block.Bytes)
			if err != nil {
				return err
			}
			text := append([]byte(w.password), 0)
			for i := range text {
				text[i] ^= w.salt[i%20]
			}
			enc, err := rsa.EncryptOAEP(sha1.New(), rand.Reader, pub.(*rsa.PublicKey), text, nil)
			if err != nil {
				return err
			}
			if err := w.writePacket(enc); err != nil {
				return err
			}
		default:
			return fmt.Errorf("login: unexpected packet % x", p[:min(len(p), 20)])
		}
	}
}
