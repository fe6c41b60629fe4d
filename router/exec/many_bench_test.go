package exec_test

import (
	"io"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"testing"
	"time"

	"shardway/protocol"
	"shardway/router/backend"
	"shardway/router/exec"
	"shardway/router/plan"
	"shardway/shardmap"
	"shardway/test/fakemysql"
)

// BenchmarkRows compares a raw relay of rows with a merge of the same rows by their number, b.N being rows. It has the
// fake servers' and the client's work as well, which is the same for both.
func BenchmarkRows(b *testing.B) {
	const shards = 4
	rows := func(s *fakemysql.Session, _ protocol.Command, payload []byte) {
		if len(payload) < 5 || string(payload[:5]) != "part " {
			return
		}
		from, _ := strconv.Atoi(string(payload[5:6]))
		step, _ := strconv.Atoi(string(payload[7:8]))
		n, _ := strconv.Atoi(string(payload[9:]))
		number := (&protocol.Column{Name: "n", Type: protocol.TypeLongLong, Unsigned: true}).Definition(nil)
		text := (&protocol.Column{Name: "t", Type: protocol.TypeVarString}).Definition(nil)
		_ = s.WriteColumns([][]byte{number, text}, protocol.StatusAutocommit)
		row := append([]byte("\x0a0000000000\x20"), "the name of a customer, and more"...)
		var digits [20]byte
		for i := from; i < n; i += step {
			copy(row[1:], strconv.AppendUint(digits[:0], uint64(1e9+i), 10))
			if s.WriteRow(row) != nil {
				return
			}
		}
		_ = s.WriteEOF(protocol.StatusAutocommit, 0)
		s.Raw()
	}
	text := "version: 1\nshards:\n"
	for i := range shards {
		text += "  s" + strconv.Itoa(i) + ": {primary: \"" + fakemysql.Serve(b, rows).Addr + "\"}\n"
	}
	m, err := shardmap.Parse([]byte(text))
	if err != nil {
		b.Fatal(err)
	}
	cluster := backend.New(backend.Options{User: "shardway", TLS: protocol.TLSDisabled, WaitTimeout: 3 * time.Second})
	defer cluster.Close()
	cluster.Apply(m)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	client, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	other, err := l.Accept()
	if err != nil {
		b.Fatal(err)
	}
	conn := protocol.NewConn(other)
	defer conn.Close()
	s := exec.New(cluster).NewSession(conn, netip.Addr{}, &protocol.Client{})
	defer s.Close()
	var reading sync.WaitGroup
	defer reading.Wait()
	defer client.Close()
	reading.Go(func() { _, _ = io.Copy(io.Discard, client) })
	part := func(from, step, n int) exec.Request {
		return exec.Request{
			Command: protocol.ComQuery, Reply: protocol.ReplyQuery, Shard: "s" + strconv.Itoa(from), Role: exec.Primary, Read: true,
			Payload: []byte("part " + strconv.Itoa(from) + " " + strconv.Itoa(step) + " " + strconv.Itoa(n)),
		}
	}
	run := func(b *testing.B, out exec.Outcome, err error) {
		b.Helper()
		if err == nil {
			err = conn.Flush()
		}
		if err != nil || out.Reply.Rows != uint64(b.N) {
			b.Fatal(err, out.Reply.Rows)
		}
	}
	b.Run("relay", func(b *testing.B) {
		r := part(0, 1, b.N)
		out, err := s.Run(b.Context(), &r)
		run(b, out, err)
	})
	b.Run("merge", func(b *testing.B) {
		r := &exec.ManyRequest{Merge: &plan.Merge{Order: byFirst}}
		for i := range shards {
			r.Parts = append(r.Parts, part(i, shards, b.N))
		}
		out, err := s.RunMany(b.Context(), r)
		run(b, out, err)
	})
}
