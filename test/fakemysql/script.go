package fakemysql

import (
	"regexp"
	"strings"
	"sync"
	"testing"

	"shardway/protocol"
)

// Step is a command that a script expects, and its answer: OK, unless a
// method says another. Steps are used once each, in order, by whichever
// session comes; those of Always are used whenever none is due.
type Step struct {
	command protocol.Command
	text    string
	always  bool
	answer  func(s *Session)
}

// Expect is the step for one command. An empty text is any payload; /text/
// is a regular expression; otherwise the payload must be the text, but for
// the case of letters and white space around it.
func Expect(cmd protocol.Command, text string) *Step {
	return &Step{command: cmd, text: text, answer: func(*Session) {}}
}

// Always is a step that may come at any time, and any number of times.
func Always(cmd protocol.Command, text string) *Step {
	s := Expect(cmd, text)
	s.always = true
	return s
}

// Do answers by calling f.
func (st *Step) Do(f func(s *Session)) *Step {
	st.answer = f
	return st
}

// OK answers with an OK packet.
func (st *Step) OK(ok protocol.OK) *Step { return st.Do(func(s *Session) { s.OK(ok) }) }

// Err answers with an ERR packet.
func (st *Step) Err(code uint16, state, message string) *Step {
	return st.Do(func(s *Session) { s.Error(code, state, message) })
}

// Rows answers with a result, in binary to STMT_EXECUTE and else in text.
func (st *Step) Rows(r *protocol.Rows) *Step {
	binary := st.command == protocol.ComStmtExecute
	return st.Do(func(s *Session) { s.Result(r, binary, protocol.StatusAutocommit) })
}

// Table answers with a result of text columns.
func (st *Step) Table(columns []string, rows ...[]any) *Step { return st.Rows(Table(columns, rows...)) }

// Raw answers with packets as they are.
func (st *Step) Raw(packets ...[]byte) *Step { return st.Do(func(s *Session) { s.Raw(packets...) }) }

// Close answers by closing the connection.
func (st *Step) Close() *Step { return st.Do(func(s *Session) { s.Close() }) }

// Hang holds the answer back until release is closed or the test ends.
func (st *Step) Hang(release <-chan struct{}) *Step {
	answer := st.answer
	return st.Do(func(s *Session) {
		s.Wait(release)
		answer(s)
	})
}

func (st *Step) matches(cmd protocol.Command, payload string) bool {
	if cmd != st.command {
		return false
	}
	if st.text == "" {
		return true
	}
	if p, ok := strings.CutPrefix(st.text, "/"); ok && strings.HasSuffix(p, "/") {
		return regexp.MustCompile(strings.TrimSuffix(p, "/")).MatchString(payload)
	}
	return strings.EqualFold(strings.TrimSpace(payload), strings.TrimSpace(st.text))
}

// New starts a server that follows a script. A command that the script
// doesn't expect fails the test and is answered with an error; so does, at
// the test's end, a step that never came.
func New(t testing.TB, script ...*Step) *Server {
	t.Helper()
	return Options{}.New(t, script...)
}

// New starts a server with these options that follows a script.
func (o Options) New(t testing.TB, script ...*Step) *Server {
	t.Helper()
	var mu sync.Mutex
	var due, always []*Step
	for _, st := range script {
		if st.always {
			always = append(always, st)
		} else {
			due = append(due, st)
		}
	}
	find := func(cmd protocol.Command, payload string) *Step {
		mu.Lock()
		defer mu.Unlock()
		if len(due) > 0 && due[0].matches(cmd, payload) {
			st := due[0]
			due = due[1:]
			return st
		}
		for _, st := range always {
			if st.matches(cmd, payload) {
				return st
			}
		}
		next := "nothing more"
		if len(due) > 0 {
			next = due[0].command.String() + " " + due[0].text
		}
		t.Errorf("fakemysql: got %s %q, expected %s", cmd, payload, next)
		return nil
	}
	t.Cleanup(func() { // runs after the server's own, when all sessions are over
		mu.Lock()
		defer mu.Unlock()
		for _, st := range due {
			t.Errorf("fakemysql: %s %q never came", st.command, st.text)
		}
	})
	return o.Serve(t, func(s *Session, cmd protocol.Command, payload []byte) {
		st := find(cmd, string(payload))
		if st == nil {
			s.Error(1105, "HY000", "fakemysql: unexpected "+cmd.String())
			return
		}
		st.answer(s)
	})
}
