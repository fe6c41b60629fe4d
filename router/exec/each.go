package exec

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"shardway/protocol"
	"shardway/router/backend"
	"shardway/router/plan"
)

// EachRequest is a statement that several shards run one after another, each for itself.
type EachRequest struct {
	Parts      []Request      // alike but for the shard
	Tables     []plan.Defined // looked at on all shards before the first part runs
	Repeatable bool           // it may be sent again after it was done on some shards
	Largest    bool           // the reply has the largest count of the parts instead of their sum
	Verb       string         // what it is called in errors
}

const (
	// lockWait is how long, in seconds, DDL waits for a table's lock at a time. All statements that come later wait behind
	// it, so it is short.
	lockWait = "3"
	// lockPause is what those are given before the next attempt.
	lockPause = 500 * time.Millisecond
	// lockTries bounds the attempts on the first shard, after which nothing has happened yet, and lockTriesLater on the
	// others, where giving up leaves the statement done in part.
	lockTries, lockTriesLater = 5, 20
	// lookTimeout bounds the look at the tables.
	lookTimeout = 10 * time.Second
)

// RunEach runs a statement on one shard after another and gives the client one OK, without flushing it. An error on the
// first of them changes nothing; an error on a later one says what has become of each. Errors are as Run's.
func (s *Session) RunEach(ctx context.Context, r *EachRequest) (Outcome, error) {
	if err := s.inspect(ctx, r); err != nil {
		return Outcome{}, err
	}
	defer s.ForgetColumns()
	if s.state.get("lock_wait_timeout") == "" {
		s.state.set("lock_wait_timeout", lockWait)
		s.changed()
		defer func() {
			s.state.set("lock_wait_timeout", "")
			s.changed()
		}()
	}
	schema := s.Schema()
	var out Outcome
	var answer protocol.Reply
	var servers []string
	for i := range r.Parts {
		tries := lockTriesLater
		if i == 0 {
			tries = lockTries
		}
		one, err := s.runPart(ctx, &r.Parts[i], tries)
		if err == nil && one.Reply.Err == nil {
			servers = append(servers, one.Server)
			out.Server = strings.Join(servers, ",")
			out.addNew(one.Warnings)
			addReply(&answer, &one.Reply, r.Largest)
			continue
		}
		e := one.Reply.Err
		if err != nil && !errors.As(err, &e) {
			return out, err
		}
		if i > 0 {
			e = r.halfDone(i, e)
		}
		out.Reply.Err, out.Warnings = e, warningOf(e)
		return out, s.client.WriteError(e)
	}
	answer.Status = s.Status()
	if schema != "" && s.Schema() == "" {
		answer.Status |= protocol.StatusDBDropped
	}
	if out.Warnings != nil {
		answer.Warnings = uint16(min(len(out.Warnings.Rows), 1<<16-1))
	}
	out.Reply = answer
	ok := answer.OK
	ok.Changes = s.told(ok.Changes)
	return out, s.client.WriteOK(ok)
}

// runPart runs one shard's part, again while other clients keep the table locked.
func (s *Session) runPart(ctx context.Context, part *Request, tries int) (Outcome, error) {
	for try := 1; ; try++ {
		out, err := s.RunMany(ctx, &ManyRequest{Parts: []Request{*part}, Silent: true})
		if err != nil || out.Reply.Err == nil || out.Reply.Err.Code != lockTimeout || try == tries {
			return out, err
		}
		select {
		case <-time.After(lockPause):
		case <-ctx.Done():
			return out, nil
		}
	}
}

// halfDone is the error of a statement that has failed on a shard after others had run it.
func (r *EachRequest) halfDone(at int, e *protocol.Error) *protocol.Error {
	names := func(parts []Request) string {
		list := make([]string, len(parts))
		for i := range parts {
			list[i] = parts[i].Shard
		}
		return strings.Join(list, ", ")
	}
	left := ""
	if at+1 < len(r.Parts) {
		left = ", not tried on " + names(r.Parts[at+1:])
	}
	finish := "send it again"
	if !r.Repeatable {
		finish = "send it with /* shardway: shard=" + r.Parts[at].Shard + " */"
		if left != "" {
			finish += ", and so for the others"
		}
	}
	why := strings.TrimSuffix(strings.TrimPrefix(e.Message, "shardway: "), " (shard "+r.Parts[at].Shard+")")
	return protocol.Errorf(e.Code, e.State, "shardway: %s is done on %s, failed on %s%s, and can't be rolled back; to finish, %s. Shard %s: %s",
		r.Verb, names(r.Parts[:at]), r.Parts[at].Shard, left, finish, r.Parts[at].Shard, why)
}

// addNew takes over what a server says to SHOW WARNINGS, but for notes that another one has said as well.
func (o *Outcome) addNew(res *protocol.Result) {
	if res == nil {
		return
	}
	if o.Warnings == nil {
		o.Warnings = res
		return
	}
	text := func(row []*string) string {
		var b strings.Builder
		for _, v := range row {
			if v != nil {
				b.WriteString(*v)
			}
			b.WriteByte(0)
		}
		return b.String()
	}
	before := len(o.Warnings.Rows)
	for _, row := range res.Rows {
		note := len(row) > 0 && row[0] != nil && strings.EqualFold(*row[0], "Note")
		if note && slices.ContainsFunc(o.Warnings.Rows[:before], func(known []*string) bool { return text(known) == text(row) }) {
			continue
		}
		o.Warnings.Rows = append(o.Warnings.Rows, row)
	}
}

