package shardmap

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// KeyType is the declared type of a key column (key_type in the map), as far
// as it decides what the server makes of a value. The zero value is "not
// declared".
type KeyType struct {
	Name     string // tinyint, smallint, mediumint, int, bigint, char, varchar, binary, varbinary
	Unsigned bool   // integers
	Len      int    // characters of char and varchar, bytes of binary and varbinary
}

// Declared reports whether the map gives the type.
func (k KeyType) Declared() bool { return k.Name != "" }

// String gives the type as it is written in the map.
func (k KeyType) String() string {
	switch {
	case k.Len > 0:
		return k.Name + "(" + strconv.Itoa(k.Len) + ")"
	case k.Unsigned:
		return k.Name + " unsigned"
	}
	return k.Name
}

// Integer reports whether the type is one of the integers.
func (k KeyType) Integer() bool { return intBits(k.Name) > 0 }

func intBits(name string) int {
	switch name {
	case "tinyint":
		return 8
	case "smallint":
		return 16
	case "mediumint":
		return 24
	case "int":
		return 32
	case "bigint":
		return 64
	}
	return 0
}

// holds reports whether an integer of that type holds v exactly.
func (k KeyType) holds(v integer) bool {
	bits := intBits(k.Name)
	if k.Unsigned {
		return !v.neg && v.abs <= math.MaxUint64>>(64-bits)
	}
	limit := uint64(1) << (bits - 1)
	if v.neg {
		return v.abs <= limit
	}
	return v.abs < limit
}

// parseKeyType reads "bigint", "int unsigned", "varchar(64)".
func parseKeyType(s string) (KeyType, error) {
	bad := fmt.Errorf("%q is not a key type; write tinyint, smallint, mediumint, int or bigint, each with or without unsigned, or char(n), varchar(n), binary(n), varbinary(n)", s)
	name, rest, _ := strings.Cut(strings.ToLower(strings.TrimSpace(s)), " ")
	if intBits(name) > 0 {
		switch strings.TrimSpace(rest) {
		case "":
			return KeyType{Name: name}, nil
		case "unsigned":
			return KeyType{Name: name, Unsigned: true}, nil
		}
		return KeyType{}, bad
	}
	name, rest, ok := strings.Cut(name+rest, "(")
	num, end, closed := strings.Cut(rest, ")")
	if !ok || !closed || end != "" {
		return KeyType{}, bad
	}
	switch name {
	case "char", "varchar", "binary", "varbinary":
	default:
		return KeyType{}, bad
	}
	n, err := strconv.Atoi(num)
	if err != nil || n < 1 || n > 65535 {
		return KeyType{}, bad
	}
	return KeyType{Name: name, Len: n}, nil
}
