package secret

import (
	"crypto/sha256"
	"hash"
)

// shaCrypt is the SHA-256 form of crypt(3), as in Ulrich Drepper's "Unix crypt
// using SHA-256 and SHA-512", with a salt of any length. It returns the 43
// characters of the hash alone.
func shaCrypt(password, salt []byte, rounds int) []byte {
	// fill writes n bytes: sum over and over.
	fill := func(h hash.Hash, sum []byte, n int) {
		for ; n > len(sum); n -= len(sum) {
			h.Write(sum)
		}
		h.Write(sum[:n])
	}
	stretch := func(sum []byte, n int) []byte {
		out := make([]byte, 0, n+len(sum))
		for len(out) < n {
			out = append(out, sum...)
		}
		return out[:n]
	}

	h := sha256.New()
	h.Write(password)
	h.Write(salt)
	h.Write(password)
	inner := h.Sum(nil)

	h.Reset()
	h.Write(password)
	h.Write(salt)
	fill(h, inner, len(password))
	for n := len(password); n > 0; n >>= 1 {
		if n&1 != 0 {
			h.Write(inner)
		} else {
			h.Write(password)
		}
	}
	sum := h.Sum(nil)

	h.Reset()
	for range password {
		h.Write(password)
	}
	p := stretch(h.Sum(nil), len(password))
	h.Reset()
	for range 16 + int(sum[0]) {
		h.Write(salt)
	}
	s := stretch(h.Sum(nil), len(salt))

	for i := range rounds {
		h.Reset()
		if i%2 != 0 {
			h.Write(p)
		} else {
			h.Write(sum)
		}
		if i%3 != 0 {
			h.Write(s)
		}
		if i%7 != 0 {
			h.Write(p)
		}
		if i%2 != 0 {
			h.Write(sum)
		} else {
			h.Write(p)
		}
		sum = h.Sum(sum[:0])
	}

	const digits = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	out := make([]byte, 0, 43)
	put := func(a, b, c byte, n int) {
		for v := uint(a)<<16 | uint(b)<<8 | uint(c); n > 0; n-- {
			out = append(out, digits[v&63])
			v >>= 6
		}
	}
	// The bytes of the sum are taken in threes, by turns from each third of it.
	a, b, c := 0, 10, 20
	for range 10 {
		put(sum[a], sum[b], sum[c], 4)
		a, b, c = c+1, a+1, b+1
	}
	put(0, sum[31], sum[30], 3)
	return out
}
