package protocol

import (
	"bytes"
	"encoding/binary"
	"maps"
	"slices"
)

// Greeting is what a server says first.
type Greeting struct {
	Version      string // as sent; MariaDB 10 puts "5.5.5-" in front
	ConnectionID uint32
	Collation    uint8
	Capabilities Capability
	Status       Status
	AuthPlugin   string

	salt []byte
}

const saltSize = 20

func badHandshake(format string, args ...any) *Error {
	return Errorf(codeBadHandshake, "08S01", "bad handshake: "+format, args...)
}

// parseGreeting reads a handshake packet of protocol version 10.
func parseGreeting(p []byte) (*Greeting, error) {
	d := decoder{p: p}
	if v := d.byte(); v != 10 {
		return nil, badHandshake("the server speaks protocol version %d, not 10", v)
	}
	g := &Greeting{Version: string(d.nulString()), ConnectionID: d.uint32()}
	g.salt = append(g.salt, d.take(8)...)
	d.byte()
	g.Capabilities = Capability(d.uint16())
	if d.bad {
		return nil, badHandshake("a greeting of %d bytes ends early", len(p))
	}
	if len(d.p) == 0 {
		return g, nil
	}
	g.Collation = d.byte()
	g.Status = Status(d.uint16())
	g.Capabilities |= Capability(d.uint16()) << 16
	size := int(d.byte())
	d.take(6)
	if own := Capability(d.uint32()) << 32; !g.Capabilities.Has(CapLongPassword) {
		g.Capabilities |= own
	}
	if g.Capabilities.Has(CapSecureConnection) {
		rest := d.take(uint64(min(max(13, size-8), len(d.p))))
		g.salt = append(g.salt, bytes.TrimSuffix(rest, []byte{0})...)
	}
	if g.Capabilities.Has(CapPluginAuth) {
		g.AuthPlugin = string(d.lastString())
	}
	if d.bad {
		return nil, badHandshake("a greeting of %d bytes ends early", len(p))
	}
	return g, nil
}

func (g *Greeting) append(dst []byte) []byte {
	caps := g.Capabilities
	if caps&mariaDBOnly != 0 {
		caps &^= CapLongPassword
	}
	dst = append(dst, 10)
	dst = append(append(dst, g.Version...), 0)
	dst = binary.LittleEndian.AppendUint32(dst, g.ConnectionID)
	dst = append(append(dst, g.salt[:8]...), 0)
	dst = binary.LittleEndian.AppendUint16(dst, uint16(caps))
	dst = append(dst, g.Collation)
	dst = binary.LittleEndian.AppendUint16(dst, uint16(g.Status))
	dst = binary.LittleEndian.AppendUint16(dst, uint16(caps>>16))
	dst = append(dst, saltSize+1)
	dst = append(dst, make([]byte, 6)...)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(caps>>32))
	dst = append(append(dst, g.salt[8:]...), 0)
	return append(append(dst, g.AuthPlugin...), 0)
}

// response is a client's handshake response, or its COM_CHANGE_USER.
type response struct {
	caps      Capability
	maxPacket uint32
	collation uint16
	user      string
	auth      []byte
	database  string
	plugin    string
	attrs     map[string]string
}

const (
	// responseFixed is what stands before the user's name; a request for TLS
	// is that part alone.
	responseFixed = 4 + 4 + 1 + 23
	maxLogin      = 256 << 10
	maxAttrs      = 64 << 10
)

// parseResponse reads a handshake response of protocol 4.1. Capabilities that
// weren't offered don't count, but say how the packet is laid out.
func parseResponse(p []byte) (*response, error) {
	d := decoder{p: p}
	r := &response{caps: Capability(d.uint32()), maxPacket: d.uint32(), collation: uint16(d.byte())}
	if !r.caps.Has(CapProtocol41) {
		return nil, badHandshake("the client speaks the protocol from before MySQL 4.1")
	}
	d.take(19)
	if own := Capability(d.uint32()) << 32; !r.caps.Has(CapLongPassword) {
		r.caps |= own
	}
	r.user = string(d.nulString())
	switch {
	case r.caps.Has(CapPluginAuthLenenc):
		r.auth = d.lenString()
	case r.caps.Has(CapSecureConnection):
		r.auth = d.take(uint64(d.byte()))
	default:
		r.auth = d.lastString()
	}
	// Some clients announce a database or a plugin and then send none.
	if r.caps.Has(CapConnectWithDB) && len(d.p) > 0 {
		r.database = string(d.lastString())
	}
	if r.caps.Has(CapPluginAuth) && len(d.p) > 0 {
		r.plugin = string(d.lastString())
	}
	if err := r.readAttrs(&d); err != nil {
		return nil, err
	}
	if r.caps.Has(CapZstd) && len(d.p) > 0 {
		d.byte() // the level that the client would like
	}
	if d.bad {
		return nil, badHandshake("a response of %d bytes ends early", len(p))
	}
	return r, nil
}

