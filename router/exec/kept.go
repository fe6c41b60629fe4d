package exec

import "shardway/protocol"

// Keep runs f with a client that keeps the reply that f would give to the session's own.
func (s *Session) Keep(m *protocol.Memory, f func() error) error {
	client := s.client
	s.client = m.Conn
	defer func() { s.client = client }()
	return f()
}

// Answer gives the client the reply to a statement that was done by several others.
func (s *Session) Answer(ok protocol.OK) (Outcome, error) {
	ok.Status = s.Status()
	out := Outcome{Reply: protocol.Reply{OK: ok}}
	return out, s.client.WriteOK(ok)
}

// AddInfo adds the numbers of what two statements said: "Rows matched: 3  Changed: 1  Warnings: 0".
func AddInfo(a, b string) string { return addNumbers(a, b) }
