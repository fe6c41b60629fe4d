package parse

import (
	"hash/maphash"
	"sync"
	"sync/atomic"
)

// Limits of the cache.
const (
	cacheShards = 16
	// maxCachedNorm is the longest norm that is kept: long ones are bulk inserts, hardly ever the same twice.
	maxCachedNorm = 16 << 10
	// statementCost is what an entry takes besides its norm, in norm lengths and bytes, measured on common statements.
	statementCost, entryCost = 8, 512
)

// Cache keeps Statements by norm and mode, bounded in entries and in bytes. What hasn't been asked for lately goes
// first (second chance). A hit takes a read lock on one of 16 parts, and allocates nothing. It is safe for
// concurrent use.
type Cache struct {
	seed   maphash.Seed
	shards [cacheShards]cacheShard
}

type cacheShard struct {
	mu         sync.RWMutex
	entries    map[string]*cacheEntry
	ring       []*cacheEntry // the clock
	hand       int
	bytes      int
	maxEntries int
	maxBytes   int

	hits, misses, evictions atomic.Uint64
	_                       [64]byte // the next part's lock has its own cache line
}

type cacheEntry struct {
	key  string
	st   *Statement // nil: the norm can't be read with its literals lifted, see Cache.Statement
	cost int
	used atomic.Bool
}

// NewCache returns a Cache of at most maxEntries statements and about maxBytes of memory, both at least 1.
func NewCache(maxEntries, maxBytes int) *Cache {
	c := &Cache{seed: maphash.MakeSeed()}
	for i := range c.shards {
		s := &c.shards[i]
		s.entries = make(map[string]*cacheEntry)
		s.maxEntries = max(1, maxEntries/cacheShards)
		s.maxBytes = max(1, maxBytes/cacheShards)
	}
	return c
}

// Statement returns the statement of the text that d has scanned last. Where the grammar wants a literal and the norm
// has a ?, it scans the text again with its literals kept, so that d.Norm and d.Args are those of the returned
// Statement: read them after this call, not before. The text must still be as it was when it was scanned.
func (c *Cache) Statement(d *Digest) *Statement {
	st := c.lookup(d)
	if st == nil {
		d.Rescan()
		st = c.lookup(d) // never nil, now that the literals are kept
	}
	return st
}

// lookup returns the statement of d's norm, or nil when its literals must be kept.
func (c *Cache) lookup(d *Digest) *Statement {
	key := d.Key()
	s := &c.shards[maphash.Bytes(c.seed, key)%cacheShards]
	s.mu.RLock()
	e := s.entries[string(key)]
	s.mu.RUnlock()
	if e != nil {
		s.hits.Add(1)
		if !e.used.Load() {
			e.used.Store(true)
		}
		if e.st == nil && d.Exact() {
			return Parse(string(d.Norm), d.Mode)
		}
		return e.st
	}
	s.misses.Add(1)
	text := string(key)
	st := Parse(text[:len(d.Norm)], d.Mode) // of the key's memory: the Statement keeps its norm
	if st.Kind == Unparsed && !d.Exact() && d.Lifted() {
		st = nil
	}
	if len(key) <= maxCachedNorm {
		s.add(&cacheEntry{key: text, st: st, cost: len(key)*statementCost + entryCost})
	}
	return st
}

// add puts an entry in, and takes others out until the limits hold.
func (s *cacheShard) add(e *cacheEntry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.entries[e.key] != nil || e.cost > s.maxBytes {
		return
	}
	for len(s.ring) > 0 && (len(s.ring) >= s.maxEntries || s.bytes+e.cost > s.maxBytes) {
		s.evict()
	}
	s.entries[e.key] = e
	s.ring = append(s.ring, e)
	s.bytes += e.cost
}

// evict takes out the first entry from the clock's hand on that wasn't used since the hand passed it last.
func (s *cacheShard) evict() {
	for {
		if s.hand >= len(s.ring) {
			s.hand = 0
		}
		e := s.ring[s.hand]
		if e.used.Swap(false) {
			s.hand++
			continue
		}
		last := len(s.ring) - 1
		s.ring[s.hand] = s.ring[last]
		s.ring[last] = nil
		s.ring = s.ring[:last]
		delete(s.entries, e.key)
		s.bytes -= e.cost
		s.evictions.Add(1)
		return
	}
}

// Counts are a Cache's counters: lookups since its start, and what it holds now.
type Counts struct {
	Hits, Misses, Evictions uint64
	Entries, Bytes          int
}

// Counts returns the counters.
func (c *Cache) Counts() Counts {
	var n Counts
	for i := range c.shards {
		s := &c.shards[i]
		n.Hits += s.hits.Load()
		n.Misses += s.misses.Load()
		n.Evictions += s.evictions.Load()
		s.mu.RLock()
		n.Entries += len(s.entries)
		n.Bytes += s.bytes
		s.mu.RUnlock()
	}
	return n
}
