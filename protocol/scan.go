package protocol

// What follows scans packets where they lie in the source's buffer. The part
// src.in[src.r:f.pos] has been scanned and belongs to dst as it is.

func (f *forward) client(err error) error {
	if err == nil {
		return nil
	}
	return &SideError{Side: SideClient, Err: err}
}

func (f *forward) rewrite(s Status) Status {
	s = (s | f.relay.SetStatus) &^ f.relay.ClearStatus
	if f.dst != nil {
		s |= f.dst.more
	}
	return s
}

func (f *forward) setStatus(at int, s Status) {
	f.src.in[f.pos+at], f.src.in[f.pos+at+1] = byte(s), byte(s>>8)
}

// emit copies the run of scanned packets to dst.
func (f *forward) emit() error {
	s := f.src
	if f.pos == s.r {
		return nil
	}
	run := s.in[s.r:f.pos]
	s.r = f.pos
	if f.dst == nil {
		return nil
	}
	return f.client(f.dst.write(run))
}

// need makes at least n bytes from pos on unread in the buffer.
func (f *forward) need(n int) error {
	s := f.src
	for s.w-f.pos < n {
		if f.pos+n > bufferSize {
			if err := f.emit(); err != nil {
				return err
			}
			s.w = copy(s.in[:], s.in[s.r:s.w])
			s.r, f.pos = 0, 0
		}
		if s.r == s.w {
			s.r, s.w, f.pos = 0, 0, 0
		}
		if err := s.fill(); err != nil {
			return f.server(err)
		}
	}
	return nil
}

// header looks at the header of the packet at pos, and checks its number.
func (f *forward) header() (n int, err error) {
	if f.src.w-f.pos < headerSize {
		if err := f.need(headerSize); err != nil {
			return 0, err
		}
	}
	s := f.src
	h := s.in[f.pos : f.pos+headerSize]
	n = int(h[0]) | int(h[1])<<8 | int(h[2])<<16
	if s.zip != nil {
		s.seq = h[3]
	} else if h[3] != s.seq {
		number := h[3]
		if err := f.emit(); err != nil {
			return 0, err
		}
		return 0, f.server(s.outOfOrder(n, number))
	}
	s.seq++
	return n, nil
}

// next looks at the packet at pos, which begins a payload, and gives its
// length and first byte.
func (f *forward) next() (n int, first byte, err error) {
	if n, err = f.header(); err != nil {
		return 0, 0, err
	}
	if n == 0 {
		return 0, 0, f.server(malformed("a packet of no bytes in a reply"))
	}
	if f.src.w-f.pos <= headerSize {
		if err := f.need(headerSize + 1); err != nil {
			return 0, 0, err
		}
	}
	return n, f.src.in[f.pos+headerSize], nil
}

// pass gives dst the payload that begins with the packet at pos, which has n
// bytes, and moves pos past it.
func (f *forward) pass(n int) error {
	s := f.src
	for {
		if f.dst != nil {
			s.in[f.pos+3] = f.dst.seq
			f.dst.seq++
		}
		f.pos += headerSize
		if n <= s.w-f.pos {
			f.pos += n
		} else if err := f.stream(n - (s.w - f.pos)); err != nil {
			return err
		}
		if n < maxChunk {
			f.cut = false
			return nil
		}
		f.cut = true
		var err error
		if n, err = f.header(); err != nil {
			return err
		}
	}
}

// stream gives dst all that is in the buffer, and then left bytes more.
func (f *forward) stream(left int) error {
	s := f.src
	f.cut = true
	f.pos = s.w
	for {
		if err := f.emit(); err != nil {
			return err
		}
		if left == 0 {
			return nil
		}
		if err := f.need(1); err != nil {
			return err
		}
		k := min(left, s.w)
		f.pos = k
		left -= k
		if left == 0 {
			f.cut = false
			return nil // the rest of the buffer is scanned before it is copied
		}
	}
}

// peek gives the whole payload of the packet at pos. In place it lies in the
// buffer, at pos; a longer one has been read past already.
func (f *forward) peek(n int) (p []byte, inPlace bool, err error) {
	if headerSize+n <= bufferSize {
		if err := f.need(headerSize + n); err != nil {
			return nil, false, err
		}
		return f.src.in[f.pos+headerSize : f.pos+headerSize+n], true, nil
	}
	if err := f.emit(); err != nil {
		return nil, false, err
	}
	f.src.r += headerSize
	p, err = f.src.readBig(n)
	f.pos = f.src.r
	if err != nil {
		return nil, false, f.server(err)
	}
	return p, false, nil
}

// parse reads an OK packet, or one that ends rows in the source's form.
func (f *forward) parse(p []byte, header byte) (o okPacket, err error) {
	if header == headerEOF && !f.src.caps.Has(CapDeprecateEOF) {
		o, err = parseEOF(p)
	} else {
		o, err = parseOK(p, f.src.caps)
	}
	if err != nil {
		err = f.server(err)
	}
	return o, err
}

// drop keeps the packet at pos, which has n bytes, from dst.
func (f *forward) drop(n int) error {
	if headerSize+n > bufferSize {
		return nil // peek has read past it
	}
	if err := f.need(headerSize + n); err != nil {
		return err
	}
	if err := f.emit(); err != nil {
		return err
	}
	f.pos += headerSize + n
	f.src.r = f.pos
	return nil
}
