// Command copy measures how fast rows are copied from one server to another,
// beside mysqldump piped into the client, of the same rows.
package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"shardway/shardmap/rebalance/rows"
	"shardway/test/cluster"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("copy", flag.ContinueOnError)
	number := flags.Int("rows", 500000, "how many rows are copied, of a table with twice as many")
	times := flags.Int("times", 3, "how often each way is measured; the medians are compared")
	if err := flags.Parse(args); err != nil {
		return err
	}
	for _, f := range cluster.Flavors() {
		if why := f.Missing(); why != "" {
			fmt.Printf("%s: %s\n", f, why)
			continue
		}
		if err := measure(ctx, f, *number, *times); err != nil {
			return fmt.Errorf("%s: %w", f, err)
		}
	}
	return nil
}

// condition is that of half of the slots.
const condition = "(`user_id` % 1024 + 1024) % 1024 BETWEEN 0 AND 511"

type bench struct {
	flavor   cluster.Flavor
	from, to *cluster.Server
	table    *rows.Table
	want     int
}

func measure(ctx context.Context, f cluster.Flavor, number, times int) error {
	options := []string{"--innodb-buffer-pool-size=256M", "--innodb-redo-log-capacity=256M"}
	if f == cluster.MariaDB {
		options[1] = "--innodb-log-file-size=256M"
	}
	c, err := cluster.Start(ctx, cluster.Options{Flavor: f, Shards: 2, Args: options})
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	b := &bench{flavor: f, from: c.Shards[0].Primary, to: c.Shards[1].Primary}
	if err := c.Exec(ctx, "CREATE DATABASE app", "CREATE TABLE app.orders (id BIGINT UNSIGNED AUTO_INCREMENT PRIMARY KEY, user_id BIGINT NOT NULL, "+
		"state ENUM('new','paid','sent','back') NOT NULL, amount DECIMAL(12,2) NOT NULL, weight FLOAT, name VARCHAR(100) NOT NULL, email VARCHAR(200), "+
		"note TEXT, created DATETIME NOT NULL, changed TIMESTAMP(3) NULL, KEY (user_id), KEY (created))"); err != nil {
		return err
	}
	if err := b.fill(ctx, 2*number); err != nil {
		return err
	}
	if b.table, err = rows.Describe(ctx, b.from.DB(), "app", "orders"); err != nil {
		return err
	}
	var ours, theirs []took
	for range times {
		for _, way := range []struct {
			took *[]took
			copy func(context.Context) error
		}{{&theirs, b.dump}, {&ours, b.copy}} {
			if err := b.to.Exec(ctx, "TRUNCATE app.orders"); err != nil {
				return err
			}
			began, busy := time.Now(), b.busy()
			if err := way.copy(ctx); err != nil {
				return err
			}
			*way.took = append(*way.took, took{time.Since(began), b.busy() - busy})
			if err := b.check(ctx); err != nil {
				return err
			}
		}
	}
	a, d := median(ours), median(theirs)
	fmt.Printf("%-8s %d rows: dump and client %s (processor %s), Shardway %s (processor %s), %.0f rows/s; ratio of speed %.2f, of the processor's time %.2f\n",
		f, b.want, d.time.Round(10*time.Millisecond), d.busy.Round(10*time.Millisecond), a.time.Round(10*time.Millisecond), a.busy.Round(10*time.Millisecond),
		float64(b.want)/a.time.Seconds(), d.time.Seconds()/a.time.Seconds(), d.busy.Seconds()/a.busy.Seconds())
	return nil
}

// took is how long a copy took, and how long processors worked for it: on a
// machine that does other things too, that tells more.
type took struct{ time, busy time.Duration }

func median(list []took) took {
	slices.SortFunc(list, func(a, b took) int { return cmp.Compare(a.time, b.time) })
	return list[len(list)/2]
}

// busy is the processors' time of both servers, of this process, and of those
// that it has started and that have ended.
func (b *bench) busy() (sum time.Duration) {
	for _, who := range []int{syscall.RUSAGE_SELF, syscall.RUSAGE_CHILDREN} {
		var u syscall.Rusage
		if err := syscall.Getrusage(who, &u); err == nil {
			sum += time.Duration(u.Utime.Nano() + u.Stime.Nano())
		}
	}
	for _, s := range []*cluster.Server{b.from, b.to} {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", s.PID()))
		if err != nil {
			continue
		}
		_, rest, _ := strings.Cut(string(stat), ") ")
		if fields := strings.Fields(rest); len(fields) > 12 {
			for _, ticks := range fields[11:13] { // user's and system's, in hundredths of a second
				n, _ := strconv.Atoi(ticks) // 0 where it is none
				sum += time.Duration(n) * 10 * time.Millisecond
			}
		}
	}
	return sum
}

