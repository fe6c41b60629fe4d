package etcdstore

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"shardway/shardmap"
)

// maxSend bounds a request: a Swap carries the map twice.
const maxSend = 2*shardmap.MaxBytes + 1<<20

// A connection that is silent for so long is probed, and given up when the
// probe isn't answered. Servers of etcd refuse probes that come more often.
const (
	keepAliveTime    = 10 * time.Second
	keepAliveTimeout = 3 * time.Second
)

// errClosed is the error of every call after Close.
var errClosed = errors.New("the map store was closed")

// tlsConfig is nil without TLS. The certificate that is shown is read at each
// connection, so a renewed one needs no restart.
func tlsConfig(o Options) (*tls.Config, error) {
	if (o.Cert == "") != (o.Key == "") {
		return nil, errors.New("etcd.tls: a certificate and its key go together; set both or none")
	}
	if o.CA == "" && o.Cert == "" {
		return nil, nil
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if o.CA != "" {
		pem, err := os.ReadFile(o.CA)
		if err != nil {
			return nil, fmt.Errorf("etcd.tls.ca: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("etcd.tls.ca: %s holds no certificate in PEM form", o.CA)
		}
	}
	if o.Cert != "" {
		if _, err := tls.LoadX509KeyPair(o.Cert, o.Key); err != nil {
			return nil, fmt.Errorf("etcd.tls.cert, etcd.tls.key: %w", err)
		}
		c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			pair, err := tls.LoadX509KeyPair(o.Cert, o.Key)
			return &pair, err
		}
	}
	return c, nil
}

// client returns the connected client, which the first caller makes.
func (s *Store) client(ctx context.Context) (*clientv3.Client, error) {
	select {
	case <-s.closed:
		return nil, errClosed
	default:
	}
	select {
	case s.connecting <- struct{}{}:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	defer func() { <-s.connecting }()
	if s.conn != nil {
		return s.conn, nil
	}
	c, err := clientv3.New(clientv3.Config{
		Endpoints: s.at.endpoints, DialTimeout: s.o.DialTimeout, TLS: s.tls,
		Username: s.o.User, Password: s.o.Password,
		DialKeepAliveTime: keepAliveTime, DialKeepAliveTimeout: keepAliveTimeout,
		MaxCallSendMsgSize: maxSend, MaxCallRecvMsgSize: 2 * maxSend,
		// Otherwise an etcd that was away for long is found only minutes later.
		DialOptions: []grpc.DialOption{grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: firstRetry, Multiplier: 1.6, Jitter: 0.2, MaxDelay: lastRetry / 2},
			MinConnectTimeout: s.o.DialTimeout,
		}), grpc.WithContextDialer(s.dial), grpc.WithTransportCredentials(s.credentials())},
		Logger: zap.NewNop(), // what matters comes back as an error
	})
	if err != nil {
		return nil, err
	}
	s.conn = c
	return c, nil
}

// A request that gets no connection only learns that there is none, so the
// reason is kept where it arises.

func (s *Store) dial(ctx context.Context, addr string) (net.Conn, error) {
	c, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	if err != nil {
		s.refusal.Store(&err)
	}
	return c, err
}

func (s *Store) credentials() credentials.TransportCredentials {
	if s.tls == nil {
		return insecure.NewCredentials()
	}
	return handshaker{credentials.NewTLS(s.tls), s}
}

// handshaker is TLS that keeps why it failed.
type handshaker struct {
	credentials.TransportCredentials
	s *Store
}

func (h handshaker) ClientHandshake(ctx context.Context, name string, c net.Conn) (net.Conn, credentials.AuthInfo, error) {
	out, info, err := h.TransportCredentials.ClientHandshake(ctx, name, c)
	if err != nil {
		err = fmt.Errorf("%s: %w", c.RemoteAddr(), err)
		h.s.refusal.Store(&err)
	}
	return out, info, err
}

func (h handshaker) Clone() credentials.TransportCredentials {
	return handshaker{h.TransportCredentials.Clone(), h.s}
}

// leave gives a client up, so that the next request logs in anew. A client
// whose token an etcd has forgotten, as it does when it starts again, may ask
// for another by requests that carry the old one, and be refused without end.
func (s *Store) leave(c *clientv3.Client) {
	s.connecting <- struct{}{}
	defer func() { <-s.connecting }()
	if c != nil && s.conn == c {
		s.conn = nil
		_ = c.Close() // it says that it was cancelled
	}
}

