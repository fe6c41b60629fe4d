package parse

// begin is BEGIN [WORK], and MariaDB's BEGIN NOT ATOMIC, whose body isn't read.
func (c *cursor) begin(st *Statement) bool {
	if c.accept("NOT", "ATOMIC") {
		st.ParseError = "a compound statement (BEGIN NOT ATOMIC) isn't read; send its statements one by one"
		return false
	}
	c.acceptAny("WORK", "TRANSACTION", "DEFERRED", "IMMEDIATE")
	st.Kind, st.Why, st.Flags = Begin, "BEGIN", FlagImplicitCommit
	return c.end()
}

// start is START TRANSACTION, and START REPLICA and its like.
func (c *cursor) start(st *Statement) bool {
	if !c.accept("TRANSACTION") {
		return c.plain(st, Admin, "start")
	}
	st.Kind, st.Why, st.Flags = Begin, "START TRANSACTION", FlagImplicitCommit
	for !c.end() {
		switch {
		case c.accept("READ", "ONLY"):
			st.Tx.ReadOnly = true
		case c.accept("READ", "WRITE"):
			st.Tx.ReadWrite = true
		case c.accept("WITH", "CONSISTENT", "SNAPSHOT"):
			st.Tx.Snapshot = true
		default:
			return false
		}
		if !c.accept(",") {
			break
		}
	}
	return c.end() && (!st.Tx.ReadOnly || !st.Tx.ReadWrite)
}

// endTx is COMMIT and ROLLBACK.
func (c *cursor) endTx(st *Statement, up string) bool {
	st.Kind, st.Why = Commit, up
	if up == "ROLLBACK" {
		st.Kind = Rollback
	}
	c.accept("WORK")
	if up == "ROLLBACK" && c.accept("TO") {
		c.accept("SAVEPOINT")
		st.Kind = RollbackTo
		return c.savepointName(st)
	}
	switch {
	case c.accept("AND", "NO", "CHAIN"):
		st.Tx.NoChain = true
	case c.accept("AND", "CHAIN"):
		st.Tx.Chain = true
	}
	switch {
	case c.accept("NO", "RELEASE"):
		st.Tx.NoRelease = true
	case c.accept("RELEASE"):
		st.Tx.Release = true
	}
	return c.end()
}

func (c *cursor) savepoint(st *Statement, up string) bool {
	st.Kind, st.Why = Savepoint, up
	if up == "RELEASE" {
		st.Kind = ReleaseSavepoint
		if !c.accept("SAVEPOINT") {
			return false
		}
	}
	return c.savepointName(st)
}

func (c *cursor) savepointName(st *Statement) bool {
	t := c.next()
	st.Tx.Savepoint = c.src.Name(t)
	return t.IsName() && c.end()
}

// transaction is SET TRANSACTION.
func (c *cursor) transaction(st *Statement, scope Scope) bool {
	st.Kind, st.Why, st.Tx.Scope = SetTransaction, "SET TRANSACTION", scope
	for {
		switch {
		case c.accept("READ", "ONLY"):
			st.Tx.ReadOnly = true
		case c.accept("READ", "WRITE"):
			st.Tx.ReadWrite = true
		case c.accept("ISOLATION", "LEVEL"):
			switch {
			case c.accept("READ", "UNCOMMITTED"):
				st.Tx.Isolation = "READ-UNCOMMITTED"
			case c.accept("READ", "COMMITTED"):
				st.Tx.Isolation = "READ-COMMITTED"
			case c.accept("REPEATABLE", "READ"):
				st.Tx.Isolation = "REPEATABLE-READ"
			case c.accept("SERIALIZABLE"):
				st.Tx.Isolation = "SERIALIZABLE"
			default:
				return false
			}
		default:
			return false
		}
		if !c.accept(",") {
			return c.end()
		}
	}
}
