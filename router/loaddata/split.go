package loaddata

import (
	"bytes"
	"fmt"
)

// Row is one row of a file. Raw is the row with what ends it, Key the field that places it, unescaped; both are valid
// until the next Write.
type Row struct {
	Raw, Key []byte
	Null     bool // the key is NULL
	Missing  bool // the row has fewer fields
}

// Splitter takes a file apart. The zero value isn't ready; see NewSplitter.
type Splitter struct {
	f      Format
	fields int // of a row
	key    int // which of them is the key
	limit  int // of a row in bytes

	buf   []byte
	at    int // buf[:at] has been given out
	wants int // look again when so many bytes are there, or at the end
	skip  int // lines to skip yet
	field []byte
	rows  uint64
}

// NewSplitter returns a Splitter of rows of so many fields, of which key counts from 0 and is the one that places a row;
// below 0 no field is. A row of more than limit bytes is an error.
func NewSplitter(f Format, fields, key, limit int) *Splitter {
	return &Splitter{f: f, fields: fields, key: key, limit: limit, skip: f.Skip}
}

// Write takes the next part of the file, which it copies.
func (s *Splitter) Write(p []byte) (int, error) {
	if s.at > 0 {
		s.buf = s.buf[:copy(s.buf, s.buf[s.at:])]
		s.at = 0
	}
	s.buf = append(s.buf, p...)
	return len(p), nil
}

// Rows is how many rows it has given out.
func (s *Splitter) Rows() uint64 { return s.rows }

// Head gives the lines that the statement skips, in parts: all have to be taken before the first Row. done says that
// there are no more; without it more of the file has to be written first, unless last says that there is no more.
func (s *Splitter) Head(last bool) (raw []byte, done bool) {
	if s.skip == 0 {
		return nil, true
	}
	from := s.at
	for s.skip > 0 {
		n := s.restOfLine(s.buf[s.at:], last)
		if n < 0 {
			break
		}
		s.at += n
		s.skip--
		if n == 0 || last && s.at == len(s.buf) {
			s.skip = 0
		}
	}
	return s.buf[from:s.at], s.skip == 0
}

// Next gives the next row. Without one, more of the file has to be written first; when last says that there is no more,
// the file is at its end.
func (s *Splitter) Next(last bool) (row Row, ok bool, err error) {
	p := s.buf[s.at:]
	if len(p) == 0 || len(p) < s.wants && !last {
		return Row{}, false, nil
	}
	row, n := s.row(p, last)
	if n < 0 {
		if len(p) > s.limit {
			return Row{}, false, fmt.Errorf("row %d is larger than the limit of %d bytes", s.rows+1, s.limit)
		}
		s.wants = 2 * len(p) // so that a long row isn't read from its beginning each time
		return Row{}, false, nil
	}
	s.wants = 0
	s.at += n
	s.rows++
	row.Raw = p[:n]
	return row, true, nil
}

// row reads a row and returns its length, -1 if p ends before it.
func (s *Splitter) row(p []byte, last bool) (row Row, n int) {
	row.Missing = s.key >= 0
	for i := range s.fields {
		if i > 0 && last && n == len(p) {
			return row, n
		}
		length, line, null, enclosed := s.one(p[n:], last)
		if length < 0 {
			return row, -1
		}
		n += length
		if i == s.key {
			row.Missing = false
			row.Key = append([]byte(nil), s.field...)
			row.Null = null && len(s.field) == 1 || !enclosed && s.f.Enclosed >= 0 && string(s.field) == "NULL"
		}
		if line {
			return row, n
		}
	}
	// Fields that nobody asked for are read past up to the end of the line, whatever is in them.
	rest := s.restOfLine(p[n:], last)
	if rest < 0 {
		return row, -1
	}
	return row, n + rest
}

// one reads a field into s.field, and returns its length with what ends it, -1 if p ends before; line says that the
// line has ended as well, null that the field has an escaped N, enclosed that it stood in quotes.
func (s *Splitter) one(p []byte, last bool) (n int, line, null, enclosed bool) {
	s.field = s.field[:0]
	quote := -1
	i := 0
	if len(p) > 0 && s.f.Enclosed >= 0 && int(p[0]) == s.f.Enclosed {
		quote = s.f.Enclosed
		s.field = append(s.field, p[0])
		i++
	}
	for i < len(p) {
		c := p[i]
		if s.f.Escaped >= 0 && int(c) == s.f.Escaped {
			if i+1 == len(p) {
				if !last {
					return -1, false, false, false
				}
				s.field = append(s.field, c)
				i++
				break
			}
			if s.f.Escaped != s.f.Enclosed || int(p[i+1]) == s.f.Escaped {
				if p[i+1] == 'N' {
					null = true
				}
				s.field = append(s.field, unescape(p[i+1]))
				i += 2
				continue
			}
		}
		if quote < 0 {
			if n, part := s.ends(p[i:], s.f.LineEnd, last); part {
				return -1, false, false, false
			} else if n > 0 {
				return i + n, true, null, false
			}
		}
		switch {
		case quote >= 0 && int(c) == quote:
			if i+1 == len(p) && !last {
				return -1, false, false, false
			}
			if i+1 < len(p) && int(p[i+1]) == quote {
				s.field = append(s.field, c)
				i += 2
				continue
			}
			if i+1 == len(p) {
				s.field = s.field[1:]
				return i + 1, true, null, true
			}
			lineEnd, part1 := s.ends(p[i+1:], s.f.LineEnd, last)
			fieldEnd, part2 := s.ends(p[i+1:], s.f.FieldEnd, last)
			switch {
			case lineEnd > 0:
				s.field = s.field[1:]
				return i + 1 + lineEnd, true, null, true
			case part1:
				return -1, false, false, false
			case fieldEnd > 0:
				s.field = s.field[1:]
				return i + 1 + fieldEnd, false, null, true
			case part2:
				return -1, false, false, false
			}
		case quote < 0:
			if n, part := s.ends(p[i:], s.f.FieldEnd, last); part {
				return -1, false, false, false
			} else if n > 0 {
				return i + n, false, null, false
			}
		}
		s.field = append(s.field, c)
		i++
	}
	if !last {
		return -1, false, false, false
	}
	return i, true, null, false
}

// ends says how long the mark at the front of p is, 0 if it isn't there; part says that p is too short to tell.
func (s *Splitter) ends(p []byte, mark string, last bool) (n int, part bool) {
	if p[0] != mark[0] {
		return 0, false
	}
	if len(p) >= len(mark) {
		if string(p[:len(mark)]) == mark {
			return len(mark), false
		}
		return 0, false
	}
	return 0, !last && bytes.HasPrefix([]byte(mark), p)
}

// restOfLine is the length of p up to the end of the line, with what ends it; -1 if p ends before.
func (s *Splitter) restOfLine(p []byte, last bool) int {
	for i := 0; i < len(p); i++ {
		if s.f.Escaped >= 0 && int(p[i]) == s.f.Escaped {
			if i+1 == len(p) && !last {
				return -1
			}
			i++
			continue
		}
		n, part := s.ends(p[i:], s.f.LineEnd, last)
		if part {
			return -1
		}
		if n > 0 {
			return i + n
		}
	}
	if !last {
		return -1
	}
	return len(p)
}
