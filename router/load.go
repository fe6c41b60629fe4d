package router

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"shardway/protocol"
	"shardway/router/exec"
	"shardway/router/loaddata"
	"shardway/router/plan"
	"shardway/shardmap"
)

// loadAhead is how many bytes of a file are looked at before any of it goes to a shard.
const loadAhead = 8 << 20

// load is LOAD DATA LOCAL into a table on several shards. The rows of one shard go there as any statement does; rows of
// several go there only where the session has said that they needn't be stored all or none.
func (s *session) load(ctx context.Context, o *Options, t *text, p *plan.Load) error {
	if !s.conn.Capabilities().Has(protocol.CapLocalFiles) {
		return s.noLocalFiles(o)
	}
	if s.facts.TxReadOnly {
		return s.readOnlyError(o)
	}
	// Reading the file takes the place of the text in memory.
	own := *t
	own.sql = bytes.Clone(t.sql)
	l, err := s.loader(ctx, &own, p)
	if err != nil {
		return err
	}
	unsafe := s.crossShard == "unsafe"
	switch single := !s.x.InTransaction() && s.x.Autocommit(); {
	case p.Table.Reference && !unsafe:
		return l.refuse("it writes every shard's copy, which isn't all or none; SET shardway_cross_shard = 'unsafe' to load it so, or run it on each shard in turn")
	case unsafe && !single:
		if p.Table.Reference {
			return l.refuse("in a transaction it would have to be on every shard; load it outside of one")
		}
		unsafe = false // its rows have to be on the transaction's shard
	case !single:
		l.ahead = true
	case unsafe && s.facts.PinWhy != "":
		return l.refuse("it goes to several shards, and this session keeps a connection for its " + s.facts.PinWhy + "; end that first, or load the file on another connection")
	}
	if l.file, err = s.conn.AskFile(l.st.File); err != nil {
		return err
	}
	s.show([]byte("LOAD DATA LOCAL"))
	err = s.loadFile(ctx, o, &own, l, unsafe)
	// The client sends its file to the end, whatever becomes of it.
	if e, ok := errors.AsType[*protocol.Error](err); ok {
		if err := l.file.Drain(); err != nil {
			return err
		}
		return e
	}
	return err
}

func (s *session) loadFile(ctx context.Context, o *Options, t *text, l *loader, unsafe bool) error {
	if l.table.Reference {
		return s.loadParts(ctx, o, t, l)
	}
	if err := l.lookAhead(unsafe); err != nil {
		return err
	}
	if l.several {
		return s.loadParts(ctx, o, t, l)
	}
	shard := l.first
	if shard == nil {
		shard = l.shards[0] // a file without rows
	}
	if tx := s.facts.TxShard; tx != "" && tx != shard.ID && l.first != nil {
		return l.refuse("its rows belong to shard " + shard.ID + ", but this transaction is on " + tx + "; commit first")
	} else if tx != "" && l.first == nil {
		if own := slices.IndexFunc(l.shards, func(sh *shardmap.Shard) bool { return sh.ID == tx }); own >= 0 {
			shard = l.shards[own]
		}
	}
	t.file = l
	err := s.runOne(ctx, o, t, &plan.One{Shard: shard, Role: plan.Primary})
	if err == nil {
		err = l.file.Drain() // a server that answers early hasn't read it all
	}
	return err
}

// loadParts loads the rows of each shard there, all shards at a time, and answers with the sums.
func (s *session) loadParts(ctx context.Context, o *Options, t *text, l *loader) error {
	ids := make([]string, len(l.shards))
	for i, sh := range l.shards {
		ids[i] = sh.ID
	}
	s.event.Shard, s.event.Role = strings.Join(ids, ","), exec.Primary.String()
	r := exec.Request{
		Command: protocol.ComQuery, Payload: t.sql, Reply: protocol.ReplyQuery, Role: exec.Primary, LocalFile: t.sql, Timeout: o.QueryTimeout,
	}
	sum, err := s.x.Load(ctx, &r, ids, l.table.Reference, l.feed)
	s.refused, s.warnings, s.affected = nil, nil, -1
	if err != nil {
		if e, ok := errors.AsType[*protocol.Error](err); ok {
			s.event.Outcome, s.event.Code = OutcomeError, e.Code
			e.Message = fmt.Sprintf("shardway: LOAD DATA on shards %s: %s; rows of other shards may be stored", strings.Join(ids, ", "), strings.TrimPrefix(e.Message, "shardway: "))
			s.refused = e
		}
		return err
	}
	if err := l.file.Drain(); err != nil {
		return err
	}
	s.warnings, s.affected = sum.Warnings, int64(sum.Affected)
	s.event.Affected = sum.Affected
	return s.conn.WriteOK(protocol.OK{
		AffectedRows: sum.Affected, InsertID: sum.InsertID, Status: s.x.Status(), Info: sum.Info(), Warnings: uint16(min(sum.Warned, 1<<16-1)),
	})
}

// loader reads a client's file and says of each part of it for which shard it is.
type loader struct {
	st     *loaddata.Statement
	table  *shardmap.Table
	shards []*shardmap.Shard
	utf8   bool
	file   *protocol.LocalFile
	split  *loaddata.Splitter
	in     []byte
	last   bool // the file has been read
	headed bool // its head has been given out
	ahead  bool // all of it has to be looked at before any of it is sent

	first   *shardmap.Shard // of the rows looked at
	several bool            // they are on more than one
	taken   []byte          // what has been looked at, in order
	parts   []part          // of taken
	out     []byte          // what Read gives next
	failed  error           // and then
}

// part says whose the bytes of loader.taken are up to end; nil is everybody's.
type part struct {
	shard *shardmap.Shard
	end   int
}

