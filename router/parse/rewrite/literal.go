package rewrite

import (
	"encoding/hex"
	"strings"

	"shardway/router/parse/digest"
)

// Markers are the places of the question marks that stand for values in a text; nil for one that can't be read.
func Markers(sql []byte, mode digest.Mode) []int {
	src := digest.Split(sql, mode, true)
	if src.Bad != "" {
		return nil
	}
	return src.Markers
}

// Text is a string literal in a client's character set.
func Text(v []byte, mode digest.Mode, charset string) string {
	if mode&digest.MultibyteUnsafe != 0 && !digest.IsASCII(v) {
		return "_" + charset + " X'" + hex.EncodeToString(v) + "'"
	}
	var out strings.Builder
	out.Grow(len(v) + 2)
	out.WriteByte('\'')
	for _, b := range v {
		if b == '\'' || b == '\\' && mode&digest.NoBackslashEscapes == 0 {
			out.WriteByte(b)
		}
		out.WriteByte(b)
	}
	out.WriteByte('\'')
	return out.String()
}

// Unicode is a string literal of UTF-8 text, whatever the client's character set is.
func Unicode(v []byte, mode digest.Mode) string {
	if digest.IsASCII(v) {
		return Text(v, mode, "")
	}
	return "_utf8mb4 " + Bytes(v)
}

// Bytes is a literal of bytes.
func Bytes(v []byte) string { return "X'" + hex.EncodeToString(v) + "'" }
