"""The matrix for Python's DB-API: dbapi.py pymysql|MySQLdb."""
import datetime
import hashlib
import importlib
import os
import sys
import traceback

name = sys.argv[1]
driver = importlib.import_module(name)
env = os.environ


def connect(**more):
    kw = dict(host=env["MATRIX_HOST"], port=int(env["MATRIX_PORT"]), user=env["MATRIX_USER"],
              password=env["MATRIX_PASSWORD"], database=env["MATRIX_DB"], charset="utf8mb4", autocommit=True)
    kw.update(more)
    return driver.connect(**kw)


def say(cell, *what):
    text = " ".join(w if isinstance(w, str) else repr(w) for w in what)
    print("%s\t%s" % (cell, text.replace("\\", "\\\\").replace("\n", "\\n").replace("\t", "\\t")))


def rows(c, cell, sql, args=None):
    n = c.execute(sql, args)
    say(cell, "rows", n, [(d[0], d[1], d[6]) for d in c.description])
    for row in c.fetchall():
        for v in row:
            say(cell, type(v).__name__, v)


def errors(conn, cell, c, sql):
    try:
        c.execute(sql)
        say(cell, sql, "went well")
    except driver.Error as e:
        say(cell, type(e).__name__, e.args)


def cell_connect(cell):
    conn = connect()
    conn.ping()
    c = conn.cursor()
    rows(c, cell, "SELECT 1, DATABASE()")
    conn.select_db(env["MATRIX_DB"])
    c.execute("SELECT @@autocommit")
    say(cell, c.fetchone())
    conn.close()


def cell_tls(cell):
    conn = connect(ssl={"ca": env["MATRIX_CA"]})
    rows(conn.cursor(), cell, "SELECT 'over TLS'")
    conn.close()
    try:
        connect(ssl={"ca": env["MATRIX_OTHER_CA"]})
        say(cell, "a certificate of another authority was taken")
    except driver.Error as e:
        say(cell, "another authority", type(e).__name__)


def cell_text(cell):
    conn = connect()
    c = conn.cursor()
    for i in (1, 11, 12):
        rows(c, cell, "SELECT * FROM kinds WHERE id = %s", (i,))
        c.execute("SELECT * FROM kinds WHERE id = %s", (i,))
        row = list(c.fetchone())
        row[0] = 100 + i
        # Both drivers write a negative TIME wrong.
        row = [None if isinstance(v, datetime.timedelta) and v.days < 0 else v for v in row]
        c.execute("INSERT INTO kinds VALUES (%s)" % ",".join(["%s"] * len(row)), row)
        rows(c, cell, "SELECT * FROM kinds WHERE id = %s", (100 + i,))


def cell_binary(cell):
    say(cell, "- this client has no binary protocol")


def cell_nulls(cell):
    rows(connect().cursor(), cell, "SELECT * FROM kinds WHERE id = 2")


def cell_utf8mb4(cell):
    conn = connect()
    c = conn.cursor()
    text = "\U0001F600 \U00020000 \u65e5\u672c caf\u00e9"
    c.execute("INSERT INTO people (user_id, name) VALUES (31, %s)", (text,))
    rows(c, cell, "SELECT name, CHAR_LENGTH(name), LENGTH(name), HEX(name) AS `\u65e5\u672c` FROM people WHERE user_id = 31 AND name = %s", (text,))


def cell_latin1(cell):
    conn = connect(charset="latin1")
    c = conn.cursor()
    c.execute("INSERT INTO people (user_id, name) VALUES (32, %s)", ("caf\u00e9 \u00fc",))
    rows(c, cell, "SELECT name, HEX(name), HEX('\u00e9') FROM people WHERE user_id = 32")
    rows(c, cell, "SELECT l1, c FROM kinds WHERE id = 11")


def cell_fractions(cell):
    conn = connect()
    c = conn.cursor()
    for i, micro in enumerate((0, 1, 100000, 999999)):
        c.execute("INSERT INTO people (user_id, name, born, score) VALUES (33, %s, %s, %s)",
                  (str(i), datetime.datetime(2026, 2, 28, 23, 59, 59, micro), "1.%03d" % i))
    rows(c, cell, "SELECT name, born, score, CAST(born AS CHAR), TIME(born) FROM people WHERE user_id = 33 ORDER BY name")


def cell_blob(cell):
    conn = connect()
    c = conn.cursor()
    content = bytes(range(256)) * 69632
    c.execute("INSERT INTO files VALUES (1, %s)", (content,))
    rows(c, cell, "SELECT LENGTH(content), SHA2(content, 256) FROM files WHERE id = 1")
    c.execute("SELECT content FROM files WHERE id = 1")
    got = c.fetchone()[0]
    say(cell, len(got), hashlib.sha256(got).hexdigest(), got == content)


def cell_transactions(cell):
    conn = connect(autocommit=False)
    c = conn.cursor()

    def names():
        rows(c, cell, "SELECT name FROM people WHERE user_id = 34 ORDER BY name")
    for sql in ("INSERT INTO people (user_id, name) VALUES (34, 'a')", "SAVEPOINT s", "INSERT INTO people (user_id, name) VALUES (34, 'b')",
                "ROLLBACK TO SAVEPOINT s", "INSERT INTO people (user_id, name) VALUES (34, 'c')"):
        c.execute(sql)
    names()
    conn.commit()
    names()
    c.execute("DELETE FROM people WHERE user_id = 34")
    names()
    conn.rollback()
    names()
    conn.autocommit(True)
    c.execute("UPDATE people SET name = 'd' WHERE user_id = 34 AND name = 'c'")
    conn.rollback()
    names()


