package exec_test

import (
	"sync"
	"testing"

	"shardway/protocol"
	"shardway/router/plan"
	"shardway/test/fakemysql"
)

// characteristics is a server that keeps what SET TRANSACTION says for the next statement of each of its connections, also
// when one fails, as MySQL does.
type characteristics struct {
	mu      sync.Mutex
	waiting map[*fakemysql.Session]bool
	met     int  // parts that ran under them
	fails   bool // each part
}

func (f *characteristics) serve(s *fakemysql.Session, cmd protocol.Command, payload []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch sql := string(payload); {
	case sql == "SET TRANSACTION READ ONLY":
		f.waiting[s] = true
	case sql != "part":
	case f.fails:
		s.Error(1105, "HY000", "it fails")
		return
	default:
		if f.waiting[s] {
			f.met++
			delete(f.waiting, s)
		}
		s.Rows(rowsOf(1))
		return
	}
	if !fakemysql.Silent(cmd) {
		s.OK(protocol.OK{Status: protocol.StatusAutocommit})
	}
}

func (f *characteristics) fail(fails bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fails = fails
}

func (f *characteristics) taken() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := f.met
	f.met = 0
	return n
}

// TestNextIsNobodyElses: a connection on which characteristics of the next transaction may wait isn't given to anybody
// else, wherever a statement on several shards fails.
func TestNextIsNobodyElses(t *testing.T) {
	for _, name := range []string{"both answer", "the first fails", "the second fails", "the second is away"} {
		t.Run(name, func(t *testing.T) {
			first, second := &characteristics{waiting: map[*fakemysql.Session]bool{}}, &characteristics{waiting: map[*fakemysql.Session]bool{}}
			s := onShards(t, first.serve, second.serve)
			if _, _, err := s.run(s.request(&plan.Merge{})); err != nil { // each has a connection in its pool
				t.Fatal(err)
			}
			s.session.Next("SET TRANSACTION READ ONLY")
			later := s.request(&plan.Merge{})
			switch name {
			case "the first fails":
				first.fail(true)
			case "the second fails":
				second.fail(true)
			case "the second is away":
				s.servers[1].Stop()
				later.Parts = later.Parts[:1]
			}
			_, client, err := s.run(s.request(&plan.Merge{}))
			if answered := err == nil && client.err == nil; answered != (name == "both answer") {
				t.Fatal(err, client.err)
			}
			if n := first.taken() + second.taken(); name == "both answer" && n != 2 {
				t.Errorf("%d parts ran under them", n)
			}
			first.fail(false)
			second.fail(false)
			s.session.Reset(&protocol.Client{}, "")
			for range 3 {
				if _, client, err := s.run(later); err != nil || client.err != nil {
					t.Fatal(err, client.err)
				}
			}
			if n := first.taken() + second.taken(); n != 0 {
				t.Errorf("%d later parts ran under them", n)
			}
		})
	}
}
