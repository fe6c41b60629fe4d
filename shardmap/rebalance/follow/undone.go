package follow

// A server's log has what a transaction did and then undid, where the transaction has also changed what can't be undone,
// or has used temporary tables; else it leaves that out itself. The tables that are followed have transactions, so these
// rows haven't changed.

// savepoint notes how many keys there were at a SAVEPOINT.
func (o *open) savepoint() {
	o.point = make(map[*followed]int, len(o.keys))
	for f, set := range o.keys {
		o.point[f] = len(set.list)
	}
}

// rollbackTo forgets the keys of what was undone since the last SAVEPOINT. The one that is named may be an earlier one:
// it isn't looked for, since which names are one is for the server to say, and a key too many does no harm.
func (o *open) rollbackTo() {
	if o.point == nil {
		return
	}
	for f, set := range o.keys {
		n := o.point[f]
		for _, key := range set.list[n:] {
			delete(set.seen, key)
			o.bytes -= len(key)
		}
		set.list = set.list[:n]
	}
}

// rollback forgets all keys.
func (o *open) rollback() { o.keys, o.bytes = map[*followed]*keySet{}, 0 }
