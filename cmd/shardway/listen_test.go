package main

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestListenOnUnixSockets(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	addr := "unix:" + path
	ln, err := listen(addr)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o777 {
		t.Errorf("%v %v", info, err)
	}
	if _, err := listen(addr); err == nil || !strings.Contains(err.Error(), "in use by another program") {
		t.Errorf("a socket in use: %v", err)
	}
	// As after a crash: the file stays, nobody listens.
	ln.(*net.UnixListener).SetUnlinkOnClose(false)
	_ = ln.Close()
	if _, err := os.Stat(path); err != nil {
		t.Fatal(err)
	}
	if ln, err = listen(addr); err != nil {
		t.Fatalf("a stale socket: %v", err)
	}
	_ = ln.Close()
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("the socket stays after its end: %v", err)
	}
	write(t, path, "precious")
	if _, err := listen(addr); err == nil || !strings.Contains(err.Error(), "isn't a socket") {
		t.Errorf("an ordinary file: %v", err)
	}
	if data, _ := os.ReadFile(path); string(data) != "precious" {
		t.Error("an ordinary file was removed")
	}
}

func TestListenOnATakenAddress(t *testing.T) {
	ln, err := listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	if _, err := listen(ln.Addr().String()); err == nil || !strings.Contains(err.Error(), "in use by another program") {
		t.Errorf("%v", err)
	}
}
