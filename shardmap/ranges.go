package shardmap

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// slotRange is every step-th slot of [from, to].
type slotRange struct{ from, to, step int }

// parseRange reads "7", "0-511" or "0-1023/2" against that many slots.
func parseRange(s string, slots int) (slotRange, error) {
	span, stepText, hasStep := strings.Cut(s, "/")
	fromText, toText, hasTo := strings.Cut(span, "-")
	r := slotRange{step: 1}
	var ok bool
	if r.from, ok = atoi(fromText); !ok {
		return r, badRange(s)
	}
	r.to = r.from
	if hasTo {
		if r.to, ok = atoi(toText); !ok {
			return r, badRange(s)
		}
	}
	if hasStep {
		if r.step, ok = atoi(stepText); !ok || !hasTo {
			return r, badRange(s)
		}
	}
	switch {
	case r.step < 1:
		return r, fmt.Errorf("%q steps by 0; the number after / is at least 1", s)
	case r.from > r.to:
		return r, fmt.Errorf("%q runs backwards; write %d-%d", s, r.to, r.from)
	case r.to >= slots:
		return r, fmt.Errorf("%q goes beyond the last slot, %d; slots are numbered from 0", s, slots-1)
	}
	return r, nil
}

func badRange(s string) error {
	if len(s) > 60 {
		s = s[:60] + "…"
	}
	return fmt.Errorf("%q is no range; write 7, 0-511, or 0-1023/2 for every second slot", s)
}

// atoi reads digits alone, without sign and with an upper limit that keeps
// sums of two numbers inside an int.
func atoi(s string) (int, bool) {
	if s == "" || len(s) > 9 || digits(s) != s {
		return 0, false
	}
	n, err := strconv.Atoi(s)
	return n, err == nil
}

// compress gives the ranges of ascending slots: runs of one stride, greedily.
func compress(slots []int) []slotRange {
	var out []slotRange
	for i := 0; i < len(slots); {
		if i+1 == len(slots) {
			out = append(out, slotRange{slots[i], slots[i], 1})
			break
		}
		step := slots[i+1] - slots[i]
		j := i + 1
		for j+1 < len(slots) && slots[j+1]-slots[j] == step {
			j++
		}
		if j == i+1 && step > 1 {
			// Two slots make no stride: the second may begin a longer run.
			out = append(out, slotRange{slots[i], slots[i], 1})
			i++
			continue
		}
		out = append(out, slotRange{slots[i], slots[j], step})
		i = j + 1
	}
	return out
}

func (r slotRange) String() string {
	switch {
	case r.from == r.to:
		return strconv.Itoa(r.from)
	case r.step == 1:
		return fmt.Sprintf("%d-%d", r.from, r.to)
	}
	return fmt.Sprintf("%d-%d/%d", r.from, r.to, r.step)
}

// FormatSlots writes ascending slots as ranges: "0-511", "7", "1-1023/2".
func FormatSlots(slots []int) []string {
	ranges := compress(slots)
	out := make([]string, len(ranges))
	for i, r := range ranges {
		out[i] = r.String()
	}
	return out
}

// formatSlots writes at most limit ranges for a message.
func formatSlots(slots []int, limit int) string {
	list := FormatSlots(slots)
	if len(list) > limit {
		list = append(list[:limit:limit], "…")
	}
	return strings.Join(list, ", ")
}

// ParseSlots reads ranges as FormatSlots writes them, with commas between, for a
// database with that many slots, and returns them ascending.
func ParseSlots(text string, slots int) ([]int, error) {
	var out []int
	for part := range strings.SplitSeq(text, ",") {
		r, err := parseRange(strings.TrimSpace(part), slots)
		if err != nil {
			return nil, err
		}
		for slot := r.from; slot <= r.to; slot += r.step {
			out = append(out, slot)
		}
	}
	slices.Sort(out)
	for i := 1; i < len(out); i++ {
		if out[i] == out[i-1] {
			return nil, fmt.Errorf("%q names slot %d twice", text, out[i])
		}
	}
	return out, nil
}
