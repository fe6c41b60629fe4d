package protocol

import (
	"errors"
	"os"
	"time"
)

// Wait waits for at most d until the peer has sent something, and says whether it has. Like an idle connection's
// ReadCommand it holds no buffer meanwhile. The error is io.EOF when the peer has left. It takes the read deadline
// away.
func (c *Conn) Wait(d time.Duration) (bool, error) {
	if c.n > 0 {
		if err := c.Flush(); err != nil {
			return false, err
		}
	}
	if c.r != c.w {
		return true, nil
	}
	c.Idle()
	if err := c.base.SetReadDeadline(time.Now().Add(d)); err != nil {
		return false, err
	}
	err := c.fill()
	if reset := c.base.SetReadDeadline(time.Time{}); err == nil {
		err = reset
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return false, nil
	}
	return err == nil, err
}
