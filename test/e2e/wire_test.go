package e2e

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"time"
)

// Capability flags.
const (
	capLongPassword   = 1 << 0
	capFoundRows      = 1 << 1
	capLongFlag       = 1 << 2
	capConnectWithDB  = 1 << 3
	capLocalFiles     = 1 << 7
	capIgnoreSpace    = 1 << 8
	capProtocol41     = 1 << 9
	capInteractive    = 1 << 10
	capSSL            = 1 << 11
	capTransactions   = 1 << 13
	capSecure         = 1 << 15
	capMultiStmts     = 1 << 16
	capMultiResults   = 1 << 17
	capPSMultiResults = 1 << 18
	capPluginAuth     = 1 << 19
	capConnectAttrs   = 1 << 20
	capSessionTrack   = 1 << 23
	capDeprecateEOF   = 1 << 24
	capAttributes     = 1 << 27
)

// MariaDB's own capability flags, in the handshake's other four bytes.
const (
	ownBulk     = 1 << 2
	ownExtended = 1 << 3
	ownCache    = 1 << 4
)

const modernCaps = capLongPassword | capLongFlag | capProtocol41 | capTransactions | capSecure | capMultiResults |
	capPSMultiResults | capPluginAuth | capDeprecateEOF

// Commands.
const (
	comQuit         = 1
	comInitDB       = 2
	comQuery        = 3
	comFieldList    = 4
	comStatistics   = 9
	comProcessInfo  = 10
	comProcessKill  = 12
	comPing         = 14
	comChangeUser   = 17
	comStmtPrepare  = 22
	comStmtExecute  = 23
	comStmtLongData = 24
	comStmtClose    = 25
	comStmtReset    = 26
	comSetOption    = 27
	comStmtFetch    = 28
	comReset        = 31
)

// Status flags.
const (
	statusInTrans       = 1
	statusAutocommit    = 2
	statusMoreResults   = 8
	statusCursor        = 64
	statusLastRowSent   = 128
	statusTransReadonly = 0x2000
)

type wireOptions struct {
	network, addr, user, password, db string
	caps                              uint32 // besides modernCaps
	without                           uint32 // of modernCaps
	own                               uint32 // MariaDB's, where they are offered
	collation                         byte
	tls                               *tls.Config
	before                            string            // what is sent first, a PROXY header
	from                              string            // IP address that the client has; any when empty
	attrs                             map[string]string // connection attributes
	rawAttrs                          []byte            // or what stands in their place
	plugin                            string            // to begin with; the server's default when empty
}

// wire is a client connection that shows everything a server sends.
type wire struct {
	nc       net.Conn
	r        *bufio.Reader
	seq      byte
	caps     uint32
	version  string
	id       uint32
	offered  uint32
	own      uint32 // MariaDB's own that are offered
	plugin   string // that the greeting named
	charset  byte
	loginOK  okPacket
	salt     []byte
	password string
	secure   bool
}

type okPacket struct {
	Affected, InsertID uint64
	Status, Warnings   uint16
	Info               string
}

// wireError is an ERR packet.
type wireError struct {
	Code    uint16
	State   string
	Message string
}

func (e *wireError) Error() string { return fmt.Sprintf("%d (%s) %s", e.Code, e.State, e.Message) }

func dialWire(o wireOptions) (*wire, error) {
	network := o.network
	if network == "" {
		network = "tcp"
	}
	dialer := net.Dialer{Timeout: 10 * time.Second}
	if o.from != "" {
		dialer.LocalAddr = &net.TCPAddr{IP: net.ParseIP(o.from)}
	}
	nc, err := dialer.Dial(network, o.addr)
	if err != nil {
		return nil, err
	}
	w := &wire{nc: nc, r: bufio.NewReaderSize(nc, 64<<10), password: o.password, secure: network == "unix"}
	w.deadline(60 * time.Second)
	if _, err := nc.Write([]byte(o.before)); err != nil {
		return nil, err
	}
	if err := w.login(o); err != nil {
		_ = nc.Close()
		return nil, err
	}
	return w, nil
}

func (w *wire) deadline(d time.Duration) { _ = w.nc.SetDeadline(time.Now().Add(d)) }
func (w *wire) close()                   { _ = w.nc.Close() }

