"""Uses Shardway through PyMySQL: host, port, socket, database, CA."""
import sys

import pymysql

host, port, socket, database, ca = sys.argv[1:]
ways = [
    {"host": host, "port": int(port)},
    {"unix_socket": socket},
    {"host": host, "port": int(port), "ssl": {"ca": ca, "check_hostname": False}},
    {"host": host, "port": int(port), "charset": "latin1"},
    {"host": host, "port": int(port), "autocommit": True, "init_command": "SET time_zone = '+03:00'"},
]
for i, way in enumerate(ways):
    c = pymysql.connect(user="app", password="app", database=database, **way)
    with c.cursor() as cur:
        for n in range(-3, 12):
            cur.execute("SELECT name FROM users WHERE id = %s", (n,))
            assert cur.fetchall() == ((f"user {n}",),), n
            c.commit()  # the next one may be on another shard
        c.commit()
        cur.execute("INSERT INTO notes (txt) VALUES (%s)", (f"python {i}",))
        cur.execute("SELECT LAST_INSERT_ID()")
        assert cur.fetchone()[0] > 0
        cur.execute("SELECT COUNT(*) FROM notes WHERE txt = %s", (f"python {i}",))
        if not way.get("autocommit"):
            assert cur.fetchone() == (1,), "a transaction sees its own row"
        if way.get("init_command"):
            cur.execute("SELECT @@time_zone, NOW()")
            assert cur.fetchone()[0] == "+03:00"
        try:
            cur.execute("LOCK TABLES users WRITE")
            raise AssertionError("not refused")
        except pymysql.err.MySQLError as e:
            assert e.args[0] in (1235, 1105), e
    c.rollback()
    with c.cursor(pymysql.cursors.SSCursor) as cur:
        cur.execute("SELECT * FROM kinds WHERE id = 1")
        assert len(cur.fetchone()) == 30
    c.ping(reconnect=False)
    c.select_db(database)
    c.close()
