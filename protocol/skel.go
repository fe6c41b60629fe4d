package protocol

import (
	"context"
	"crypto/rsa"
	"crypto/tls"
	"net"
	"sync"
	"time"
)

type Conn struct {
	BytesIn, BytesOut uint64
}

func NewConn(nc net.Conn) *Conn                                         { return &Conn{} }
func (c *Conn) ReadPacket() ([]byte, error)                             { return nil, nil }
func (c *Conn) ReadCommand() (Command, []byte, error)                   { return 0, nil, nil }
func (c *Conn) WritePacket(payload []byte) error                        { return nil }
func (c *Conn) WriteOK(ok OK) error                                     { return nil }
func (c *Conn) WriteError(e *Error) error                               { return nil }
func (c *Conn) WriteEOF(status Status, warnings uint16) error           { return nil }
func (c *Conn) WriteCommand(cmd Command, payload ...[]byte) error       { return nil }
func (c *Conn) Flush() error                                            { return nil }
func (c *Conn) Idle()                                                   {}
func (c *Conn) Clean() bool                                             { return false }
func (c *Conn) Capabilities() Capability                                { return 0 }
func (c *Conn) SetCapabilities(Capability)                              {}
func (c *Conn) SetMaxPacket(n int)                                      {}
func (c *Conn) SetDeadline(t time.Time) error                           { return nil }
func (c *Conn) SetReadDeadline(t time.Time) error                       { return nil }
func (c *Conn) SetWriteDeadline(t time.Time) error                      { return nil }
func (c *Conn) Interrupt()                                              {}
func (c *Conn) LocalAddr() net.Addr                                     { return nil }
func (c *Conn) RemoteAddr() net.Addr                                    { return nil }
func (c *Conn) Close() error                                            { return nil }
func (c *Conn) TLS() *tls.ConnectionState                               { return nil }
func (c *Conn) ReadPrepared() (*Prepared, *Error, error)                { return nil, nil, nil }
func (c *Conn) WritePrepared(id uint32, p *Prepared) error              { return nil }
func (c *Conn) WriteRows(r *Rows, binary bool, status Status) error     { return nil }
func (c *Conn) Exec(sql string) (Reply, error)                          { return Reply{}, nil }
func (c *Conn) Query(sql string) (*Result, error)                       { return nil, nil }
func (src *Conn) Forward(d *Conn, k ReplyKind, r *Relay) (Reply, error) { return Reply{}, nil }

type ReplyKind uint8

const (
	ReplyQuery ReplyKind = iota
	ReplyFetch
	ReplyFieldList
	ReplySimple
	ReplyString
)

type Relay struct {
	SetStatus, ClearStatus Status
	HoldError              func(*Error) bool
	Track                  []string
}

type Reply struct {
	OK
	Err        *Error
	Held       bool
	Rows       uint64
	ResultSets int
	FirstByte  bool
	Broken     bool
}

type Prepared struct {
	ID                    uint32
	Params, Columns       int
	Warnings              uint16
	ParamDefs, ColumnDefs [][]byte
}

type Execute struct {
	StmtID     uint32
	Flags      byte
	Iterations uint32
	NullBitmap []byte
	TypesSent  bool
	Types      []byte
	Values     []byte
}

func DecodeExecute(payload []byte, params int) (Execute, error) { return Execute{}, nil }

type Param struct {
	Type                     byte
	Unsigned, Null, LongData bool
	Int                      int64
	Uint                     uint64
	Float                    float64
	Bytes                    []byte
}

func (e *Execute) DecodeParams(types []byte, longData func(i int) bool, dst []Param) ([]Param, error) {
	return dst, nil
}
func AppendExecute(dst []byte, serverID uint32, e *Execute, types []byte) []byte { return dst }

type Column struct {
	Name     string
	Type     byte
	Unsigned bool
}
type Rows struct {
	Columns []Column
	Rows    [][]any
}
type Result struct {
	Columns []string
	Rows    [][]*string
	OK      OK
}
type DialOptions struct {
	Network, Addr          string
	User, Password         string
	Database               string
	Collation              uint16
	TLS                    TLSMode
	TLSConfig              *tls.Config
	Capabilities           Capability
	Attrs                  map[string]string
	KeepAlive, UserTimeout time.Duration
}
type Greeting struct {
	Version      string
	ConnectionID uint32
	Collation    uint8
	Capabilities Capability
	Status       Status
	AuthPlugin   string
}

func Dial(ctx context.Context, o DialOptions) (*Conn, *Greeting, error) { return nil, nil, nil }

type Authenticator interface {
	Password(user string) (password string, ok bool)
}
type RSAKey struct {
	once sync.Once
	key  *rsa.PrivateKey
}
type Login struct {
	Version       string
	ConnectionID  uint32
	Collation     uint8
	Status        Status
	Capabilities  Capability
	Auth          Authenticator
	TLS           func() *tls.Config
	RequireTLS    bool
	DefaultPlugin string
	FullAuth      bool
	RSAKey        *RSAKey
}
type Client struct {
	User, Database string
	Collation      uint16
	Capabilities   Capability
	Attrs          map[string]string
}

func (l *Login) Accept(ctx context.Context, c *Conn) (*Client, error) { return nil, nil }
func (l *Login) ChangeUser(c *Conn, payload []byte) (*Client, error)  { return nil, nil }

type TLSMode string

const (
	TLSDisabled       TLSMode = "disabled"
	TLSPreferred      TLSMode = "preferred"
	TLSRequired       TLSMode = "required"
	TLSVerifyCA       TLSMode = "verify-ca"
	TLSVerifyIdentity TLSMode = "verify-identity"
)

type TLSReloader struct{ OnError func(error) }

func ServerTLS(cert, key, clientCA string) (*TLSReloader, error)                    { return nil, nil }
func (r *TLSReloader) Config() *tls.Config                                          { return nil }
func ClientTLS(mode TLSMode, ca, cert, key, serverName string) (*tls.Config, error) { return nil, nil }
