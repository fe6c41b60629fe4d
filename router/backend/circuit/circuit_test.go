package circuit

import (
	"errors"
	"testing"
	"time"
)

func TestCircuit(t *testing.T) {
	const second = time.Second
	var ci Circuit
	if ok, _ := ci.Admit(0, 0, 10); !ok {
		t.Error("nobody may try the server")
	}
	if ok, wait := ci.Admit(0, 1, 10); ok || wait != 0 {
		t.Errorf("two dials at once to a server that isn't known to answer: %v, %s", ok, wait)
	}
	ci.Failed(errors.New("no route"), false, second)
	ok, wait := ci.Admit(second, 0, 10)
	if ok || wait < 80*time.Millisecond || wait > 120*time.Millisecond || ci.Refusing(second) {
		t.Errorf("after a failure: %v, %s", ok, wait)
	}
	ci.Failed(errors.New("too many"), true, 2*second)
	if !ci.Refusing(2*second) || ci.Refusing(3*second) {
		t.Error("a busy server refuses for as long as it isn't dialed")
	}
	ci.Succeeded()
	if ok, _ := ci.Admit(3*second, DialsAtOnce-1, 10); !ok || ci.Refusing(3*second) {
		t.Error("a success didn't close the circuit")
	}
	admitted := 1
	for range 20 {
		if ok, wait = ci.Admit(3*second, 0, 10); ok {
			admitted++
		}
	}
	if admitted != 10 || wait <= 0 {
		t.Errorf("%d dials at once at 10 a second, wait %s", admitted, wait)
	}
}
