package e2e

import (
	"bytes"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
)

// cutter is a way to a server on which connections break at chosen messages: before the server has one, after it has
// run it, or between two that were sent together.
type cutter struct {
	addr, to string
	quota    *atomic.Int64 // cuts that are yet to be made, at all cutters together
	one      int           // of so many messages one is cut
	ln       net.Listener
	all      sync.WaitGroup

	mu    sync.Mutex
	conns map[net.Conn]bool
	made  map[string]int // cuts by message
}

// messages are those of a transaction over several shards.
var messages = []string{
	"XA START", "XA END", "XA PREPARE", "XA COMMIT", "XA ROLLBACK", "INSERT INTO shardway.decisions", "COMMIT", "ROLLBACK",
}

func (e *env) cutter(to string, one int, quota *atomic.Int64) *cutter {
	e.Helper()
	c := &cutter{to: to, one: one, quota: quota, conns: map[net.Conn]bool{}, made: map[string]int{}}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	e.must(err)
	c.ln, c.addr = ln, ln.Addr().String()
	c.all.Go(func() {
		for {
			client, err := ln.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", c.to)
			if err != nil {
				_ = client.Close()
				continue
			}
			c.pass(client, server)
		}
	})
	e.Cleanup(func() {
		_ = ln.Close()
		c.mu.Lock()
		for conn := range c.conns {
			_ = conn.Close()
		}
		c.mu.Unlock()
		c.all.Wait()
	})
	return c
}

func (c *cutter) pass(client, server net.Conn) {
	c.mu.Lock()
	c.conns[client], c.conns[server] = true, true
	c.mu.Unlock()
	var deaf atomic.Bool // the client doesn't get the server's next answer
	end := func() {
		_ = client.Close()
		_ = server.Close()
		c.mu.Lock()
		delete(c.conns, client)
		delete(c.conns, server)
		c.mu.Unlock()
	}
	c.all.Go(func() {
		defer end()
		buf := make([]byte, 64<<10)
		for {
			n, err := client.Read(buf)
			if err != nil {
				return
			}
			send, cut := c.choose(buf[:n])
			if cut && send > 0 {
				deaf.Store(true)
			}
			if _, err := server.Write(buf[:send]); err != nil || cut && send == 0 {
				return
			}
		}
	})
	c.all.Go(func() {
		defer end()
		buf := make([]byte, 64<<10)
		for {
			n, err := server.Read(buf)
			if err != nil || deaf.Load() {
				return
			}
			if _, err := client.Write(buf[:n]); err != nil {
				return
			}
		}
	})
}

// choose says how much of what a client has sent the server gets, and whether the connection ends then. Commands are
// short, so that they come whole.
func (c *cutter) choose(sent []byte) (n int, cut bool) {
	if c.quota.Load() <= 0 {
		return len(sent), false
	}
	starts := map[string]int{} // of the packets that hold messages
	for at := 0; at+4 < len(sent); {
		size := int(sent[at]) | int(sent[at+1])<<8 | int(sent[at+2])<<16
		packet := sent[at:min(at+4+size, len(sent))]
		for _, m := range messages {
			text := bytes.TrimPrefix(packet[4:], []byte{3})
			text = bytes.TrimPrefix(text, []byte{0, 1}) // a query without attributes
			if bytes.HasPrefix(text, []byte(m)) {
				starts[m] = at
			}
		}
		at += 4 + size
	}
	for _, i := range rand.Perm(len(messages)) { // several may have been sent together
		m := messages[i]
		at, there := starts[m]
		if !there {
			continue
		}
		if rand.IntN(c.one) > 0 || c.quota.Add(-1) < 0 {
			return len(sent), false
		}
		when := "after "
		n = len(sent)
		if rand.IntN(2) == 0 {
			when, n = "before ", at
		}
		c.mu.Lock()
		c.made[when+m]++
		c.mu.Unlock()
		return n, true
	}
	return len(sent), false
}