// loader reads the statement, and asks a server what it doesn't say.
func (s *session) loader(ctx context.Context, t *text, p *plan.Load) (*loader, error) {
	l := &loader{table: p.Table, shards: p.Shards, in: make([]byte, 64<<10)}
	mode := strings.ToUpper(s.x.SQLMode())
	st, err := loaddata.Parse(string(t.sql), loaddata.Mode{
		ANSIQuotes: strings.Contains(mode, "ANSI"), NoBackslashEscapes: strings.Contains(mode, "NO_BACKSLASH_ESCAPES"),
	})
	if err != nil {
		return nil, l.refuse(err.Error())
	}
	l.st = st
	facts, err := s.x.AskLoadFacts(ctx, p.Shards[0].ID, p.Table.Database.Name, p.Table.Name)
	if err != nil {
		return nil, err
	}
	charset := st.Format.Charset
	if charset == "" {
		charset = facts.Charset
	}
	if !loaddata.Split(charset) {
		return nil, l.refuse("a file in " + charset + " can't be split; give CHARACTER SET utf8mb4 and such a file")
	}
	l.utf8 = strings.HasPrefix(charset, "utf8") || charset == "binary"
	fields := st.Fields
	if fields == nil {
		if facts.Unusual != "" {
			return nil, l.refuse("without a column list it depends on the column " + facts.Unusual + ", which is generated or invisible; list the columns")
		}
		fields = facts.Columns
	}
	key := -1
	if !p.Table.Reference {
		is := func(column string) bool { return strings.EqualFold(column, p.Table.Key) }
		key = slices.IndexFunc(fields, is)
		switch {
		case key < 0:
			return nil, l.refuse("no field of the file goes to the key " + p.Table.Key + ", which decides a row's shard")
		case slices.ContainsFunc(fields[key+1:], is):
			return nil, l.refuse("two fields go to the key " + p.Table.Key)
		case slices.ContainsFunc(st.Sets, is):
			return nil, l.refuse("SET computes the key " + p.Table.Key + ", which decides a row's shard; have it in the file")
		}
	}
	l.split = loaddata.NewSplitter(st.Format, len(fields), key, loadAhead)
	return l, nil
}

// refuse is the error of a file that isn't loaded.
func (l *loader) refuse(why string) *protocol.Error {
	return protocol.Errorf(1235, "42000", "shardway: LOAD DATA LOCAL into %s.%s: %s", l.table.Database.Name, l.table.Name, why)
}

// next gives the next part of the file, nil for the head that is everybody's. It is valid until the next call; the
// error is io.EOF at the end.
func (l *loader) next() (*shardmap.Shard, []byte, error) {
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
				return nil, nil, l.refuse(err.Error())
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
		n, err := l.file.Read(l.in)
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, nil, err
		}
		l.last = err != nil
		_, _ = l.split.Write(l.in[:n]) // it only copies
	}
}

// locate says where a row belongs. LOCAL makes the server store the nearest value of what a column can't hold.
func (l *loader) locate(row *loaddata.Row) (*shardmap.Shard, error) {
	if l.table.Reference {
		return nil, nil
	}
	n, key := l.split.Rows(), l.table.Key
	switch {
	case row.Missing:
		return nil, l.refuse(fmt.Sprintf("row %d ends before its key %s", n, key))
	case row.Null:
		return nil, l.refuse(fmt.Sprintf("row %d has NULL for the key %s", n, key))
	case strings.EqualFold(l.table.Sequence, key) && len(bytes.Trim(row.Key, "0+- ")) == 0:
		return nil, l.refuse(fmt.Sprintf("row %d has 0 for the key %s, for which the server may make a number of its own", n, key))
	}
	at := l.table.Locate(shardmap.Value{Kind: shardmap.String, S: row.Key, UTF8: l.utf8}, shardmap.InsertLax)
	if at.Kind != shardmap.Placed {
		return nil, l.refuse(fmt.Sprintf("row %d has %.60q for the key %s, and what the server would store of that isn't certain; declare key_type in the map, and write the key in its own type", n, row.Key, key))
	}
	return at.Shard, nil
}

// lookAhead looks at the file until it is at its end, or rows of a second shard were found, or it is too long to be
// kept. Rows of several shards are an error without unsafe.
func (l *loader) lookAhead(unsafe bool) error {
	for len(l.taken) < loadAhead && !l.several {
		shard, raw, err := l.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := l.see(shard, unsafe); err != nil {
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
	case l.several:
	case l.ahead:
		return l.refuse(fmt.Sprintf("in a transaction a file of more than %d MiB can't be looked through before it is loaded; load it outside of one, or in parts", loadAhead>>20))
	case unsafe:
		l.several = true // who knows what comes
	}
	return nil
}

// see takes note of whose a row is.
func (l *loader) see(shard *shardmap.Shard, unsafe bool) error {
	switch {
	case shard == nil || shard == l.first:
	case l.first == nil:
		l.first = shard
	case unsafe:
		l.several = true
	default:
		return l.refuse(fmt.Sprintf("row %d belongs to shard %s and the rows before it to %s, and rows of several shards aren't stored all or none; "+
			"load a file for each shard, or SET shardway_cross_shard = 'unsafe'", l.split.Rows(), shard.ID, l.first.ID))
	}
	return nil
}

// Read gives the file for the one shard of its rows. A row of another one is its error, which undoes the statement.
func (l *loader) Read(p []byte) (int, error) {
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

// feed gives each shard its part of the file.
func (l *loader) feed(to []io.Writer) error {
	write := func(shard *shardmap.Shard, raw []byte) error {
		for i, sh := range l.shards {
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
