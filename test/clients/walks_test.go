package clients

import (
	"errors"
	"shardway/test/cluster"
)

func shell(f cluster.Flavor) func(*bench, target) (string, error) {
	return func(b *bench, to target) (string, error) { return "", errors.New("todo") }
}

func dump(f cluster.Flavor) func(*bench, target) (string, error) {
	return func(b *bench, to target) (string, error) { return "", errors.New("todo") }
}
func mydumper(b *bench, to target) (string, error)  { return "", errors.New("todo") }
func sysbench(b *bench, to target) (string, error)  { return "", errors.New("todo") }
func mysqltest(b *bench, to target) (string, error) { return "", errors.New("todo") }
func mysqltestMissing(*tools) string                { return "" }
