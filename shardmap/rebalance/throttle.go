package rebalance

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"shardway/shardmap"
	"shardway/shardmap/server"
)

// strained says why no rows should be copied or removed just now, or is "".
func (r *run) strained(ctx context.Context, sides []*side, replicas []*server.Server) string {
	for _, e := range sides {
		if e == nil {
			continue
		}
		running, statements, err := e.usage(ctx)
		if err != nil {
			continue
		}
		r.pace.Seen(e.addr, statements)
		if running > r.MaxRunning {
			return fmt.Sprintf("%d statements run at %s, more than %d", running, e.addr, r.MaxRunning)
		}
	}
	for _, n := range replicas {
		query, column := "SHOW REPLICA STATUS", "Seconds_Behind_Source"
		if n.MariaDB {
			query, column = "SHOW SLAVE STATUS", "Seconds_Behind_Master"
		}
		list, err := n.Query(ctx, query)
		if err != nil || len(list) == 0 {
			continue
		}
		if s, err := strconv.Atoi(list[0][column]); err == nil && time.Duration(s)*time.Second > r.MaxLag {
			return fmt.Sprintf("the replica %s is %ds behind, more than %s", n.Addr, s, r.MaxLag)
		}
	}
	return ""
}

// usage reads how many statements run on a server, and how many it has run.
func (e *side) usage(ctx context.Context) (running int, statements int64, err error) {
	list, err := e.db.QueryContext(ctx, "SHOW GLOBAL STATUS WHERE Variable_name IN ('Threads_running', 'Questions')")
	if err != nil {
		return 0, 0, err
	}
	defer list.Close()
	for list.Next() {
		var name string
		var n int64
		if err := list.Scan(&name, &n); err != nil {
			return 0, 0, err
		}
		if name == "Questions" {
			statements = n
		} else {
			running = int(n)
		}
	}
	return running, statements, list.Err()
}

// replicas connects to the replicas of a shard. With an error it returns those
// that answered before.
func (r *run) replicas(ctx context.Context, sh *shardmap.Shard) ([]*server.Server, error) {
	var all []*server.Server
	for _, s := range sh.Replicas {
		within, cancel := context.WithTimeout(ctx, 2*time.Second)
		n, err := r.open(within, s.Addr)
		cancel()
		if err != nil {
			return all, fmt.Errorf("the replica can't be reached: %w; start it, or take it out of the map until it is made anew", err)
		}
		all = append(all, n)
	}
	return all, nil
}

func closeAll(servers []*server.Server) {
	for _, n := range servers {
		n.Close()
	}
}
