package exec

import (
	"errors"
	"strconv"

	"shardway/protocol"
	"shardway/router/backend"
)

// initDB selects a schema on a server connection.
func initDB(c *backend.Conn, schema string) error {
	_, err := simple(c, protocol.ComInitDB, []byte(schema))
	return err
}

// ping asks a server connection for its status.
func ping(c *backend.Conn) (protocol.Status, error) {
	reply, err := simple(c, protocol.ComPing, nil)
	return reply.Status, err
}

// simple runs a command that is answered by one OK or ERR packet.
func simple(c *backend.Conn, cmd protocol.Command, payload []byte) (protocol.Reply, error) {
	if err := c.WriteCommand(cmd, payload); err != nil {
		return protocol.Reply{}, err
	}
	if err := c.Flush(); err != nil {
		return protocol.Reply{}, err
	}
	reply, err := c.Forward(nil, protocol.ReplySimple, &protocol.Relay{})
	if err == nil && reply.Err != nil {
		err = reply.Err
	}
	return reply, err
}

// askNumber runs a query whose answer is one number.
func askNumber(c *backend.Conn, sql string) (uint64, error) {
	res, err := c.Query(sql)
	if err != nil {
		return 0, err
	}
	if len(res.Rows) != 1 || len(res.Rows[0]) != 1 || res.Rows[0][0] == nil {
		return 0, errors.New(sql + " has no value")
	}
	return strconv.ParseUint(*res.Rows[0][0], 10, 64)
}
