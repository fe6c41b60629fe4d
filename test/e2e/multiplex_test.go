package e2e

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"
)

// TestB6MultiplexedClients has 2,000 clients, each with a session variable of its own, over 50 connections to each
// server.
func TestB6MultiplexedClients(t *testing.T) {
	const clients = 2000
	onEach(t, "multiplexed", app, func(e *env) {
		d := e.serve(settings{"pool": "{max_per_server: 50, wait_timeout: 60s}"})
		var wg, connected sync.WaitGroup
		connected.Add(clients)
		entry := make(chan struct{}, 64) // logins at a time: the listener's queue is short
		for n := range clients {
			wg.Go(func() {
				entry <- struct{}{}
				w, err := dialWire(wireOptions{addr: d.addr, user: "app", password: "app", db: e.db.Name})
				<-entry
				connected.Done()
				if err != nil {
					e.Errorf("client %d: %v", n, err)
					return
				}
				defer w.close()
				connected.Wait()
				w.deadline(2 * time.Minute)
				id, own := n%50, 1000+n
				row := fmt.Sprintf("SELECT CONCAT(name, '/', @@lock_wait_timeout, '/', %d) FROM users WHERE id = %d", n, id)
				want := fmt.Sprintf("user %d/%d/%d", id, own, n)
				for i, q := range []string{fmt.Sprintf("SET SESSION lock_wait_timeout = %d", own), row, "BEGIN", row, "COMMIT", row} {
					if q != row {
						if rs, err := w.query(q); err != nil || rs[0].Err != nil {
							e.Errorf("client %d: %s: %v, %v", n, q, rs, err)
							return
						}
						continue
					}
					if got, err := w.one(q); got != want || err != nil {
						e.Errorf("client %d, step %d: %q, %v, want %q", n, i, got, err, want)
						return
					}
				}
			})
		}
		wg.Wait()
		e.noLeaks(d)
	})
}

// TestB6GarbageEndsItsOwnSession throws mutated packets at the daemon while others check their rows.
func TestB6GarbageEndsItsOwnSession(t *testing.T) {
	onEach(t, "garbage", app, func(e *env) {
		d := e.serve(nil)
		l := e.startWorkload(d, 4, false)
		seeds := [][]byte{
			{comQuery, 'S', 'E', 'L', 'E', 'C', 'T', ' ', '1'},
			{comStmtPrepare, 'S', 'E', 'L', 'E', 'C', 'T', ' ', '?'},
			{comStmtExecute, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 8, 0, 1, 2, 3, 4, 5, 6, 7, 8},
			{comStmtLongData, 1, 0, 0, 0, 0, 0, 'x'},
			{comStmtFetch, 1, 0, 0, 0, 1, 0, 0, 0},
			{comStmtClose, 1, 0, 0, 0},
			{comInitDB, 'x'},
			{comFieldList, 'u', 0, '%'},
			{comChangeUser, 'a', 'p', 'p', 0, 20, 1, 2, 3},
			{comSetOption, 0, 0},
			{comReset},
			{comPing},
			{},
		}
		var wg sync.WaitGroup
		for g := range 4 {
			wg.Go(func() {
				r := rand.New(rand.NewPCG(28, uint64(g)))
				for i := range 100 {
					if i%5 == 0 { // before the login
						nc, err := net.Dial("tcp", d.addr)
						if err != nil {
							e.Error(err)
							return
						}
						b := make([]byte, r.IntN(120))
						for j := range b {
							b[j] = byte(r.Uint32())
						}
						_, _ = nc.Write(b)
						_ = nc.Close()
						continue
					}
					w, err := dialWire(wireOptions{addr: d.addr, user: "app", password: "app", db: e.db.Name, collation: byte(1 + r.IntN(250))})
					if err != nil {
						continue // of a collation that the servers don't have
					}
					// An error where the character set can't be a client's, such as utf16.
					var refused *wireError
					if _, err := w.prepare("SELECT ?"); err != nil && !errors.As(err, &refused) {
						e.Errorf("prepare: %v", err)
					}
					var sent []byte
					for range 10 {
						b := append([]byte{}, seeds[r.IntN(len(seeds))]...)
						for range r.IntN(4) {
							if len(b) > 0 {
								b[r.IntN(len(b))] = byte(r.Uint32())
							}
						}
						if r.IntN(3) == 0 {
							b = b[:r.IntN(len(b)+1)]
						}
						size, seq := len(b), byte(0)
						switch r.IntN(6) {
						case 0:
							size = r.IntN(1 << 24)
						case 1:
							seq = byte(r.Uint32())
						}
						sent = append(append(sent, byte(size), byte(size>>8), byte(size>>16), seq), b...)
					}
					_ = w.nc.SetDeadline(time.Now().Add(20 * time.Millisecond))
					_, _ = w.nc.Write(sent)
					_, _ = w.r.Peek(5)
					w.close()
				}
			})
		}
		wg.Wait()
		l.until(100)
		l.end()
		e.noLeaks(d)
	})
}
