package e2e

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"shardway/test/cluster"
)

// packet frames a payload.
func packet(seq byte, payload []byte) []byte {
	n := len(payload)
	return append([]byte{byte(n), byte(n >> 8), byte(n >> 16), seq}, payload...)
}

// response is the start of a login: capabilities, largest packet, collation, and what follows.
func response(caps uint32, collation byte, rest string) []byte {
	b := binary.LittleEndian.AppendUint32(nil, caps)
	b = binary.LittleEndian.AppendUint32(b, 1<<24)
	b = append(append(b, collation), make([]byte, 23)...)
	return append(b, rest...)
}

// TestB6BadInputEndsItsOwnSession breaks each rule of the protocol on purpose: the one session ends, with an error
// where one can be read, and nothing else does.
func TestB6BadInputEndsItsOwnSession(t *testing.T) {
	on(t, cluster.MariaDB, "badinput", app, func(e *env) {
		files, err := cluster.Certificates(e.TempDir())
		e.must(err)
		d := e.serve(settings{"tls": fmt.Sprintf("{mode: preferred, cert: %q, key: %q}", files.Cert, files.Key), "limits": "{max_packet: 1MiB}"})
		goroutines := d.metric("go_goroutines")
		watcher := e.dial(d, nil)
		l := e.startWorkload(d, 4, false)
		l.until(20)
		const plain = modernCaps | capLongPassword
		long := strings.Repeat("x", 70000)
		hello := []byte{0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3}
		for what, c := range map[string]struct {
			sent  []byte
			leave bool   // the client closes its side after that
			want  uint16 // the code of the error; 0 for an end without one
		}{
			"an empty packet":                {packet(1, nil), false, 1043},
			"a wrong sequence id":            {packet(7, response(plain, 45, "app\x00\x00")), false, 1043},
			"an absurd length":               {[]byte{0xff, 0xff, 0xff, 1, 0, 0}, true, 0},
			"a length that never comes":      {[]byte{200, 0, 0, 1, 0, 0}, true, 0},
			"half a header":                  {[]byte{200, 0}, true, 0},
			"a truncated response":           {packet(1, response(plain, 45, "")[:20]), false, 1043},
			"a name without an end":          {packet(1, response(plain, 45, "app")), false, 1043},
			"an old protocol":                {packet(1, []byte("\x05\x00\x00\x00\x40app\x00")), false, 1043},
			"a proof longer than the packet": {packet(1, response(plain, 45, "app\x00\xff")), false, 1043},
			"a name of 70,000 bytes":         {packet(1, response(plain, 45, long+"\x00\x00")), true, 0},
			"attributes of an absurd length": {packet(1, response(plain|1<<20, 45, "app\x00\x00mysql_native_password\x00\xfe\xff\xff\xff\xff\xff\xff\xff\x7f")), false, 0},
			"TLS, then a plain response":     {append(packet(1, response(plain|capSSL, 45, "")), packet(2, response(plain, 45, "app\x00\x00"))...), false, 0},
			"TLS, then half a hello":         {append(packet(1, response(plain|capSSL, 45, "")), hello...), true, 0},
			"TLS, then nothing":              {packet(1, response(plain|capSSL, 45, "")), true, 0},
			"a request of HTTP":              {[]byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), false, 1043},
		} {
			nc, err := net.Dial("tcp", d.addr)
			e.must(err)
			_ = nc.SetDeadline(time.Now().Add(20 * time.Second))
			began := time.Now()
			r := bufio.NewReader(nc)
			head, err := r.Peek(4)
			e.must(err)
			_, err = io.CopyN(io.Discard, r, int64(head[0])+4)
			e.must(err)
			_, err = nc.Write(c.sent)
			e.must(err)
			if c.leave {
				_ = nc.(*net.TCPConn).CloseWrite()
			}
			got, err := io.ReadAll(r)
			if err != nil && !strings.Contains(err.Error(), "reset") {
				e.Errorf("%s: the session doesn't end: %v", what, err)
			}
			if code := []byte{0xff, byte(c.want), byte(c.want >> 8)}; c.want != 0 && (len(got) < 7 || !bytes.Equal(got[4:7], code)) {
				e.Errorf("%s: got %q, want error %d", what, got, c.want)
			}
			if took := time.Since(began); took > 5*time.Second {
				e.Errorf("%s: the session ended after %v", what, took)
			}
			_ = nc.Close()
		}

		// After the login. Where goes says so the session lives on, as it does at a server.
		for what, c := range map[string]struct {
			sent []byte
			want uint16
			goes bool
		}{
			"a wrong sequence id":               {packet(5, append([]byte{comQuery}, "SELECT 1"...)), 1156, false},
			"an empty command":                  {packet(0, nil), 1835, true},
			"an unknown command":                {packet(0, []byte{99, 1, 2, 3}), 1047, true},
			"a packet over max_packet":          {packet(0, append([]byte{comQuery}, bytes.Repeat([]byte{' '}, 2<<20)...)), 1153, true},
			"a second part with a wrong number": {append(packet(0, append([]byte{comQuery}, bytes.Repeat([]byte{' '}, 1<<24-2)...)), packet(7, nil)...), 0, false},
			"an execution of nothing":           {packet(0, []byte{comStmtExecute, 1, 0}), 1835, true},
			"a fetch of nothing":                {packet(0, []byte{comStmtFetch, 9, 0, 0, 0, 255, 255, 255, 255}), 1243, true},
			"a kill without an id":              {packet(0, []byte{comProcessKill, 1}), 1835, true},
			"an option that isn't there":        {packet(0, []byte{comSetOption, 9, 9}), 1047, true},
			"a change to a user without an end": {packet(0, append([]byte{comChangeUser}, "app"...)), 0, false},
			"a text that is no text":            {packet(0, []byte{comQuery, 0xff, 0xfe, 0, 0x80, '\''}), 1064, true},
		} {
			w := e.dial(d, nil)
			w.deadline(20 * time.Second)
			began := time.Now()
			_, err := w.nc.Write(c.sent)
			if err != nil && !strings.Contains(err.Error(), "reset") && !strings.Contains(err.Error(), "pipe") {
				e.Errorf("%s: %v", what, err)
			}
			w.seq = 1
			rs, err := w.results()
			if err == nil && len(rs) > 0 && rs[0].Err != nil {
				if c.want != 0 && rs[0].Err.Code != c.want {
					e.Errorf("%s: %v, want error %d", what, rs[0].Err, c.want)
				}
			} else if c.want != 0 && c.goes {
				e.Errorf("%s: %v, %v, want error %d", what, rs, err, c.want)
			}
			if got, err := w.one("SELECT name FROM users WHERE id = 7"); c.goes != (err == nil && got == "user 7") {
				e.Errorf("%s: afterwards %q, %v, want the session to go on: %t", what, got, err, c.goes)
			}
			if took := time.Since(began); took > 5*time.Second {
				e.Errorf("%s: it took %v", what, took)
			}
			w.close()
		}

		// Character sets: every number that a login can name either serves or is refused, and none ends more than itself.
		for collation := range 256 {
			w, err := dialWire(wireOptions{addr: d.addr, user: "app", password: "app", db: e.db.Name, collation: byte(collation)})
			if err != nil {
				continue
			}
			if rs, err := w.query("SELECT name FROM users WHERE id = 7"); err != nil {
				e.Errorf("collation %d: %v, %v", collation, rs, err)
			}
			w.close()
		}
		l.until(20)
		l.end()
		if got, err := watcher.one("SELECT name FROM users WHERE id = 7"); got != "user 7" || err != nil {
			e.Errorf("the session beside: %q, %v", got, err)
		}
		e.nothingLeft(d, goroutines)
		e.noLeaks(d)
	})
}
