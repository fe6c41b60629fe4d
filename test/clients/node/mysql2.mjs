// The matrix for mysql2.
import { readFileSync, createReadStream } from 'node:fs';
import mysql from 'mysql2/promise';
import callback from 'mysql2';
import { broken, env, failure, large, none, options, run, say, sayRows, sha256, show, text4, version, withoutIds } from './matrix.mjs';

const open = [];
async function connect(more) {
  const c = await mysql.createConnection(options({ supportBigNumbers: true, bigNumberStrings: true, ...more }));
  open.push(c);
  return c;
}

function fields(cell, list) {
  say(cell, list.map((f) => [f.name, f.columnType ?? f.type, f.flags, f.characterSet]));
}

const types = (method) => async (cell) => {
  const c = await connect();
  for (const id of [1, 11, 12]) {
    const [rows, list] = await c[method]('SELECT * FROM kinds WHERE id = ?', [id]);
    fields(cell, list);
    sayRows(cell, rows);
    const d = await connect({ dateStrings: true });
    const [again] = await d[method]('SELECT * FROM kinds WHERE id = ?', [id]);
    const row = Object.values(again[0]).map((v) => (v !== null && typeof v === 'object' && !Buffer.isBuffer(v) ? JSON.stringify(v) : v));
    row[0] = id + 100;
    const marks = row.map(() => '?').join(', ');
    await d.query('DELETE FROM kinds WHERE id = ?', [id + 100]);
    await d[method](`INSERT INTO kinds VALUES (${marks})`, row);
    sayRows(cell, (await d[method]('SELECT * FROM kinds WHERE id = ?', [id + 100]))[0]);
  }
};

