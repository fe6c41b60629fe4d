package digest

import (
	"strings"
	"time"
)

// Hints are what shardway comments ask for: /* shardway: primary */, /* shardway: shard=s1, timeout=500ms */.
type Hints struct {
	Primary bool          // read from the primary
	Shard   string        // run on this shard; "" when not asked
	Timeout time.Duration // stop after this long; 0 when not asked
	MaxLag  time.Duration // read from a replica only if its lag is known to be within this; 0 when not asked
	Stale   bool          // causal=off: what any replica has will do
	Unknown []string      // words that aren't hints, for an error message
}

// read takes the words of one shardway comment, separated by spaces or commas. A later word overrides an earlier one.
func (h *Hints) read(text string) {
	for _, w := range strings.FieldsFunc(text, func(r rune) bool { return r == ' ' || r == ',' || r == '\t' || r == '\n' || r == '\r' }) {
		name, value, _ := strings.Cut(w, "=")
		switch strings.ToLower(name) {
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
		case "causal":
			if off := strings.EqualFold(value, "off"); off || strings.EqualFold(value, "session") {
				h.Stale = off
				continue
			}
		case "timeout":
			if d, err := time.ParseDuration(value); err == nil && d > 0 {
				h.Timeout = d
				continue
			}
		case "max_lag":
			if d, err := time.ParseDuration(value); err == nil && d > 0 {
				h.MaxLag = d
				continue
			}
		}
		h.Unknown = append(h.Unknown, w)
	}
}
