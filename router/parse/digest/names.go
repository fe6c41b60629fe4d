package digest

import (
	"bytes"
	"maps"
	"slices"
	"strings"
)

// nameSet collects names, without allocating for those it has.
type nameSet map[string]struct{}

func (m nameSet) add(name []byte) {
	if _, ok := m[string(name)]; !ok {
		m[string(name)] = struct{}{}
	}
}

func (m nameSet) list() []string { return Tidy(slices.Collect(maps.Keys(m))) }

// Words returns every identifier-like word of a text, also in strings and comments: lower
// case, sorted, each once.
func Words(s []byte) []string {
	set := make(nameSet)
	for i := 0; i < len(s); {
		if !isIdent(s[i]) {
			i++
			continue
		}
		j := skipWord(s, i)
		set.add(s[i:j])
		i = j
	}
	// A quoted identifier may hold anything.
	var buf []byte
	for _, q := range [...]byte{'`', '"'} {
		for i := 0; i < len(s); i++ {
			if s[i] != q {
				continue
			}
			end, ok := skipQuoted(s, i)
			if !ok {
				break
			}
			buf = appendUnescaped(buf[:0], s[i+1:end-1], q, false)
			set.add(buf)
			i = end - 1
		}
	}
	return set.list()
}

// Qualifiers returns every name in a text that is followed by a dot, so every database and more: lower
// case, sorted, each once.
func Qualifiers(s []byte) []string {
	set := make(nameSet)
	for i, c := range s {
		if c != '.' {
			continue
		}
		j := i
		for j > 0 && isSpace(s[j-1]) {
			j--
		}
		if j > 0 && (s[j-1] == '`' || s[j-1] == '"') {
			if k := bytes.LastIndexByte(s[:j-1], s[j-1]); k >= 0 {
				set.add(s[k+1 : j-1])
			}
			continue
		}
		k := j
		for k > 0 && isIdent(s[k-1]) {
			k--
		}
		if k < j && !isDigit(s[k]) || k < j-1 {
			set.add(s[k:j])
		}
	}
	return set.list()
}

// Tidy returns names in lower case, sorted, each once, in place.
func Tidy(names []string) []string {
	if len(names) == 0 {
		return nil
	}
	for i, n := range names {
		names[i] = strings.ToLower(n)
	}
	slices.Sort(names)
	return slices.Compact(names)
}
