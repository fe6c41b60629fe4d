package loaddata

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"shardway/protocol"
	"shardway/shardmap"
)

// ahead is how many bytes of a file are looked at before any of it goes to a shard.
const ahead = 8 << 20

// Target is the table that a file is loaded into.
type Target struct {
	Table   *shardmap.Table   // sharded, or a reference table
	Shards  []*shardmap.Shard // those that have it
	Columns []string          // all of them, in order
	Unusual string            // one that a file without a column list doesn't simply have, "" for none
	Charset string            // character_set_database, lower case
}

// Loader reads a client's file and says of each part of it for which shard it is. It is the file, as a Reader, for the
// one shard of its rows.
type Loader struct {
	Statement *Statement
	File      io.Reader // set before the first use
	Whole     bool      // all of it has to be looked at before any of it is sent

	First   *shardmap.Shard // of the rows looked at
	Several bool            // they are on more than one

	to     Target
	utf8   bool
	split  *Splitter
	in     []byte
	last   bool // the file has been read
	headed bool // its head has been given out

	taken  []byte // what has been looked at, in order
	parts  []part // of taken
	out    []byte // what Read gives next
	failed error  // and then
}

// part says whose the bytes of Loader.taken are up to end; nil is everybody's.
type part struct {
	shard *shardmap.Shard
	end   int
}

// NewLoader reads the statement's text. Its error is an *protocol.Error that says what can't be split.
func NewLoader(sql string, mode Mode, to Target) (*Loader, error) {
	l := &Loader{to: to, in: make([]byte, 64<<10)}
	st, err := Parse(sql, mode)
	if err != nil {
		return nil, l.Refuse(err.Error())
	}
	l.Statement = st
	charset := st.Format.Charset
	if charset == "" {
		charset = to.Charset
	}
	if !singleBytes(charset) {
		return nil, l.Refuse("a file in " + charset + " can't be split; give CHARACTER SET utf8mb4 and such a file")
	}
	l.utf8 = strings.HasPrefix(charset, "utf8") || charset == "binary"
	fields := st.Fields
	if fields == nil {
		if to.Unusual != "" {
			return nil, l.Refuse("without a column list it depends on the column " + to.Unusual + ", which is generated or invisible; list the columns")
		}
		fields = to.Columns
	}
	key := -1
	if name := to.Table.Key; !to.Table.Reference {
		is := func(column string) bool { return strings.EqualFold(column, name) }
		key = slices.IndexFunc(fields, is)
		switch {
		case key < 0:
			return nil, l.Refuse("no field of the file goes to the key " + name + ", which decides a row's shard")
		case slices.ContainsFunc(fields[key+1:], is):
			return nil, l.Refuse("two fields go to the key " + name)
		case slices.ContainsFunc(st.Sets, is):
			return nil, l.Refuse("SET computes the key " + name + ", which decides a row's shard; have it in the file")
		}
	}
	if name := to.Table.Sequence; name != "" {
		is := func(column string) bool { return strings.EqualFold(column, name) }
		if !slices.ContainsFunc(fields, is) && !slices.ContainsFunc(st.Sets, is) {
			return nil, l.Refuse("no field of the file goes to " + name + ", and the sequence numbers the rows of INSERT alone; have the numbers in the file")
		}
	}
	l.split = NewSplitter(st.Format, len(fields), key, ahead)
	return l, nil
}

// Refuse is the error of a file that isn't loaded.
func (l *Loader) Refuse(why string) *protocol.Error {
	return protocol.Errorf(1235, "42000", "shardway: LOAD DATA LOCAL into %s.%s: %s", l.to.Table.Database.Name, l.to.Table.Name, why)
}

// next gives the next part of the file, nil for the head that is everybody's. It is valid until the next call; the
// error is io.EOF at the end.
func (l *Loader) next() (*shardmap.Shard, []byte, error) {
	for {
		if !l.headed {
			raw, done := l.split.Head(l.last)
			l.headed = done
			if len(raw) > 0 {
				return nil, raw, nil
			}
		}
		if l.headed {
			row, ok, err := l.split.Next(l.last)
			switch {
			case err != nil:
				return nil, nil, l.Refuse(err.Error())
			case ok:
				shard, err := l.locate(&row)
				if err != nil {
					return nil, nil, err
				}
				return shard, row.Raw, nil
			}
		}
		if l.last {
			return nil, nil, io.EOF
		}
		n, err := l.File.Read(l.in)
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, nil, err
		}
		l.last = err != nil
		_, _ = l.split.Write(l.in[:n]) // it only copies
	}
}