// Close ends the connection. Calls that wait return.
func (s *Store) Close() error {
	s.closing.Do(func() { close(s.closed) })
	s.connecting <- struct{}{}
	defer func() { <-s.connecting }()
	if s.conn == nil {
		return nil
	}
	err := s.conn.Close()
	s.conn = nil
	if errors.Is(err, context.Canceled) {
		return nil // a closed client says that it was cancelled
	}
	return err
}

// call runs one request within the deadline of requests. what says what was
// tried, for the error.
func (s *Store) call(ctx context.Context, what string, do func(context.Context, *clientv3.Client) error) error {
	within, cancel := context.WithTimeout(ctx, s.o.DialTimeout)
	defer cancel()
	c, err := s.client(within)
	if err == nil {
		err = do(within, c)
	}
	if err != nil && s.o.User != "" && !errors.Is(ctx.Err(), context.Canceled) && (unanswered(err) || is(err, rpctypes.ErrInvalidAuthToken)) {
		s.leave(c)
	}
	if unanswered(err) && ctx.Err() == nil {
		if why := s.refusal.Swap(nil); why != nil {
			err = fmt.Errorf("%w: %w", err, *why)
		}
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, errClosed) || errors.Is(err, shardmap.ErrConflict):
		return err
	case ctx.Err() != nil:
		return fmt.Errorf("%s: %s: %w", s.servers(), what, context.Cause(ctx))
	}
	return &requestError{servers: s.servers(), what: what, err: err, advice: s.advice(err)}
}

// servers names the servers for messages.
func (s *Store) servers() string { return "etcd at " + strings.Join(s.at.endpoints, ", ") }

// requestError is a request to etcd that failed.
type requestError struct {
	servers, what string
	err           error
	advice        string
}

func (e *requestError) Error() string {
	text := fmt.Sprintf("%s: %s: %s", e.servers, e.what, reason(e.err))
	if e.advice != "" {
		text += "; " + e.advice
	}
	return text
}

func (e *requestError) Unwrap() error { return e.err }

func (e *requestError) Is(target error) bool { return target == shardmap.ErrUnavailable }

// reason is the text of an error without the wrapping of the protocol.
func reason(err error) string {
	if both, ok := err.(interface{ Unwrap() []error }); ok { // why there is no connection
		return both.Unwrap()[1].Error()
	}
	if errors.Is(err, context.DeadlineExceeded) || code(err) == codes.DeadlineExceeded {
		return "no answer in time"
	}
	if s, ok := status.FromError(err); ok {
		return strings.TrimPrefix(s.Message(), "etcdserver: ")
	}
	return strings.TrimPrefix(err.Error(), "etcdserver: ")
}

// code is the error's code in the protocol.
func code(err error) codes.Code {
	if e, ok := errors.AsType[rpctypes.EtcdError](err); ok {
		return e.Code()
	}
	return status.Code(err)
}

// is tells whether err is that error of etcd, however it is wrapped.
func is(err error, want error) bool {
	if errors.Is(err, want) {
		return true
	}
	s, ok := status.FromError(err)
	return ok && s.Message() == rpctypes.ErrorDesc(want)
}

// advice says what to do about an error.
func (s *Store) advice(err error) string {
	switch {
	case is(err, rpctypes.ErrAuthFailed):
		return fmt.Sprintf("etcd knows no user %q with this password: correct etcd.user and etcd.password", s.o.User)
	case is(err, rpctypes.ErrUserEmpty):
		return "this etcd has users: set etcd.user and etcd.password"
	case is(err, rpctypes.ErrPermissionDenied) && s.o.User == "":
		return "set etcd.user and etcd.password, or give the user that etcd.tls.cert names a role that may write there"
	case is(err, rpctypes.ErrPermissionDenied):
		return fmt.Sprintf("give the user %q a role that may write there: etcdctl role grant-permission ROLE --prefix=true readwrite %s/", s.o.User, s.at.prefix)
	case is(err, rpctypes.ErrRequestTooLarge):
		return "start etcd with a larger --max-request-bytes: a change of the map sends it twice"
	case is(err, rpctypes.ErrNoSpace):
		return "etcd's database is full: compact and defragment it, raise --quota-backend-bytes, and disarm its alarm"
	case errors.Is(err, context.DeadlineExceeded), code(err) == codes.DeadlineExceeded, code(err) == codes.Unavailable:
		if s.tls == nil {
			return "check that etcd runs there, that this machine reaches it, and whether it wants TLS (etcd.tls.ca)"
		}
		return "check that etcd runs there, that this machine reaches it, and that its certificate is for this address and signed by etcd.tls.ca"
	}
	return ""
}