// parseChangeUser reads a COM_CHANGE_USER without the command's byte.
func parseChangeUser(p []byte, caps Capability) (*response, error) {
	d := decoder{p: p}
	r := &response{caps: caps, user: string(d.nulString())}
	if caps.Has(CapSecureConnection) {
		r.auth = d.take(uint64(d.byte()))
	} else {
		r.auth = d.nulString()
	}
	r.database = string(d.lastString())
	if len(d.p) >= 2 {
		r.collation = d.uint16()
	}
	if caps.Has(CapPluginAuth) && len(d.p) > 0 {
		r.plugin = string(d.lastString())
	}
	if err := r.readAttrs(&d); err != nil {
		return nil, err
	}
	if d.bad {
		return nil, badHandshake("a COM_CHANGE_USER of %d bytes ends early", len(p))
	}
	return r, nil
}

func (r *response) readAttrs(d *decoder) error {
	if !r.caps.Has(CapConnectAttrs) || len(d.p) == 0 || d.bad {
		return nil
	}
	a := decoder{p: d.lenString(), bad: d.bad}
	if len(a.p) > maxAttrs {
		return badHandshake("connection attributes of %d bytes, of which servers take %d", len(a.p), maxAttrs)
	}
	r.attrs = make(map[string]string)
	for len(a.p) > 0 && !a.bad {
		key, value := a.lenString(), a.lenString()
		if !a.bad {
			r.attrs[string(key)] = string(value)
		}
	}
	if a.bad {
		return badHandshake("the connection attributes end early")
	}
	return nil
}

// appendFixed appends the part that is also a request for TLS.
func (r *response) appendFixed(dst []byte) []byte {
	dst = binary.LittleEndian.AppendUint32(dst, uint32(r.caps))
	dst = binary.LittleEndian.AppendUint32(dst, r.maxPacket)
	dst = append(dst, byte(r.collation))
	dst = append(dst, make([]byte, 19)...)
	return binary.LittleEndian.AppendUint32(dst, uint32(r.caps>>32))
}

func (r *response) append(dst []byte) []byte {
	dst = r.appendFixed(dst)
	dst = append(append(dst, r.user...), 0)
	switch {
	case r.caps.Has(CapPluginAuthLenenc):
		dst = appendLenString(dst, r.auth)
	case r.caps.Has(CapSecureConnection):
		dst = append(append(dst, byte(len(r.auth))), r.auth...)
	default:
		dst = append(append(dst, r.auth...), 0)
	}
	if r.caps.Has(CapConnectWithDB) {
		dst = append(append(dst, r.database...), 0)
	}
	if r.caps.Has(CapPluginAuth) {
		dst = append(append(dst, r.plugin...), 0)
	}
	dst = r.appendAttrs(dst)
	if r.caps.Has(CapZstd) {
		dst = append(dst, zstdLevel)
	}
	return dst
}

func (r *response) appendChangeUser(dst []byte) []byte {
	dst = append(append(dst, r.user...), 0)
	dst = append(append(dst, byte(len(r.auth))), r.auth...)
	dst = append(append(dst, r.database...), 0)
	dst = binary.LittleEndian.AppendUint16(dst, r.collation)
	if r.caps.Has(CapPluginAuth) {
		dst = append(append(dst, r.plugin...), 0)
	}
	return r.appendAttrs(dst)
}

func (r *response) appendAttrs(dst []byte) []byte {
	if !r.caps.Has(CapConnectAttrs) {
		return dst
	}
	var a []byte
	for _, key := range slices.Sorted(maps.Keys(r.attrs)) {
		a = appendLenString(a, key)
		a = appendLenString(a, r.attrs[key])
	}
	return appendLenString(dst, a)
}