// locate says where a row belongs. LOCAL makes the server store the nearest value of what a column can't hold.
func (l *Loader) locate(row *Row) (*shardmap.Shard, error) {
	if l.to.Table.Reference {
		return nil, nil
	}
	n, key := l.split.Rows(), l.to.Table.Key
	switch {
	case row.Missing:
		return nil, l.Refuse(fmt.Sprintf("row %d ends before its key %s", n, key))
	case row.Null:
		return nil, l.Refuse(fmt.Sprintf("row %d has NULL for the key %s", n, key))
	case strings.EqualFold(l.to.Table.Sequence, key) && len(bytes.Trim(row.Key, "0+- ")) == 0:
		return nil, l.Refuse(fmt.Sprintf("row %d has 0 for the key %s, for which the server may make a number of its own", n, key))
	}
	at := l.to.Table.Locate(shardmap.Value{Kind: shardmap.String, S: row.Key, UTF8: l.utf8}, shardmap.InsertLax)
	if at.Kind != shardmap.Placed {
		return nil, l.Refuse(fmt.Sprintf("row %d has %.60q for the key %s, and what the server would store of that isn't certain; declare key_type in the map, and write the key in its own type", n, row.Key, key))
	}
	return at.Shard, nil
}

// LookAhead looks at the file until it is at its end, or rows of a second shard were found, or it is too long to be
// kept. Rows of more than one shard are an error unless there may be several.
func (l *Loader) LookAhead(several bool) error {
	for len(l.taken) < ahead && !l.Several {
		shard, raw, err := l.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := l.see(shard, several); err != nil {
			return err
		}
		l.taken = append(l.taken, raw...)
		if k := len(l.parts); k > 0 && l.parts[k-1].shard == shard {
			l.parts[k-1].end = len(l.taken)
		} else {
			l.parts = append(l.parts, part{shard, len(l.taken)})
		}
	}
	switch {
	case l.Several:
	case l.Whole:
		return l.Refuse(fmt.Sprintf("in a transaction a file of more than %d MiB can't be looked through before it is loaded; load it outside of one, or in parts", ahead>>20))
	case several:
		l.Several = true // who knows what comes
	}
	return nil
}

// see takes note of whose a row is.
func (l *Loader) see(shard *shardmap.Shard, several bool) error {
	switch {
	case shard == nil || shard == l.First:
	case l.First == nil:
		l.First = shard
	case several:
		l.Several = true
	default:
		return l.Refuse(fmt.Sprintf("row %d belongs to shard %s and the rows before it to %s, and transactions over several shards are forbidden (transactions.cross_shard); "+
			"load a file for each shard", l.split.Rows(), shard.ID, l.First.ID))
	}
	return nil
}

// Read gives the file for the one shard of its rows. A row of another one is its error, which undoes the statement.
func (l *Loader) Read(p []byte) (int, error) {
	if len(l.taken) > 0 {
		n := copy(p, l.taken)
		l.taken = l.taken[n:]
		return n, nil
	}
	n := 0
	for n < len(p) {
		if len(l.out) == 0 {
			if l.failed != nil {
				break
			}
			var shard *shardmap.Shard
			if shard, l.out, l.failed = l.next(); l.failed == nil {
				l.failed = l.see(shard, false)
			}
			if l.failed != nil {
				l.out = nil
				break
			}
		}
		k := copy(p[n:], l.out)
		l.out = l.out[k:]
		n += k
	}
	if n == 0 {
		return 0, l.failed
	}
	return n, nil
}

// Feed gives each shard its part of the file.
func (l *Loader) Feed(to []io.Writer) error {
	write := func(shard *shardmap.Shard, raw []byte) error {
		for i, sh := range l.to.Shards {
			if shard != nil && sh != shard {
				continue
			}
			if _, err := to[i].Write(raw); err != nil {
				return err
			}
		}
		return nil
	}
	from := 0
	for _, p := range l.parts {
		if err := write(p.shard, l.taken[from:p.end]); err != nil {
			return err
		}
		from = p.end
	}
	l.taken, l.parts = nil, nil
	for {
		shard, raw, err := l.next()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
		if err := write(shard, raw); err != nil {
			return err
		}
	}
}
