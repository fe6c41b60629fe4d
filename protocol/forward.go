package protocol

// Forward relays the reply to one command from the server connection c to the
// client connection dst, and sums it up. Packets are not decoded but scanned
// where they lie in c's read buffer; their sequence ids become dst's, and
// runs of them are copied at once. What differs by CapDeprecateEOF or
// CapSessionTrack is translated. Memory is bounded by the two buffers,
// whatever the size of a row, except for OK and ERR packets, which are held
// whole. What is relayed is sent when dst's buffer is full; the caller
// flushes dst at the end.
//
// A nil dst reads past the reply; a nil r is the zero Relay.
//
// A server that asks for a file of the client's gets it with Relay.LocalFile
// alone: then dst is flushed and the file's packets go from it to c. Otherwise
// nothing of it reaches the client, and the error is one of the server's side.
//
// The error is a *SideError. After SideServer, c is of no more use; if the
// reply had not begun to reach the client (Reply.FirstByte), dst is as it was
// before. After SideClient neither is.
func (c *Conn) Forward(dst *Conn, kind ReplyKind, r *Relay) (Reply, error) {
	f := forward{src: c, dst: dst, pos: c.r}
	if r != nil {
		f.relay = *r
	}
	var before uint64
	var n int
	if dst != nil {
		before, n, f.seq = dst.BytesOut, dst.n, dst.seq
	}
	c.beginReply()
	err := f.run(kind)
	if err == nil {
		err = f.emit()
	}
	if dst != nil {
		sent := dst.BytesOut - before
		f.reply.FirstByte = sent > uint64(n)
		if err != nil {
			if f.reply.FirstByte {
				f.reply.Broken = f.cut
			} else if !dst.lost {
				dst.n, dst.seq = n-int(sent), f.seq
			}
		}
	}
	if err != nil {
		c.lost = true
		return f.reply, err
	}
	c.Idle()
	return f.reply, nil
}

// beginReply makes the sequence id the one that the next reply begins with.
func (c *Conn) beginReply() {
	if len(c.replies) > 0 {
		c.seq = c.replies[0]
		c.replies = append(c.replies[:0], c.replies[1:]...)
	}
}

// forward is one call of Forward.
type forward struct {
	src, dst *Conn
	relay    Relay
	reply    Reply
	pos      int   // src.in[src.r:pos] is dst's, not yet copied
	cut      bool  // what dst has got ends inside a payload
	begun    bool  // the reply's first packet has been dealt with
	seq      uint8 // dst's at the beginning
}

func (f *forward) server(err error) error {
	return &SideError{Side: SideServer, Err: unexpected(err)}
}

func (f *forward) run(kind ReplyKind) error {
	switch kind {
	case ReplyFetch, ReplyFieldList:
		_, err := f.rows(kind == ReplyFetch)
		return err
	case ReplySimple, ReplyString:
		return f.single(kind)
	case ReplyQuery:
	}
	return f.results()
}