func (w *wire) login(o wireOptions) error {
	p, err := w.readPacket()
	if err != nil {
		return fmt.Errorf("greeting: %w", err)
	}
	if p[0] == 0xff {
		return parseError(p)
	}
	if p[0] != 10 {
		return fmt.Errorf("greeting of protocol %d", p[0])
	}
	end := bytes.IndexByte(p, 0)
	w.version = string(p[1:end])
	p = p[end+1:]
	w.id = binary.LittleEndian.Uint32(p)
	salt := append([]byte{}, p[4:12]...)
	w.offered = uint32(binary.LittleEndian.Uint16(p[13:])) | uint32(binary.LittleEndian.Uint16(p[18:]))<<16
	w.charset = p[15]
	if w.offered&capLongPassword == 0 {
		w.own = binary.LittleEndian.Uint32(p[27:])
	}
	n := max(13, int(p[20])-8)
	salt = append(salt, bytes.TrimRight(p[31:31+n], "\x00")...)
	w.salt = salt[:20]
	w.plugin = strings.TrimRight(string(p[31+n:]), "\x00")
	w.caps = (modernCaps &^ o.without) | o.caps
	if o.db != "" {
		w.caps |= capConnectWithDB
	}
	if o.attrs != nil || o.rawAttrs != nil {
		w.caps |= capConnectAttrs
	}
	if o.tls != nil {
		w.caps |= capSSL
	}
	// CLIENT_LOCAL_FILES and the like are asked for only where offered.
	w.caps &= w.offered | capConnectWithDB
	if o.own != 0 {
		w.caps &^= capLongPassword
	}
	if o.tls != nil && w.caps&capSSL == 0 {
		return errors.New("TLS isn't offered")
	}
	collation := o.collation
	if collation == 0 {
		collation = 45
	}
	head := binary.LittleEndian.AppendUint32(nil, w.caps)
	head = binary.LittleEndian.AppendUint32(head, 1<<30)
	head = append(append(head, collation), make([]byte, 19)...)
	head = binary.LittleEndian.AppendUint32(head, o.own&w.own)
	if o.tls != nil {
		if err := w.writePacket(head); err != nil {
			return err
		}
		tc := tls.Client(w.nc, o.tls)
		if err := tc.Handshake(); err != nil {
			return err
		}
		w.nc, w.r, w.secure = tc, bufio.NewReaderSize(tc, 64<<10), true
	}
	plugin := o.plugin
	if plugin == "" {
		plugin = w.plugin
	}
	answer := w.scramble(plugin)
	b := slices.Concat(head, []byte(o.user), []byte{0, byte(len(answer))})
	b = append(b, answer...)
	if o.db != "" {
		b = append(append(b, o.db...), 0)
	}
	b = append(append(b, plugin...), 0)
	if o.attrs != nil {
		var all []byte
		for k, v := range o.attrs {
			all = appendLenenc(appendLenenc(all, []byte(k)), []byte(v))
		}
		b = appendLenenc(b, all)
	}
	b = append(b, o.rawAttrs...)
	if err := w.writePacket(b); err != nil {
		return err
	}
	return w.finishLogin()
}

// readPacket reads one packet, joined from its parts. It checks the sequence.
func (w *wire) readPacket() ([]byte, error) {
	var whole []byte
	for {
		var h [4]byte
		if _, err := io.ReadFull(w.r, h[:]); err != nil {
			return nil, err
		}
		n := int(h[0]) | int(h[1])<<8 | int(h[2])<<16
		if h[3] != w.seq {
			return nil, fmt.Errorf("packet %d where %d was due", h[3], w.seq)
		}
		w.seq++
		at := len(whole)
		whole = append(whole, make([]byte, n)...)
		if _, err := io.ReadFull(w.r, whole[at:]); err != nil {
			return nil, err
		}
		if n < 1<<24-1 {
			if len(whole) == 0 {
				return nil, errors.New("an empty packet")
			}
			return whole, nil
		}
	}
}

func (w *wire) writePacket(p []byte) error {
	var b []byte
	for {
		n := min(len(p), 1<<24-1)
		b = append(b, byte(n), byte(n>>8), byte(n>>16), w.seq)
		b = append(b, p[:n]...)
		w.seq++
		p = p[n:]
		if n < 1<<24-1 {
			_, err := w.nc.Write(b)
			return err
		}
	}
}

// send sends a command.
func (w *wire) send(com byte, parts ...[]byte) error {
	w.seq = 0
	return w.writePacket(bytes.Join(append([][]byte{{com}}, parts...), nil))
}

func parseError(p []byte) *wireError {
	e := &wireError{Code: binary.LittleEndian.Uint16(p[1:])}
	rest := p[3:]
	if len(rest) > 0 && rest[0] == '#' {
		e.State, rest = string(rest[1:6]), rest[6:]
	}
	e.Message = string(rest)
	return e
}

func lenenc(p []byte) (n uint64, rest []byte) {
	switch p[0] {
	case 0xfc:
		return uint64(binary.LittleEndian.Uint16(p[1:])), p[3:]
	case 0xfd:
		return uint64(p[1]) | uint64(p[2])<<8 | uint64(p[3])<<16, p[4:]
	case 0xfe:
		return binary.LittleEndian.Uint64(p[1:]), p[9:]
	}
	return uint64(p[0]), p[1:]
}

