package parse

import (
	"strings"
	"time"
)

// read takes the words of one shardway comment, separated by spaces or commas. A later word overrides an earlier one.
func (h *Hints) read(text string) {
	for _, w := range strings.FieldsFunc(text, func(r rune) bool { return r == ' ' || r == ',' || r == '\t' || r == '\n' || r == '\r' }) {
		name, value, _ := strings.Cut(w, "=")
		switch lower(name) {
		case "primary":
			if value == "" {
				h.Primary = true
				continue
			}
		case "shard":
			if value != "" {
				h.Shard = value
				continue
			}
		case "timeout":
			if d, err := time.ParseDuration(value); err == nil && d > 0 {
				h.Timeout = d
				continue
			}
		}
		h.Unknown = append(h.Unknown, w)
	}
}
