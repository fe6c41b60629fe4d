package xact

import (
	"crypto/rand"
	"encoding/hex"
	"hash/fnv"
	"strconv"
	"strings"
	"sync/atomic"

	"shardway/shardmap"
)

// format is the format id of Shardway's branches, "SWXA".
const format = 0x53575841

// ID names a transaction over several shards. It is the gtrid of its branches and the key of its decision:
// PROXY-NUMBER@SHARD, where SHARD is where the decision is, or '#' and a digest of it where the name is long.
type ID string

// longest is how many bytes servers take for a gtrid.
const longest = 64

// names makes IDs that no other proxy makes, nor this one after its next start.
type names struct {
	proxy string
	last  atomic.Uint64
}

func newNames() names {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return names{proxy: hex.EncodeToString(b[:])}
}

func (n *names) next(shard string) ID {
	id := n.proxy + "-" + strconv.FormatUint(n.last.Add(1), 36) + "@"
	if len(id)+len(shard) > longest {
		shard = digest(shard)
	}
	return ID(id + shard)
}

func digest(shard string) string {
	h := fnv.New64a()
	_, _ = h.Write([]byte(shard))
	return "#" + strconv.FormatUint(h.Sum64(), 16)
}

// proxy is who made the ID; "" when it is none of Shardway's.
func (id ID) proxy() string {
	head, _, ok := strings.Cut(string(id), "@")
	proxy, number, both := strings.Cut(head, "-")
	if !ok || !both || proxy == "" || number == "" {
		return ""
	}
	return proxy
}

// shard is where the decision is; nil when the map doesn't have that shard.
func (id ID) shard(m *shardmap.Map) *shardmap.Shard {
	_, name, _ := strings.Cut(string(id), "@")
	if !strings.HasPrefix(name, "#") {
		return m.Shard(name)
	}
	for _, s := range m.Shards() {
		if digest(s.ID) == name {
			return s
		}
	}
	return nil
}

// Branch is the XA id of a branch as SQL. The connection's number at its server is the bqual: a branch of one transaction
// is on one server once, and where a server lets nobody end a branch while the session that prepared it lives, the number
// says which session that is.
func (id ID) Branch(connection uint32) string {
	b := branch{id, bqual(connection)}
	return b.sql()
}

func bqual(connection uint32) string { return strconv.FormatUint(uint64(connection), 10) }
