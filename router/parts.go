package router

import (
	"bytes"
	"context"
	"errors"

	"shardway/protocol"
	"shardway/router/exec"
	"shardway/router/parse"
)

// firstPart returns where the first statement of a text ends and where the next one begins: at the text's end when
// there is none.
func (s *session) firstPart(sql []byte) (end, rest int) {
	if bytes.IndexByte(sql, ';') < 0 {
		return len(sql), len(sql)
	}
	return parse.FirstPart(sql, s.sqlMode())
}

// parts runs a text of several statements, each as if it had come alone: it is planned by itself, after what the ones
// before it have done to the session. Every reply but the last says that more follow; an error ends the text, as at a
// server. The first statement is sql[:end] and the next begins at rest.
func (s *session) parts(ctx context.Context, o *Options, sql []byte, end, rest int) error {
	defer s.conn.SetMoreResults(false)
	sql = bytes.Clone(sql) // LOAD DATA LOCAL reads on from the client
	for {
		last := rest == len(sql)
		s.conn.SetMoreResults(!last)
		started := s.begun()
		var err error
		if part := bytes.TrimSpace(sql[:end]); len(part) == 0 {
			err = s.notOne(ctx, o, sql)
		} else {
			err = s.query(ctx, o, part)
		}
		err = s.ended(o, started, end, err)
		if err != nil || last || s.event.Outcome != OutcomeOK || s.killed.Load() {
			return err
		}
		if err := s.conn.Flush(); err != nil {
			return err
		}
		sql = sql[rest:]
		end, rest = s.firstPart(sql)
		o = s.srv.options.Load()
	}
}

// notOne refuses a text that isn't one statement in the servers' own words: a server that is asked to prepare it
// answers with its syntax error, and runs nothing.
func (s *session) notOne(ctx context.Context, o *Options, sql []byte) error {
	shard := o.Maps.Current().DefaultShard(s.x.Schema()).ID
	s.event.Shard, s.event.Role = shard, exec.Any.String()
	_, err := s.x.Prepare(ctx, s.x.Prepared(string(sql)), shard, exec.Any, true)
	if e, ok := errors.AsType[*protocol.Error](err); err != nil && (!ok || e.Code == 1064 || e.Code == 1105) {
		return err
	}
	return protocol.Errorf(1235, "42000", "shardway: several statements in one text that can't be told apart; send them one by one")
}
