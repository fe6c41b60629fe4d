package router

import (
	"context"
	"hash/maphash"
	"maps"
	"net"
	"slices"
	"time"

	"shardway/protocol"
	"shardway/protocol/secret"
)

// accounts are what the users must prove, and for everybody else accounts that look the same and let nobody in: how a
// login goes doesn't tell whether there is such a user.
type accounts struct {
	byUser map[string]*secret.Account
	decoys []*secret.Account
	seed   maphash.Seed
}

// newAccounts takes over the secrets of before that are the same, with what they have learned of their passwords.
func newAccounts(users map[string]*User, before *accounts) *accounts {
	a := &accounts{byUser: map[string]*secret.Account{}, seed: maphash.MakeSeed()}
	if before != nil {
		a.seed = before.seed
	}
	for _, name := range slices.Sorted(maps.Keys(users)) {
		u := users[name]
		secrets := slices.Clone(u.Secrets)
		if len(secrets) == 0 {
			secrets = []*secret.Secret{secret.Password(u.Password)}
		}
		decoy := &secret.Account{}
		for i, s := range secrets {
			if before != nil && before.byUser[name] != nil {
				for _, old := range before.byUser[name].Secrets {
					if old.Same(s) {
						secrets[i] = old
					}
				}
			}
			decoy.Secrets = append(decoy.Secrets, s.Decoy())
		}
		a.byUser[name] = &secret.Account{Secrets: secrets, TLS: u.TLS, X509: u.X509, Subject: u.Subject}
		a.decoys = append(a.decoys, decoy)
	}
	return a
}

// of returns the same decoy each time for one name.
func (a *accounts) of(user string) *secret.Account {
	if known := a.byUser[user]; known != nil {
		return known
	}
	if len(a.decoys) == 0 {
		return nil
	}
	return a.decoys[maphash.String(a.seed, user)%uint64(len(a.decoys))]
}

// guard verifies one client's logins by the newest options, and slows down guessing.
type guard struct {
	ctx  context.Context // of the login
	s    *Server
	conn *protocol.Conn

	waited bool // since Admit
}

// hostOf is by what guesses from one place are known. It may change until the response of the client is read.
func hostOf(c *protocol.Conn) string {
	addr := c.RemoteAddr().String()
	if host, _, err := net.SplitHostPort(addr); err == nil {
		return host
	}
	return "" // a unix socket
}

// Account is part of protocol.Authenticator.
func (g *guard) Account(user string) *secret.Account { return g.s.options.Load().accounts.of(user) }

// Admit waits where logins of this user from this address have failed before.
func (g *guard) Admit(user string) error {
	g.waited = false
	o := g.s.options.Load()
	who := attempt{hostOf(g.conn), user}
	delay, ok := g.s.failures.begin(who, time.Now())
	if !ok {
		return protocol.Errorf(1040, "08004", "Too many connections: shardway: too many logins of this user wait after failed ones")
	}
	if delay == 0 {
		return nil
	}
	o.Log.Debug("login waits after failed ones", "user", user, "host", who.host, "delay", delay)
	g.waited = true
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-g.ctx.Done():
		g.s.failures.end(who, true, false, time.Now())
		return context.Cause(g.ctx)
	}
}

// Proved is part of protocol.Authenticator.
func (g *guard) Proved(user string, ok bool) {
	g.s.failures.end(attempt{hostOf(g.conn), user}, g.waited, ok, time.Now())
}
