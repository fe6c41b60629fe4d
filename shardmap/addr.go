package shardmap

import (
	"net"
	"strconv"
	"strings"
)

// badAddr says what is wrong with a server's address; "" if nothing is.
func badAddr(addr string) string {
	if path, ok := strings.CutPrefix(addr, "unix:"); ok {
		if !strings.HasPrefix(path, "/") {
			return "has no absolute path after unix:; write unix:/run/mysqld/mysqld.sock"
		}
		return ""
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil || host == "" || strings.ContainsAny(host, " \t/") {
		return "is no server address; write HOST:PORT, [IPv6]:PORT or unix:/path"
	}
	if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
		return "has no port from 1 to 65535; write HOST:PORT"
	}
	return ""
}
