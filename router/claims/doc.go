// Package claims knows what the sessions of a proxy use of the map, so that whoever changes the map can wait for them.
//
// A [Claim] is one session's: by which map its statement was planned, or the first one of its open transaction, and which
// moving slots ([shardmap.Move]) these use. A [Registry] has the claims of all sessions: it says which moves are still used
// from before a pause, and which map is the oldest that something runs by. A [Verdict] says whether a statement may go on.
// [Waits] count the statements that wait for slots.
//
// What it guarantees: once a new map is current in [shardmap.Live], a look at all claims misses no statement that was
// planned by an older one and goes on. A session first notes what it uses, then looks whether its map is still current, and
// then whether what it uses waits; the others first change the map and then look at what was noted.
//
// A statement of a map without moves costs two stores to atomics that no other session writes to.
package claims