// results relays what answers a query.
func (f *forward) results() error {
	for more := true; more; f.begun = true {
		n, first, err := f.next()
		if err != nil {
			return err
		}
		switch first {
		case headerOK:
			more, err = f.finish(n, headerOK)
		case headerERR:
			return f.fail(n)
		case headerLocal:
			more, err = true, f.local(n)
		default:
			more, err = f.resultSet(n)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (f *forward) single(kind ReplyKind) error {
	n, first, err := f.next()
	if err != nil {
		return err
	}
	switch {
	case first == headerERR:
		return f.fail(n)
	case kind == ReplyString:
		return f.pass(n)
	case first == headerOK, first == headerEOF:
		_, err = f.finish(n, first)
		return err
	}
	return f.server(malformed("a reply that begins with 0x%02x where OK or ERR was due", first))
}

func (f *forward) resultSet(n int) (more bool, err error) {
	if n > 9 {
		return false, f.server(malformed("a column count of %d bytes", n))
	}
	if err := f.need(headerSize + n); err != nil {
		return false, err
	}
	columns, size := LenInt(f.src.in[f.pos+headerSize : f.pos+headerSize+n])
	if size != n || columns == 0 || columns > 0xffff {
		return false, f.server(malformed("a column count of %d in %d bytes", columns, n))
	}
	f.reply.ResultSets++
	f.begun = true
	if err := f.pass(n); err != nil {
		return false, err
	}
	translates := f.translates()
	for range columns {
		n, first, err := f.next()
		if err != nil {
			return false, err
		}
		switch first {
		case headerERR:
			return false, f.fail(n)
		case headerEOF:
			return false, f.server(malformed("an EOF packet where a column definition was due"))
		}
		if translates {
			err = f.definition(n)
		} else {
			err = f.pass(n)
		}
		if err != nil {
			return false, err
		}
	}
	if ended, more, err := f.columnsEnd(); ended || err != nil {
		return more, err
	}
	return f.rows(true)
}

// columnsEnd translates the EOF packet between columns and rows, which only
// peers without CapDeprecateEOF send and expect. A result that a cursor holds
// ends there.
func (f *forward) columnsEnd() (ended, more bool, err error) {
	from, to := f.src.caps.Has(CapDeprecateEOF), f.dst == nil || f.dst.caps.Has(CapDeprecateEOF)
	if from && to {
		return false, false, nil
	}
	n, first, err := f.next()
	if err != nil {
		return false, false, err
	}
	if first == headerERR && !from {
		return true, false, f.fail(n)
	}
	if from {
		// The packet found comes after that EOF packet; it is looked at again.
		if first == headerEOF && n < maxChunk {
			cursor, err := f.cursorExists(n)
			if err != nil {
				return false, false, err
			}
			if cursor {
				more, err = f.finish(n, headerEOF)
				return true, more, err
			}
		}
		f.src.seq-- // next will see the packet again
		if err := f.emit(); err != nil {
			return false, false, err
		}
		status := f.src.status &^ (StatusMoreResults | StatusCursorExists | StatusLastRowSent)
		return false, false, f.client(f.dst.writeColumnsEnd(f.rewrite(status), 0))
	}
	if first != headerEOF || n >= 9 {
		return false, false, f.server(malformed("0x%02x where the end of the column definitions was due", first))
	}
	p, _, err := f.peek(n)
	if err != nil {
		return false, false, err
	}
	o, err := f.parse(p, headerEOF)
	if err != nil {
		return false, false, err
	}
	switch {
	case o.status.Has(StatusCursorExists):
		more, err = f.finish(n, headerEOF)
		return true, more, err
	case to:
		return false, false, f.drop(n)
	}
	f.setStatus(headerSize+o.statusAt, f.rewrite(o.status))
	return false, false, f.pass(n)
}

// cursorExists says whether the OK packet at pos tells of a cursor.
func (f *forward) cursorExists(n int) (bool, error) {
	head := min(n, 1+9+9+2)
	if err := f.need(headerSize + head); err != nil {
		return false, err
	}
	d := decoder{p: f.src.in[f.pos+headerSize : f.pos+headerSize+head]}
	d.byte()
	d.LenInt()
	d.LenInt()
	status := Status(d.uint16())
	return status.Has(StatusCursorExists), nil
}

// rows relays rows or column definitions up to the packet that ends them.
func (f *forward) rows(count bool) (more bool, err error) {
	translates := !count && f.translates()
	limit := 9
	if f.src.caps.Has(CapDeprecateEOF) {
		limit = maxChunk
	}
	for {
		n, first, err := f.next()
		if err != nil {
			return false, err
		}
		// A row begins with 0xfe where its first text has 16 MiB at least.
		switch {
		case first == headerEOF && n < limit:
			return f.finish(n, headerEOF)
		case first == headerERR:
			return false, f.fail(n)
		}
		f.begun = true
		if translates {
			err = f.definition(n)
		} else {
			err = f.pass(n)
		}
		if err != nil {
			return false, err
		}
		if count {
			f.reply.Rows++
		}
	}
}

// finish relays an OK packet, or one that ends rows, and says whether another
// result follows.
func (f *forward) finish(n int, header byte) (more bool, err error) {
	p, inPlace, err := f.peek(n)
	if err != nil {
		return false, err
	}
	o, err := f.parse(p, header)
	if err != nil {
		return false, err
	}
	f.src.status = o.status
	f.reply.Status, f.reply.Warnings = o.status, o.warnings
	f.reply.AffectedRows, f.reply.InsertID = o.affected, o.insertID
	f.reply.Records = firstNumber(o.info)
	if len(o.track) > 0 {
		if f.reply.Changes, err = appendChanges(f.reply.Changes, o.track); err != nil {
			return false, f.server(err)
		}
	}
	more = o.status.Has(StatusMoreResults)
	if f.dst == nil {
		f.reply.Info = string(o.info)
		return more, f.drop(n)
	}
	same := header == headerOK || f.src.caps&CapDeprecateEOF == f.dst.caps&CapDeprecateEOF
	if len(o.track) > 0 {
		if f.dst.caps.Has(CapSessionTrack) {
			kept := f.relay.filter(o.track)
			same = same && len(kept) == len(o.track)
			o.track = kept
		} else {
			same, o.track = false, nil
		}
	} else if o.status.Has(StatusSessionStateChanged) { // MariaDB, of nothing: the packet still has a place for it
		same = false
		o.status &^= StatusSessionStateChanged
	}
	o.status = f.rewrite(o.status)
	if same && inPlace {
		f.setStatus(headerSize+o.statusAt, o.status)
		return more, f.pass(n)
	}
	if err := f.emit(); err != nil {
		return false, err
	}
	if header == headerOK || f.dst.caps.Has(CapDeprecateEOF) {
		err = f.dst.writeOK(header, &o)
	} else {
		err = f.dst.WriteEOF(o.status, o.warnings)
	}
	if err != nil {
		return false, f.client(err)
	}
	return more, f.drop(n)
}

// fail relays the ERR packet that ends a reply.
func (f *forward) fail(n int) error {
	p, inPlace, err := f.peek(n)
	if err != nil {
		return err
	}
	if f.reply.Err, err = decodeError(p); err != nil {
		return f.server(err)
	}
	if !f.begun && f.relay.HoldError != nil && f.relay.HoldError(f.reply.Err) {
		f.reply.Held = true
		return f.drop(n)
	}
	if f.dst == nil {
		return f.drop(n)
	}
	late := f.reply.Err
	if f.begun && f.relay.LateError != nil {
		late = f.relay.LateError(late)
	}
	if inPlace && late == f.reply.Err {
		return f.pass(n)
	}
	if err := f.emit(); err != nil {
		return err
	}
	if late == f.reply.Err {
		err = f.dst.WritePacket(p)
	} else {
		f.reply.Err = late
		err = f.dst.WriteError(late)
	}
	if err != nil {
		return f.client(err)
	}
	return f.drop(n)
}

// firstNumber is the first number in a text, 0 when it has none.
func firstNumber(text []byte) (n uint64) {
	for i, c := range text {
		if c >= '0' && c <= '9' {
			n = n*10 + uint64(c-'0')
		} else if i > 0 && text[i-1] >= '0' && text[i-1] <= '9' {
			break
		}
	}
	return n
}
