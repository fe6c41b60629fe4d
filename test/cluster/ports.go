package cluster

import (
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
)

// taken are the ports that this process has given to somebody.
var taken sync.Map

// FreeAddr is an address of this machine that nobody listens on. Like all that
// freePorts finds it stays free until it is used.
func FreeAddr() (string, error) {
	ports, err := freePorts(1)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("127.0.0.1:%d", ports[0]), nil
}

// freePorts finds n ports that nobody listens on, none of them twice. They are
// below those that the system gives to outgoing connections, so a server that
// has yet to start, or is down for a while, finds its port still free.
func freePorts(n int) ([]int, error) {
	const low, high = 18000, 31000
	var ports []int
	for range 2000 {
		if len(ports) == n {
			return ports, nil
		}
		p := low + rand.IntN(high-low)
		if _, used := taken.Load(p); used {
			continue
		}
		ln, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", p))
		if err != nil {
			continue
		}
		_ = ln.Close()
		if _, used := taken.LoadOrStore(p, true); !used {
			ports = append(ports, p)
		}
	}
	return nil, fmt.Errorf("found only %d of %d free ports", len(ports), n)
}