func (w *wire) parseOK(p []byte) okPacket {
	var ok okPacket
	p = p[1:]
	ok.Affected, p = lenenc(p)
	ok.InsertID, p = lenenc(p)
	ok.Status, ok.Warnings = binary.LittleEndian.Uint16(p), binary.LittleEndian.Uint16(p[2:])
	p = p[4:]
	if w.caps&capSessionTrack != 0 {
		if len(p) > 0 {
			n, rest := lenenc(p)
			ok.Info = string(rest[:n])
		}
	} else {
		ok.Info = string(p)
	}
	return ok
}

// result is one result of a command.
type result struct {
	Columns [][]byte // raw definitions
	Rows    [][]byte // raw rows
	OK      okPacket // also the end of a result set
	Err     *wireError
}

// results reads all that a QUERY or an EXECUTE answers.
func (w *wire) results() ([]result, error) {
	var all []result
	for {
		r, err := w.oneResult()
		if err != nil {
			return all, err
		}
		all = append(all, r)
		if r.Err != nil || r.OK.Status&statusMoreResults == 0 {
			return all, nil
		}
	}
}

func (w *wire) oneResult() (result, error) {
	var r result
	p, err := w.readPacket()
	if err != nil {
		return r, err
	}
	switch p[0] {
	case 0x00:
		r.OK = w.parseOK(p)
		return r, nil
	case 0xff:
		r.Err = parseError(p)
		return r, nil
	case 0xfb:
		// LOAD DATA LOCAL: there is no such file.
		if err := w.writePacket(nil); err != nil {
			return r, err
		}
		return w.oneResult()
	}
	n, _ := lenenc(p)
	for range n {
		if p, err = w.readPacket(); err != nil {
			return r, err
		}
		r.Columns = append(r.Columns, p)
	}
	if w.caps&capDeprecateEOF == 0 {
		if p, err = w.readPacket(); err != nil {
			return r, err
		}
		if p[0] != 0xfe || len(p) != 5 {
			return r, fmt.Errorf("no EOF after the columns: % x", p)
		}
		if status := binary.LittleEndian.Uint16(p[3:]); status&statusCursor != 0 {
			r.OK.Status = status
			return r, nil
		}
	}
	return r, w.rows(&r)
}

// rows reads rows up to their end.
func (w *wire) rows(r *result) error {
	for {
		p, err := w.readPacket()
		if err != nil {
			return err
		}
		switch {
		case p[0] == 0xff:
			r.Err = parseError(p)
			return nil
		case p[0] == 0xfe && w.caps&capDeprecateEOF != 0 && len(p) < 1<<24-1:
			r.OK = w.parseOK(p)
			return nil
		case p[0] == 0xfe && w.caps&capDeprecateEOF == 0 && len(p) == 5:
			r.OK.Warnings, r.OK.Status = binary.LittleEndian.Uint16(p[1:]), binary.LittleEndian.Uint16(p[3:])
			return nil
		}
		r.Rows = append(r.Rows, p)
	}
}

// query runs a text query.
func (w *wire) query(q string) ([]result, error) {
	return w.queryWith([]byte{0, 1}, q)
}

// queryWith runs a text query with query attributes, as they lie before it.
func (w *wire) queryWith(attributes []byte, q string) ([]result, error) {
	if w.caps&capAttributes == 0 {
		attributes = nil
	}
	if err := w.send(comQuery, attributes, []byte(q)); err != nil {
		return nil, err
	}
	return w.results()
}

// simple sends a command that one OK or ERR answers.
func (w *wire) simple(com byte, parts ...[]byte) (okPacket, error) {
	if err := w.send(com, parts...); err != nil {
		return okPacket{}, err
	}
	p, err := w.readPacket()
	if err != nil {
		return okPacket{}, err
	}
	switch p[0] {
	case 0xff:
		return okPacket{}, parseError(p)
	case 0xfe:
		return okPacket{}, nil // EOF, SET_OPTION's answer to old clients
	}
	return w.parseOK(p), nil
}

// text runs a query of one result set and returns its cells; a NULL is "NULL".
func (w *wire) text(q string) ([][]string, error) {
	rs, err := w.query(q)
	if err != nil {
		return nil, err
	}
	if rs[0].Err != nil {
		return nil, rs[0].Err
	}
	var rows [][]string
	for _, p := range rs[0].Rows {
		rows = append(rows, textRow(p))
	}
	return rows, nil
}

func textRow(p []byte) []string {
	var row []string
	for len(p) > 0 {
		if p[0] == 0xfb {
			row, p = append(row, "NULL"), p[1:]
			continue
		}
		n, rest := lenenc(p)
		row, p = append(row, string(rest[:n])), rest[n:]
	}
	return row
}

// one runs a query of one cell.
func (w *wire) one(q string) (string, error) {
	rows, err := w.text(q)
	if err != nil {
		return "", err
	}
	if len(rows) != 1 || len(rows[0]) == 0 {
		return "", fmt.Errorf("%s: %d rows", q, len(rows))
	}
	return rows[0][0], nil
}