say('version', version('mysql2'));
await run({
  async connect(cell) {
    const c = await connect();
    await c.ping();
    sayRows(cell, (await c.query('SELECT 1, DATABASE()'))[0]);
    await c.changeUser({ database: env.MATRIX_DB });
    sayRows(cell, (await c.query('SELECT @@autocommit, DATABASE()'))[0]);
    await c.end();
  },
  async tls(cell) {
    const c = await connect({ ssl: { ca: readFileSync(env.MATRIX_CA) } });
    sayRows(cell, (await c.query("SELECT 'over TLS'"))[0]);
    try {
      await connect({ ssl: { ca: readFileSync(env.MATRIX_OTHER_CA) } });
      say(cell, 'a certificate of another authority was taken');
    } catch (e) {
      say(cell, 'another authority', e.code);
    }
  },
  text: types('query'),
  binary: types('execute'),
  async nulls(cell) {
    const c = await connect();
    sayRows(cell, (await c.query('SELECT * FROM kinds WHERE id = 2'))[0]);
    sayRows(cell, (await c.execute('SELECT * FROM kinds WHERE id = ?', [2]))[0]);
  },
  async utf8mb4(cell) {
    const c = await connect();
    await c.execute('INSERT INTO people (user_id, name) VALUES (31, ?)', [text4]);
    await c.query('INSERT INTO people (user_id, name) VALUES (31, ?)', [`${text4}!`]);
    sayRows(cell, (await c.query('SELECT name, CHAR_LENGTH(name), LENGTH(name), HEX(name) AS `\u65e5\u672c` FROM people WHERE user_id = 31 AND name LIKE ? ORDER BY name', [`${text4}%`]))[0]);
  },
  async latin1(cell) {
    const c = await connect({ charset: 'LATIN1_SWEDISH_CI' });
    await c.query("INSERT INTO people (user_id, name) VALUES (32, 'caf\u00e9 \u00fc')");
    sayRows(cell, (await c.query("SELECT name, HEX(name), HEX('\u00e9') FROM people WHERE user_id = 32"))[0]);
    sayRows(cell, (await c.query('SELECT l1, c FROM kinds WHERE id = 11'))[0]);
  },
  async fractions(cell) {
    const c = await connect({ dateStrings: true });
    for (const [i, at] of ['2026-02-28 23:59:59.000001', '2026-02-28 23:59:59.100000', new Date(Date.UTC(2026, 1, 28, 23, 59, 59, 999))].entries()) {
      await c.execute('INSERT INTO people (user_id, name, born, score) VALUES (33, ?, ?, ?)', [String(i), at, `1.00${i}`]);
    }
    for (const method of ['query', 'execute']) sayRows(cell, (await c[method]('SELECT name, born, score, CAST(born AS CHAR), TIME(born) FROM people WHERE user_id = 33 ORDER BY name'))[0]);
  },
  async blob(cell) {
    const c = await connect();
    const content = large();
    await c.query('INSERT INTO files VALUES (1, ?)', [content]);
    await c.execute('INSERT INTO files VALUES (2, ?)', [content]);
    for (const id of [1, 2]) {
      sayRows(cell, (await c.query('SELECT LENGTH(content), SHA2(content, 256) FROM files WHERE id = ?', [id]))[0]);
      const [[row]] = await c[id === 1 ? 'query' : 'execute']('SELECT content FROM files WHERE id = ?', [id]);
      say(cell, row.content.length, sha256(row.content), row.content.equals(content));
    }
  },
  async transactions(cell) {
    const c = await connect();
    const names = async () => sayRows(cell, (await c.query('SELECT name FROM people WHERE user_id = 34 ORDER BY name'))[0]);
    await c.beginTransaction();
    for (const sql of ["INSERT INTO people (user_id, name) VALUES (34, 'a')", 'SAVEPOINT s', "INSERT INTO people (user_id, name) VALUES (34, 'b')",
      'ROLLBACK TO SAVEPOINT s', "INSERT INTO people (user_id, name) VALUES (34, 'c')"]) await c.query(sql);
    await names();
    await c.commit();
    await names();
    await c.beginTransaction();
    await c.query('DELETE FROM people WHERE user_id = 34');
    await names();
    await c.rollback();
    await names();
  },
  async errors(cell) {
    const c = await connect();
    await c.query("INSERT INTO people (user_id, id, name) VALUES (35, 1, 'a')");
    for (const method of ['query', 'execute']) {
      for (const sql of broken) {
        try {
          await c[method](sql);
          say(cell, sql, 'went well');
        } catch (e) {
          say(cell, failure(e));
        }
      }
    }
    try {
      await connect({ password: 'wrong' });
      say(cell, 'a wrong password was taken');
    } catch (e) {
      say(cell, e.errno, e.code, e.sqlState);
    }
  },
  async ids(cell) {
    const c = await connect();
    for (const method of ['query', 'execute']) {
      await c.query('DELETE FROM people WHERE user_id = 36');
      for (const sql of ["INSERT INTO people (user_id, name) VALUES (36, 'a')", "INSERT INTO people (user_id, name) VALUES (36, 'b'), (36, 'c'), (36, 'd')",
        "INSERT INTO people (user_id, name) VALUES (36, 'a') ON DUPLICATE KEY UPDATE id = LAST_INSERT_ID(id), score = 1"]) {
        const [{ insertId, ...result }] = await c[method](sql);
        say(cell, show(result));
        sayRows(cell, (await c[method]('SELECT name FROM people WHERE user_id = 36 AND id = ?', [insertId]))[0]);
        sayRows(cell, (await c[method]('SELECT LAST_INSERT_ID() = ? AS same', [insertId]))[0]);
      }
      for (const sql of ['UPDATE people SET score = 1 WHERE user_id = 36', 'UPDATE people SET score = 1 WHERE user_id = 36', "DELETE FROM people WHERE user_id = 36 AND name <> 'a'"]) {
        say(cell, show((await c[method](sql))[0]));
      }
      sayRows(cell, (await c[method]('SELECT ROW_COUNT()'))[0]);
    }
  },
  async results(cell) {
    const c = await connect();
    for (const method of ['query', 'execute']) {
      const [results] = await c[method]('CALL two_results()');
      say(cell, show(results));
      sayRows(cell, (await c[method]("SELECT 'and after'"))[0]);
    }
  },
  async statements(cell) {
    const c = await connect({ multipleStatements: true });
    say(cell, withoutIds(show((await c.query("SELECT 1; INSERT INTO people (user_id, name) VALUES (37, 'a'); SELECT name FROM people WHERE user_id = 37"))[0])));
  },
  async streaming(cell) {
    const c = callback.createConnection(options());
    let total = 0;
    const sql = "WITH RECURSIVE n AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM n WHERE i < 1000) SELECT i, REPEAT('x', 1000) AS x FROM n";
    for await (const row of c.query(sql).stream({ highWaterMark: 2 })) total += Number(row.i) * row.x.length;
    say(cell, total);
    sayRows(cell, (await c.promise().query("SELECT 'and after'"))[0]);
    c.destroy();
  },
  cursor: none('this client has no cursors'),
  async reset(cell) {
    const c = await connect();
    const dirty = async (name) => {
      for (const sql of ['SET @v = 1', "SET SESSION sql_mode = 'ANSI_QUOTES'", 'BEGIN', `INSERT INTO people (user_id, name) VALUES (38, '${name}')`]) await c.query(sql);
    };
    const clean = async () => sayRows(cell, (await c.query("SELECT @v, @@sql_mode LIKE '%ANSI_QUOTES%', COUNT(*) FROM people WHERE user_id = 38"))[0]);
    await dirty('a');
    await c.reset();
    await clean();
    await dirty('b');
    await c.changeUser({ user: env.MATRIX_USER, password: env.MATRIX_PASSWORD, database: env.MATRIX_DB });
    await clean();
  },
  async load(cell) {
    const c = await connect();
    const [result] = await c.query({ sql: `LOAD DATA LOCAL INFILE '${env.MATRIX_FILE}' INTO TABLE people (user_id, name)`, infileStreamFactory: (path) => createReadStream(path) });
    say(cell, result.affectedRows, result.info);
    sayRows(cell, (await c.query('SELECT name FROM people WHERE user_id = 39 ORDER BY name'))[0]);
  },
  async compression(cell) {
    const c = await connect({ compress: true });
    sayRows(cell, (await c.query("SELECT LENGTH(REPEAT('x', 1000000)), REPEAT('y', 100000)"))[0]);
  },
});
for (const c of open) c.destroy();