def cell_errors(cell):
    conn = connect()
    c = conn.cursor()
    c.execute("INSERT INTO people (user_id, id, name) VALUES (35, 1, 'a')")
    for sql in ("INSERT INTO people (user_id, id, name) VALUES (35, 1, 'b')", "SELEC 1", "SELECT * FROM nosuch", "SELECT nosuch FROM people WHERE user_id = 35",
                "INSERT INTO people (user_id, name) VALUES (35, NULL)", "INSERT INTO people (user_id, name) VALUES (35, REPEAT('x', 41))",
                "SELECT NOSUCH(1)"):
        errors(conn, cell, c, sql)
    try:
        connect(password="wrong")
        say(cell, "a wrong password was taken")
    except driver.Error as e:
        say(cell, type(e).__name__, e.args[0])


def cell_ids(cell):
    conn = connect()
    c = conn.cursor()
    for sql in ("INSERT INTO people (user_id, name) VALUES (36, 'a')", "INSERT INTO people (user_id, name) VALUES (36, 'b'), (36, 'c'), (36, 'd')",
                "INSERT INTO people (user_id, name) VALUES (36, 'a') ON DUPLICATE KEY UPDATE id = LAST_INSERT_ID(id), score = 1"):
        n = c.execute(sql)
        i = c.lastrowid
        say(cell, "affected", n)
        rows(c, cell, "SELECT name FROM people WHERE user_id = 36 AND id = %s", (i,))
        rows(c, cell, "SELECT LAST_INSERT_ID() = %s AS same", (i,))
    for sql in ("UPDATE people SET score = 1 WHERE user_id = 36", "UPDATE people SET score = 1 WHERE user_id = 36", "DELETE FROM people WHERE user_id = 36 AND name <> 'a'"):
        say(cell, "affected", c.execute(sql), c.lastrowid)
    rows(c, cell, "SELECT ROW_COUNT()")


def cell_results(cell):
    c = connect().cursor()
    c.callproc("two_results")
    while True:
        say(cell, c.description and c.description[0][0], c.fetchall() if c.description else None)
        if not c.nextset():
            break
    rows(c, cell, "SELECT 'and after'")


def cell_statements(cell):
    flag = importlib.import_module(name + (".constants.CLIENT")).MULTI_STATEMENTS
    c = connect(client_flag=flag).cursor()
    c.execute("SELECT 1; INSERT INTO people (user_id, name) VALUES (37, 'a'); SELECT name FROM people WHERE user_id = 37")
    while True:
        say(cell, c.rowcount, c.fetchall() if c.description else None)
        if not c.nextset():
            break


def cell_streaming(cell):
    conn = connect()
    c = conn.cursor(importlib.import_module(name + ".cursors").SSCursor)
    c.execute("WITH RECURSIVE n AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM n WHERE i < 1000) SELECT i, REPEAT('x', 1000) FROM n")
    total = 0
    while True:
        row = c.fetchone()
        if row is None:
            break
        total += row[0] * len(row[1])
    say(cell, total)
    c.close()
    rows(conn.cursor(), cell, "SELECT 'and after'")


def cell_reset(cell):
    conn = connect()
    if not hasattr(conn, "change_user"):
        say(cell, "- this client neither resets a connection nor changes its user")
        return
    c = conn.cursor()
    for sql in ("SET @v = 1", "SET SESSION sql_mode = 'ANSI_QUOTES'", "BEGIN", "INSERT INTO people (user_id, name) VALUES (38, 'a')"):
        c.execute(sql)
    conn.change_user(env["MATRIX_USER"], env["MATRIX_PASSWORD"], env["MATRIX_DB"])
    rows(c, cell, "SELECT @v, @@sql_mode LIKE '%ANSI_QUOTES%', COUNT(*) FROM people WHERE user_id = 38")


def cell_load(cell):
    conn = connect(local_infile=1)
    c = conn.cursor()
    say(cell, c.execute("LOAD DATA LOCAL INFILE '%s' INTO TABLE people (user_id, name)" % env["MATRIX_FILE"]))
    rows(c, cell, "SELECT name FROM people WHERE user_id = 39 ORDER BY name")


def cell_compression(cell):
    if name == "pymysql":
        say(cell, "- this client has no compression")
        return
    rows(connect(compress=True).cursor(), cell, "SELECT LENGTH(REPEAT('x', 1000000)), REPEAT('y', 100000)")


print("version\t%s" % (".".join(str(v) for v in driver.version_info[:3]) if name == "MySQLdb" else driver.__version__))
for key, f in list(globals().items()):
    if key.startswith("cell_"):
        cell = key[5:]
        try:
            f(cell)
        except driver.Error as e:
            say(cell, "!", *e.args)
        except Exception as e:
            traceback.print_exc()
            say(cell, "!", type(e).__name__, str(e))
