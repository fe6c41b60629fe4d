package config

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Size is a number of bytes. It is written as a number with one of the units
// B, KiB, MiB, GiB and TiB, or without a unit.
type Size int64

// units are ordered so that the longer names are tried first: all end in B.
func units() []struct {
	name  string
	shift uint
} {
	return []struct {
		name  string
		shift uint
	}{{"KiB", 10}, {"MiB", 20}, {"GiB", 30}, {"TiB", 40}, {"B", 0}}
}

// ParseSize reads a Size.
func ParseSize(s string) (Size, error) {
	number, shift := strings.TrimSpace(s), uint(0)
	for _, u := range units() {
		if rest, ok := strings.CutSuffix(number, u.name); ok {
			number, shift = strings.TrimSpace(rest), u.shift
			break
		}
	}
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || n < 0 || n > (1<<62)>>shift {
		return 0, fmt.Errorf("%q isn't a size; write a number of bytes, KiB, MiB, GiB or TiB, such as 64MiB", s)
	}
	return Size(n << shift), nil
}

// String writes the size in the largest unit that divides it.
func (s Size) String() string {
	for _, u := range []struct {
		name  string
		shift uint
	}{{"TiB", 40}, {"GiB", 30}, {"MiB", 20}, {"KiB", 10}} {
		if unit := Size(1) << u.shift; s >= unit && s%unit == 0 {
			return strconv.FormatInt(int64(s>>u.shift), 10) + u.name
		}
	}
	return strconv.FormatInt(int64(s), 10)
}

// value is what was written for a key: words of a list, or one text.
type value struct {
	text string
	list []string
	many bool // written as a list
}

func (v value) words() []string {
	if v.many {
		return v.list
	}
	var words []string
	for w := range strings.SplitSeq(v.text, ",") {
		if w = strings.TrimSpace(w); w != "" {
			words = append(words, w)
		}
	}
	return words
}

// assign parses v as the key's kind and stores it where field points.
func assign(k Key, field any, v value) error {
	if v.many && k.Kind != List {
		return fmt.Errorf("is one %s, not a list", k.Kind)
	}
	switch p := field.(type) {
	case *[]string:
		*p = v.words()
	case *string:
		if k.Kind == Word && !slices.Contains(k.Allowed, v.text) {
			return fmt.Errorf("%q isn't one of %s", v.text, strings.Join(k.Allowed, ", "))
		}
		*p = v.text
	case *bool:
		switch v.text {
		case "true":
			*p = true
		case "false":
			*p = false
		default:
			return fmt.Errorf("%q is neither true nor false", v.text)
		}
	case *int:
		n, err := strconv.Atoi(v.text)
		if err != nil {
			return fmt.Errorf("%q isn't a whole number", v.text)
		}
		*p = n
		return bounds(k, int64(n), func(n int64) string { return strconv.FormatInt(n, 10) })
	case *Size:
		n, err := ParseSize(v.text)
		if err != nil {
			return err
		}
		*p = n
		return bounds(k, int64(n), func(n int64) string { return Size(n).String() })
	case *time.Duration:
		d, err := time.ParseDuration(v.text)
		switch {
		case err != nil:
			return fmt.Errorf("%q isn't a duration; write a number with its unit, such as 200ms, 5s or 1m30s", v.text)
		case d < 0:
			return fmt.Errorf("%q is negative", v.text)
		case d == 0 && k.NotZero:
			return fmt.Errorf("%q is too short; it must be more than 0", v.text)
		}
		*p = d
	default:
		return fmt.Errorf("has a field of the unknown type %T", field)
	}
	return nil
}

func bounds(k Key, n int64, show func(int64) string) error {
	switch {
	case n < k.Min:
		return fmt.Errorf("%s is too small; it must be at least %s", show(n), show(k.Min))
	case k.Max > 0 && n > k.Max:
		return fmt.Errorf("%s is too large; it may be at most %s", show(n), show(k.Max))
	}
	return nil
}

// write is the reverse of assign, for people: durations as short as they can
// be, lists with commas.
func write(field any) string {
	switch p := field.(type) {
	case *[]string:
		return strings.Join(*p, ", ")
	case *string:
		return *p
	case *bool:
		return strconv.FormatBool(*p)
	case *int:
		return strconv.Itoa(*p)
	case *Size:
		return p.String()
	case *time.Duration:
		s := p.String()
		if strings.HasSuffix(s, "m0s") {
			s = s[:len(s)-2]
		}
		if strings.HasSuffix(s, "h0m") {
			s = s[:len(s)-2]
		}
		return s
	}
	return fmt.Sprint(field)
}
