package etcdstore

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"shardway/shardmap"
)

// DefaultDialTimeout bounds connecting and requests where Options don't.
const DefaultDialTimeout = 3 * time.Second

// Options say how to log in to etcd.
type Options struct {
	User, Password string // empty for an etcd without users
	// PEM files. With CA or Cert the connection is encrypted: CA are those who
	// sign the servers' certificates (the system's when it is empty), Cert and
	// Key are what this side shows.
	CA, Cert, Key string
	// DialTimeout bounds connecting, and each request; 0 is DefaultDialTimeout.
	DialTimeout time.Duration
	Log         *slog.Logger // tells of outages while Watch waits; nil tells nobody
}

// Store is the map below a prefix in etcd. Its methods can be called by several
// goroutines at once.
type Store struct {
	at  address
	o   Options
	tls *tls.Config

	closing    sync.Once
	closed     chan struct{}
	connecting chan struct{}         // held while conn is made or closed
	conn       *clientv3.Client      // nil until the first request
	refusal    atomic.Pointer[error] // why the last connection wasn't made

	mu   sync.Mutex
	last *shardmap.Map // as last read or stored
	told string        // the text of the error that Watch last returned
	lost time.Time     // since when Watch finds etcd away; zero when it is there
}

var (
	_ shardmap.Store   = (*Store)(nil)
	_ shardmap.History = (*Store)(nil)
	_ shardmap.Fleet   = (*Store)(nil)
)

// Open returns the store at etcd://HOST:PORT[,HOST:PORT]/PREFIX. It reads the
// files of TLS and connects to nothing.
func Open(at string, o Options) (*Store, error) {
	a, err := parseAddress(at)
	if err != nil {
		return nil, err
	}
	if o.DialTimeout <= 0 {
		o.DialTimeout = DefaultDialTimeout
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.User == "" && o.Password != "" || o.User != "" && o.Password == "" {
		return nil, errors.New("etcd.user and etcd.password go together; set both or none")
	}
	s := &Store{at: a, o: o, closed: make(chan struct{}), connecting: make(chan struct{}, 1)}
	if s.tls, err = tlsConfig(o); err != nil {
		return nil, err
	}
	return s, nil
}

func (s *Store) mapKey() string { return s.at.prefix + "/map" }

// where names the map in messages.
func (s *Store) where() string { return fmt.Sprintf("%s: %s", s.servers(), s.mapKey()) }

// stored is what the key of the map holds.
type stored struct {
	text     []byte // nil when there is none
	modified int64  // the revision of etcd that wrote it; 0 when there is none
	read     int64  // the revision of etcd when it was read
}

func (s *Store) read(ctx context.Context) (stored, error) {
	var out stored
	err := s.call(ctx, "read the map", func(ctx context.Context, c *clientv3.Client) error {
		r, err := c.Get(ctx, s.mapKey())
		if err != nil {
			return err
		}
		out.read = r.Header.Revision
		if len(r.Kvs) > 0 {
			out.text, out.modified = r.Kvs[0].Value, r.Kvs[0].ModRevision
		}
		return nil
	})
	return out, err
}

// parse makes a map of what is stored.
func (s *Store) parse(v stored) (*shardmap.Map, error) {
	if v.modified == 0 {
		return nil, fmt.Errorf("%s: there is no map (%w); store one with shardctl map apply FILE", s.where(), fs.ErrNotExist)
	}
	m, err := shardmap.Parse(v.text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.where(), err)
	}
	return m, nil
}

// Text returns the map as it is written, even where it has errors. Where there
// is none the error is fs.ErrNotExist.
func (s *Store) Text(ctx context.Context) ([]byte, error) {
	v, err := s.read(ctx)
	if err != nil {
		return nil, err
	}
	if v.modified == 0 {
		_, err = s.parse(v)
	}
	return v.text, err
}

// Load reads the map. Where there is none the error is fs.ErrNotExist.
func (s *Store) Load(ctx context.Context) (*shardmap.Map, error) {
	v, err := s.read(ctx)
	if err != nil {
		return nil, err
	}
	m, err := s.parse(v)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last = m
	return m, nil
}

// Swap stores next if the stored map still has version base, and otherwise
// fails with an error that is shardmap.ErrConflict. Base 0 stands for no map.
func (s *Store) Swap(ctx context.Context, base uint64, next *shardmap.Map) error {
	if next.Version() <= base {
		return fmt.Errorf("the new version %d is not above %d, which it follows", next.Version(), base)
	}
	text, err := next.Marshal()
	if err != nil {
		return err
	}
	v, err := s.read(ctx)
	if err != nil {
		return err
	}
	var current *shardmap.Map
	if v.modified != 0 {
		if current, err = s.parse(v); err != nil {
			return fmt.Errorf("%w; mend it or delete the key first", err)
		}
		if current.Version() != base {
			return s.conflict(base, current.Version())
		}
	} else if base != 0 {
		return fmt.Errorf("%w: %s is gone and was at version %d", shardmap.ErrConflict, s.where(), base)
	}
	// Whoever loses the answer can find out by this mark what became of it.
	mark := rand.Text()
	entry, err := s.entry(next, text, shardmap.Note(ctx), mark)
	if err != nil {
		return err
	}
	then := []clientv3.Op{clientv3.OpPut(s.mapKey(), string(text)), clientv3.OpPut(s.historyKey(next.Version()), entry)}
	more, err := s.tidy(ctx, current, v.text, next.Version())
	if err != nil {
		return err
	}
	committed := false
	err = s.call(ctx, fmt.Sprintf("store version %d", next.Version()), func(ctx context.Context, c *clientv3.Client) error {
		r, err := c.Txn(ctx).If(clientv3.Compare(clientv3.ModRevision(s.mapKey()), "=", v.modified)).Then(append(then, more...)...).Commit()
		if err == nil {
			committed = r.Succeeded
		}
		return err
	})
	if err != nil {
		if committed, err = s.settle(ctx, next.Version(), mark, err); err != nil {
			return err
		}
	}
	if !committed {
		return s.conflict(base, 0)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last = next
	return nil
}

func (s *Store) conflict(base, now uint64) error {
	if now == 0 {
		return fmt.Errorf("%w: %s was changed by another while version %d was to be followed; load it again", shardmap.ErrConflict, s.where(), base)
	}
	return fmt.Errorf("%w: %s is at version %d, not %d; load it again", shardmap.ErrConflict, s.where(), now, base)
}

// settle finds out whether a transaction whose answer was lost has happened.
func (s *Store) settle(ctx context.Context, version uint64, mark string, lost error) (committed bool, err error) {
	if !unanswered(lost) {
		return false, lost
	}
	// The caller's time may be what has run out.
	ctx = context.WithoutCancel(ctx)
	e, err := s.find(ctx, version)
	if err != nil && !errors.Is(err, shardmap.ErrNoRevision) {
		return false, fmt.Errorf("%w. Whether version %d was stored is unknown; look with shardctl map show", lost, version)
	}
	if err == nil && e.Mark == mark {
		return true, nil
	}
	return false, lost
}
