package router

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"shardway/protocol"
	"shardway/router/exec"
	"shardway/router/loaddata"
	"shardway/router/plan"
	"shardway/shardmap"
)

// load is LOAD DATA LOCAL into a table on several shards. The rows of one shard go there as any statement does; those of
// several are one transaction over these.
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
	several := s.x.CrossShard() != exec.CrossShardForbid
	switch {
	case p.Table.Reference && !several:
		return l.Refuse("it writes every shard's copy, and transactions over several shards are forbidden (transactions.cross_shard); run it on each shard in turn")
	case !several && (s.x.InTransaction() || !s.x.Autocommit()):
		l.Whole = true
	case p.Table.Reference && s.facts.PinWhy != "":
		return s.loadPinned(l)
	}
	file, err := s.conn.AskFile(l.Statement.File)
	if err != nil {
		return err
	}
	l.File = file
	s.show([]byte("LOAD DATA LOCAL"))
	err = s.loadFile(ctx, o, &own, p, l, file, several)
	// The client sends its file to the end, whatever becomes of it.
	if e, ok := errors.AsType[*protocol.Error](err); ok {
		if err := file.Drain(); err != nil {
			return err
		}
		return e
	}
	return err
}

func (s *session) loadFile(ctx context.Context, o *Options, t *text, p *plan.Load, l *loaddata.Loader, file *protocol.LocalFile, several bool) error {
	if p.Table.Reference {
		return s.loadParts(ctx, o, t, p, l, file)
	}
	if err := l.LookAhead(several); err != nil {
		return err
	}
	switch {
	case l.Several && s.facts.PinWhy != "":
		return s.loadPinned(l)
	case l.Several:
		return s.loadParts(ctx, o, t, p, l, file)
	}
	shard := l.First
	if shard == nil {
		shard = p.Shards[0] // a file without rows
	}
	if tx := s.facts.TxShards; len(tx) > 0 && !slices.Contains(tx, shard.ID) && l.First != nil && s.facts.OneShard {
		return l.Refuse("its rows belong to shard " + shard.ID + ", but this transaction is on " + tx[0] + "; commit first")
	} else if len(tx) > 0 && l.First == nil {
		if own := slices.IndexFunc(p.Shards, func(sh *shardmap.Shard) bool { return sh.ID == tx[0] }); own >= 0 {
			shard = p.Shards[own]
		}
	}
	t.file = l
	err := s.runOne(ctx, o, t, &plan.One{Shard: shard, Role: plan.Primary})
	if err == nil {
		err = file.Drain() // a server that answers early hasn't read it all
	}
	return err
}

// loadPinned refuses rows of several shards where one connection has state that the others haven't.
func (s *session) loadPinned(l *loaddata.Loader) error {
	return l.Refuse("it goes to several shards, and this session keeps a connection for its " + s.facts.PinWhy + "; end that first, or load the file on another connection")
}

// loadParts loads the rows of each shard there, all shards at a time, and answers with the sums.
func (s *session) loadParts(ctx context.Context, o *Options, t *text, p *plan.Load, l *loaddata.Loader, file *protocol.LocalFile) error {
	ids := make([]string, len(p.Shards))
	for i, sh := range p.Shards {
		ids[i] = sh.ID
	}
	s.event.Shard, s.event.Role = strings.Join(ids, ","), exec.Primary.String()
	r := exec.Request{
		Command: protocol.ComQuery, Payload: t.sql, Reply: protocol.ReplyQuery, Role: exec.Primary, LocalFile: t.sql, Timeout: o.QueryTimeout,
	}
	var sum *exec.Loaded
	err := s.x.Atomically(ctx, false, func() (err error) {
		sum, err = s.x.Load(ctx, &r, ids, p.Table.Reference, l.Feed)
		return err
	})
	if err != nil {
		if e, ok := errors.AsType[*protocol.Error](err); ok {
			stored := "no row is stored"
			if s.x.CrossShard() == exec.CrossShardUnsafe {
				stored = "rows of other shards may be stored"
			}
			e.Message = fmt.Sprintf("shardway: LOAD DATA on shards %s: %s; %s", strings.Join(ids, ", "), strings.TrimPrefix(e.Message, "shardway: "), stored)
		}
		return s.ranText(t, &exec.Outcome{}, err)
	}
	if err := file.Drain(); err != nil {
		return err
	}
	out, err := s.x.Answer(protocol.OK{AffectedRows: sum.Affected, InsertID: sum.InsertID, Info: sum.Info(), Warnings: uint16(min(sum.Warned, 1<<16-1))})
	out.Warnings = sum.Warnings
	return s.ranText(t, &out, err)
}

// loader reads the statement, and asks a server what it doesn't say.
func (s *session) loader(ctx context.Context, t *text, p *plan.Load) (*loaddata.Loader, error) {
	facts, err := s.x.AskLoadFacts(ctx, p.Shards[0].ID, p.Table.Database.Name, p.Table.Name)
	if err != nil {
		return nil, err
	}
	mode := strings.ToUpper(s.x.SQLMode())
	return loaddata.NewLoader(string(t.sql), loaddata.Mode{
		ANSIQuotes: strings.Contains(mode, "ANSI"), NoBackslashEscapes: strings.Contains(mode, "NO_BACKSLASH_ESCAPES"),
	}, loaddata.Target{Table: p.Table, Shards: p.Shards, Columns: facts.Columns, Unusual: facts.Unusual, Charset: facts.Charset})
}
