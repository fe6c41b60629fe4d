package secret

import (
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"strconv"
	"strings"
	"sync/atomic"
)

// Secret is what a password is verified against. It doesn't hold the password
// itself. It is safe for concurrent use.
type Secret struct {
	empty  bool
	native *[sha1.Size]byte                  // SHA1(SHA1(password)); nil when it isn't known
	sha2   atomic.Pointer[[sha256.Size]byte] // SHA256(SHA256(password)); nil when it isn't known, or not yet
	crypt  *crypt                            // nil when there is none
	text   string                            // by which Same knows it
}

// The plugins whose proofs can be verified.
const (
	Native = "mysql_native_password"
	SHA2   = "caching_sha2_password"
)

// Empty says whether it is the Secret of the empty password.
func (s *Secret) Empty() bool { return s.empty }

// Salted says whether it was made of $A$005$…: only the password itself tells
// for sure whether it fits.
func (s *Secret) Salted() bool { return s.crypt != nil }

// maxPassword is the longest password of a server's user, in bytes. The time
// of shaCrypt grows with the square of the length.
const maxPassword = 256

// crypt is a password hashed slowly and with a salt, as in $A$005$….
type crypt struct {
	rounds int
	salt   []byte
	hash   []byte
}

// Password is the Secret of a password, which may be empty.
func Password(password string) *Secret {
	s := &Secret{empty: password == ""}
	s.know(password)
	s.text = string(s.native[:]) + string(s.sha2.Load()[:])
	return s
}

func (s *Secret) know(password string) {
	native := sha1.Sum([]byte(password))
	native = sha1.Sum(native[:])
	s.native = &native
	s.sha2.Store(doubleSHA2(password))
}

func doubleSHA2(password string) *[sha256.Size]byte {
	sum := sha256.Sum256([]byte(password))
	sum = sha256.Sum256(sum[:])
	return &sum
}

// errVerifier doesn't repeat the text, which is a secret.
var errVerifier = errors.New("is no stored verifier: it is $A$005$… or *HEX as in mysql.user.authentication_string, " +
	"0x and that in hexadecimal, or 64 hexadecimal digits, SHA256(SHA256(password))")

// Verifier is the Secret of a stored verifier: the authentication_string of a
// user with caching_sha2_password ($A$005$ and what follows) or with
// mysql_native_password (* and 40 hexadecimal digits), either also in
// hexadecimal after 0x, or SHA256(SHA256(password)) in hexadecimal.
func Verifier(text string) (*Secret, error) {
	if digits, ok := strings.CutPrefix(text, "0x"); ok {
		plain, err := hex.DecodeString(digits)
		if err != nil {
			return nil, errVerifier
		}
		text = string(plain)
	}
	s := &Secret{text: text}
	if digits, ok := strings.CutPrefix(text, "*"); ok {
		sum, err := hex.DecodeString(digits)
		if err != nil || len(sum) != sha1.Size {
			return nil, errVerifier
		}
		s.native = (*[sha1.Size]byte)(sum)
		return s, nil
	}
	if rest, ok := strings.CutPrefix(text, "$A$"); ok {
		const rounds, salt, hash = 3, 20, 43
		if len(rest) != rounds+1+salt+hash || rest[rounds] != '$' {
			return nil, errVerifier
		}
		thousands, err := strconv.ParseUint(rest[:rounds], 16, 16)
		if err != nil || thousands == 0 {
			return nil, errVerifier
		}
		rest = rest[rounds+1:]
		s.crypt = &crypt{rounds: int(thousands) * 1000, salt: []byte(rest[:salt]), hash: []byte(rest[salt:])}
		return s, nil
	}
	sum, err := hex.DecodeString(text)
	if err != nil || len(sum) != sha256.Size {
		return nil, errVerifier
	}
	s.sha2.Store((*[sha256.Size]byte)(sum))
	return s, nil
}

// Decoy is a Secret of the same kind that no password fits: who logs in
// against it can't tell it from the other.
func (s *Secret) Decoy() *Secret {
	d := &Secret{}
	if s.native != nil {
		d.native = new([sha1.Size]byte)
		_, _ = rand.Read(d.native[:]) // never fails
	}
	switch {
	case s.crypt != nil:
		d.crypt = &crypt{rounds: s.crypt.rounds, salt: make([]byte, len(s.crypt.salt)), hash: make([]byte, len(s.crypt.hash))}
		_, _ = rand.Read(d.crypt.salt)
		_, _ = rand.Read(d.crypt.hash)
	case s.sha2.Load() != nil:
		sum := new([sha256.Size]byte)
		_, _ = rand.Read(sum[:])
		d.sha2.Store(sum)
	}
	return d
}

// Same says whether two were made of the same password or verifier.
func (s *Secret) Same(other *Secret) bool { return s.text == other.text && s.text != "" }

// Proves says whether data proves that the peer knows the password. Where
// known is false, this kind of proof can't be verified.
func (s *Secret) Proves(plugin string, salt, data []byte) (ok, known bool) {
	switch plugin {
	case Native:
		if s.native == nil {
			return false, false
		}
		// data is SHA1(password) ^ SHA1(salt, SHA1(SHA1(password))).
		h := sha1.New()
		h.Write(salt)
		h.Write(s.native[:])
		once := xor(h.Sum(nil), data)
		twice := sha1.Sum(once)
		return subtle.ConstantTimeCompare(twice[:], s.native[:]) == 1 && !s.empty, true
	case SHA2:
		sum := s.sha2.Load()
		if sum == nil {
			return false, false
		}
		// data is SHA256(password) ^ SHA256(SHA256(SHA256(password)), salt).
		h := sha256.New()
		h.Write(sum[:])
		h.Write(salt)
		once := xor(h.Sum(nil), data)
		twice := sha256.Sum256(once)
		return subtle.ConstantTimeCompare(twice[:], sum[:]) == 1 && !s.empty, true
	}
	return false, false
}

func xor(a, b []byte) []byte {
	for i := range a {
		a[i] ^= b[i]
	}
	return a
}

// Fits says whether this is the password. Once it has been seen, faster proofs
// of it can be verified, as at a server.
func (s *Secret) Fits(password string) bool {
	switch {
	case s.crypt != nil:
		if len(password) > maxPassword {
			return false
		}
		got := shaCrypt([]byte(password), s.crypt.salt, s.crypt.rounds)
		if subtle.ConstantTimeCompare(got, s.crypt.hash) != 1 {
			return false
		}
		s.sha2.Store(doubleSHA2(password))
		return true
	case s.sha2.Load() != nil:
		return subtle.ConstantTimeCompare(doubleSHA2(password)[:], s.sha2.Load()[:]) == 1
	default:
		sum := sha1.Sum([]byte(password))
		sum = sha1.Sum(sum[:])
		return subtle.ConstantTimeCompare(sum[:], s.native[:]) == 1
	}
}
