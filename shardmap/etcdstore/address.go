package etcdstore

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
)

// Scheme begins the address of a store in etcd.
const Scheme = "etcd://"

// address is a parsed etcd://HOST:PORT[,HOST:PORT]/PREFIX.
type address struct {
	endpoints []string // HOST:PORT
	prefix    string   // without a slash at its end
}

func parseAddress(text string) (address, error) {
	var a address
	rest, ok := strings.CutPrefix(text, Scheme)
	if !ok {
		return a, fmt.Errorf("%q doesn't begin with %s", text, Scheme)
	}
	hosts, prefix, _ := strings.Cut(rest, "/")
	if strings.Contains(hosts, "@") {
		// The text is not repeated: it is a password's neighbour.
		return a, errors.New("the address of the map has a user in it, and addresses are shown and logged; give the user and the password apart, as etcd.user and etcd.password")
	}
	for host := range strings.SplitSeq(hosts, ",") {
		name, port, err := net.SplitHostPort(host)
		if err != nil || name == "" {
			return a, fmt.Errorf("%s has %q where HOST:PORT must stand (an IPv6 address in brackets, such as [::1]:2379)", text, host)
		}
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return a, fmt.Errorf("%s: the port of %q isn't a number from 1 to 65535", text, host)
		}
		a.endpoints = append(a.endpoints, host)
	}
	a.prefix = strings.TrimRight(prefix, "/")
	switch {
	case a.prefix == "":
		return a, fmt.Errorf("%s has no prefix; write %s%s/PREFIX, such as %s%s/shardway", text, Scheme, hosts, Scheme, hosts)
	case strings.ContainsAny(a.prefix, "?#") || strings.ContainsFunc(a.prefix, func(r rune) bool { return r <= ' ' || r == 0x7f }):
		return a, fmt.Errorf("%s: the prefix has characters that are not allowed there: blanks, ?, #", text)
	}
	return a, nil
}
