package main

import (
	"bytes"
	"context"
	"strings"
	"testing"
)

func TestArguments(t *testing.T) {
	for _, c := range []struct {
		args string
		want string // in the error, "" for none
		out  string // in the output
	}{
		{"--help", "", "shardway-demo sql"},
		{"--nonsense", "unknown flag", ""},
		{"serve", `unknown argument "serve"`, ""},
		{"sql", "sql needs a statement", ""},
		{"sql --listen 127.0.0.1:1 SELECT", "is the demo running?", ""},
		{"--listen nonsense", "--listen chooses another", ""},
	} {
		var out bytes.Buffer
		err := run(context.Background(), strings.Fields(c.args), &out)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) || !strings.Contains(out.String(), c.out) {
			t.Errorf("%s: error %v, output %q", c.args, err, out.String())
		}
	}
}