// fill makes the source's rows.
func (b *bench) fill(ctx context.Context, number int) error {
	digits := strings.TrimSuffix(strings.Repeat("SELECT 0 UNION ALL ", 1000), " UNION ALL ")
	statement := fmt.Sprintf("INSERT INTO app.orders (user_id, state, amount, weight, name, email, note, created, changed) "+
		"SELECT FLOOR(RAND()*1000000), 1+FLOOR(RAND()*4), RAND()*10000, RAND(), CONCAT('Name ', LEFT(SHA2(RAND(),256),32)), CONCAT(LEFT(SHA2(RAND(),256),32), '@example.com'), "+
		"REPEAT(LEFT(SHA2(RAND(),256),32), 1+FLOOR(RAND()*5)), '2024-01-01' + INTERVAL FLOOR(RAND()*10000000) SECOND, NOW(3) FROM (%s) a, (SELECT 1 UNION ALL SELECT 2 UNION ALL "+
		"SELECT 3 UNION ALL SELECT 4 UNION ALL SELECT 5 UNION ALL SELECT 6 UNION ALL SELECT 7 UNION ALL SELECT 8 UNION ALL SELECT 9 UNION ALL SELECT 10) b", digits)
	for range max(1, number/10000) {
		if err := b.from.Exec(ctx, "USE app", statement); err != nil {
			return err
		}
	}
	if err := b.from.Exec(ctx, "ANALYZE TABLE app.orders"); err != nil {
		return err
	}
	return b.from.DB().QueryRowContext(ctx, "SELECT COUNT(*) FROM app.orders WHERE "+condition).Scan(&b.want)
}

func (b *bench) check(ctx context.Context) error {
	var got int
	if err := b.to.DB().QueryRowContext(ctx, "SELECT COUNT(*) FROM app.orders").Scan(&got); err != nil {
		return err
	}
	if got != b.want {
		return fmt.Errorf("the target has %d rows of %d", got, b.want)
	}
	return nil
}

// dump copies by the server's own tools.
func (b *bench) dump(context.Context) error {
	name, options := "mariadb-dump", []string(nil)
	if b.flavor == cluster.MySQL {
		name, options = "mysqldump", []string{"--set-gtid-purged=OFF"}
	}
	dump := b.flavor.Tool(name, append(options, "-uroot", "--socket="+b.from.Socket, "--single-transaction", "--no-create-info", "--where="+condition, "app", "orders")...)
	client := b.flavor.Client("-uroot", "--socket="+b.to.Socket, "app")
	pipe, err := dump.StdoutPipe()
	if err != nil {
		return err
	}
	var said [2]bytes.Buffer
	client.Stdin, dump.Stderr, client.Stderr = pipe, &said[0], &said[1]
	if err := errors.Join(dump.Start(), client.Start()); err != nil {
		return err
	}
	// The client first: Wait closes the pipe.
	if err := errors.Join(client.Wait(), dump.Wait()); err != nil {
		return fmt.Errorf("%w: %s%s", err, &said[0], &said[1])
	}
	return nil
}

// copy reads a chunk while the one before is written, as a rebalance does.
func (b *bench) copy(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	from, err := rows.Connect(ctx, b.from.DB(), b.from.Addr)
	if err != nil {
		return err
	}
	defer func() { _ = from.Close() }()
	to, err := rows.Connect(ctx, b.to.DB(), b.to.Addr)
	if err != nil {
		return err
	}
	defer func() { _ = to.Close() }()
	chunks, ended := make(chan *rows.Chunk), make(chan struct{})
	go func() { // ends with the last chunk, or with ctx
		defer close(ended)
		defer close(chunks)
		for scan := from.Scan(b.table, condition, "", rows.Limit{}); ; {
			chunk, err := scan.Next(ctx)
			if err != nil {
				cancel(err)
			}
			if err != nil || chunk == nil {
				return
			}
			select {
			case chunks <- chunk:
			case <-ctx.Done():
				return
			}
		}
	}()
	for chunk := range chunks {
		if err := b.write(ctx, to, chunk); err != nil {
			cancel(err)
			break
		}
	}
	<-ended
	return context.Cause(ctx)
}

func (b *bench) write(ctx context.Context, to *rows.Session, chunk *rows.Chunk) error {
	if err := to.Begin(ctx); err != nil {
		return err
	}
	if _, err := to.ReplaceRange(ctx, b.table, chunk.Range, condition, chunk.Batch); err != nil {
		return err
	}
	return to.Commit(ctx)
}