// addReply adds a shard's reply to that of the shards before.
func addReply(sum, one *protocol.Reply, largest bool) {
	if largest {
		sum.AffectedRows = max(sum.AffectedRows, one.AffectedRows)
	} else {
		sum.AffectedRows += one.AffectedRows
		sum.Records += one.Records
	}
	sum.Info = addNumbers(sum.Info, one.Info)
	for _, c := range one.Changes {
		if !slices.Contains(sum.Changes, c) {
			sum.Changes = append(sum.Changes, c)
		}
	}
}

// inspect compares the statement's tables on all of its shards. The error is the client's.
func (s *Session) inspect(ctx context.Context, r *EachRequest) error {
	if r.Repeatable {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	for _, t := range r.Tables {
		found := make([][]string, len(r.Parts))
		var with, without []string
		for i := range r.Parts {
			var err error
			if found[i], err = s.definition(ctx, r.Parts[i].Shard, t.Schema, t.Name); err != nil {
				return err
			}
			if len(found[i]) > 0 {
				with = append(with, r.Parts[i].Shard)
			} else {
				without = append(without, r.Parts[i].Shard)
			}
		}
		name := t.Schema + "." + t.Name
		switch {
		case len(with) == 0, len(without) == 0 && t.Makes:
			// The first server refuses what can't be done.
		case len(without) > 0 && t.Makes:
			return protocol.Errorf(1050, "42S01", "shardway: %s: nothing was changed, since %s exists on %s and not on %s: say IF NOT EXISTS, or make it with /* shardway: shard=%s */ where it is missing",
				r.Verb, name, strings.Join(with, ", "), strings.Join(without, ", "), without[0])
		case len(without) > 0:
			return protocol.Errorf(1146, "42S02", "shardway: %s: nothing was changed, since %s exists on %s and not on %s: say IF EXISTS where the server knows it, or make the table with /* shardway: shard=%s */ where it is missing",
				r.Verb, name, strings.Join(with, ", "), strings.Join(without, ", "), without[0])
		case t.Alike:
			for i := range found {
				if what := differs(found[0], found[i]); what != "" {
					return protocol.Errorf(1105, "HY000", "shardway: %s: nothing was changed, since %s isn't alike on %s and %s (%s): change it with /* shardway: shard=%s */ first, so that it is",
						r.Verb, name, r.Parts[0].Shard, r.Parts[i].Shard, what, r.Parts[i].Shard)
				}
			}
		}
	}
	return nil
}

// definition lists the columns and indexes of a table as its shard's primary has them; nothing where there is no such
// table.
func (s *Session) definition(ctx context.Context, shard, schema, table string) (lines []string, err error) {
	where := " WHERE TABLE_SCHEMA=" + quote(schema) + " AND TABLE_NAME=" + quote(table)
	err = primaries{s}.on(ctx, shard, func(c *backend.Conn) error {
		res, err := c.Query("SELECT CONCAT('column ', COLUMN_NAME, ' ', COLUMN_TYPE), ORDINAL_POSITION FROM information_schema.COLUMNS" + where +
			" UNION ALL SELECT CONCAT('index ', INDEX_NAME, IF(NON_UNIQUE, '', ' unique'), ' (', GROUP_CONCAT(IFNULL(COLUMN_NAME, '?') ORDER BY SEQ_IN_INDEX), ')'), 10000 FROM information_schema.STATISTICS" + where +
			" GROUP BY INDEX_NAME, NON_UNIQUE ORDER BY 2, 1")
		if err != nil {
			return err
		}
		lines = lines[:0]
		for _, row := range res.Rows {
			if row[0] != nil {
				lines = append(lines, *row[0])
			}
		}
		return nil
	})
	return lines, err
}

// differs is the first difference between two definitions, in words; "" where there is none.
func differs(a, b []string) string {
	for i := range max(len(a), len(b)) {
		switch {
		case i >= len(a):
			return "the latter has " + b[i]
		case i >= len(b):
			return "the former has " + a[i]
		case a[i] != b[i]:
			return fmt.Sprintf("%s, %s", a[i], b[i])
		}
	}
	return ""
}

// Ask runs a statement that needs nothing of what the session keeps on one server of a shard, under the session's state.
// A write is sent once at most. The error is the client's.
func (s *Session) Ask(ctx context.Context, r *Request) (res *protocol.Result, server string, err error) {
	s.AskInsertID()
	s.let(whyShort)
	for try := 0; ; try++ {
		c, err := s.acquire(ctx, r, r.Role, nil)
		if err != nil {
			return nil, "", err
		}
		server = c.Addr()
		s.run(c)
		stop, stopped := s.limit(ctx, c, r.Timeout)
		res, err := c.Query(string(r.Payload))
		stop()
		struck := s.ran()
		e, answered := errors.AsType[*protocol.Error](err)
		if answered = answered && !isSide(err) && !serverGone(e); err != nil && !answered {
			lost, _ := errors.AsType[*lostError](s.lost(c, err, false))
			if r.Read && try == 0 {
				continue
			}
			return nil, server, lost.forClient(r)
		}
		if struck || stopped() {
			c.Discard("killed") // the kill may hit what comes next
		} else {
			c.Release()
		}
		switch {
		case err == nil:
			return res, server, nil
		case e.Code == 1317 && stopped():
			return nil, server, protocol.Errorf(3024, "HY000", "shardway: stopped after %v, as its timeout asks", r.Timeout)
		default:
			return nil, server, protocol.Errorf(e.Code, e.State, "%s (shard %s)", e.Message, r.Shard)
		}
	}
}
