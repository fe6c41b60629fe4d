// The matrix for Knex.
import { readFileSync } from 'node:fs';
import knex from 'knex';
import { broken, env, failure, large, none, options, run, say, sayRows, sha256, show, text4, version, withoutIds } from './matrix.mjs';

const open = [];
function connect(more) {
  const db = knex({ client: 'mysql2', connection: options({ supportBigNumbers: true, bigNumberStrings: true, dateStrings: true, ...more }), pool: { min: 0, max: 3 } });
  open.push(db);
  return db;
}
const db = connect();

say('version', version('knex'));
await run({
  async connect(cell) {
    sayRows(cell, (await db.raw('SELECT 1, DATABASE(), @@autocommit'))[0]);
  },
  async tls(cell) {
    sayRows(cell, (await connect({ ssl: { ca: readFileSync(env.MATRIX_CA) } }).raw("SELECT 'over TLS'"))[0]);
    try {
      await connect({ ssl: { ca: readFileSync(env.MATRIX_OTHER_CA) } }).raw('SELECT 1');
      say(cell, 'a certificate of another authority was taken');
    } catch (e) {
      say(cell, 'another authority', e.code);
    }
  },
  async text(cell) {
    for (const id of [1, 11, 12]) {
      const [row] = await db('kinds').where({ id });
      sayRows(cell, [row]);
      row.js = JSON.stringify(row.js);
      await db('kinds').insert({ ...row, id: id + 100 });
      sayRows(cell, await db('kinds').where('id', id + 100).select('*'));
    }
  },
  binary: none('this client has no binary protocol'),
  nulls: async (cell) => sayRows(cell, await db('kinds').where({ id: 2 })),
  async utf8mb4(cell) {
    await db('people').insert({ user_id: 31, name: text4 });
    sayRows(cell, await db('people').select('name', db.raw('HEX(name) AS ??', ['\u65e5\u672c'])).where({ user_id: 31, name: text4 }));
  },
  async latin1(cell) {
    const l = connect({ charset: 'LATIN1_SWEDISH_CI' });
    await l('people').insert({ user_id: 32, name: 'caf\u00e9 \u00fc' });
    sayRows(cell, await l('people').select('name', l.raw('HEX(name) AS h')).where({ user_id: 32 }));
  },
  async fractions(cell) {
    for (const [i, at] of ['2026-02-28 23:59:59.000001', '2026-02-28 23:59:59.100000', new Date(Date.UTC(2026, 1, 28, 23, 59, 59, 999))].entries()) {
      await db('people').insert({ user_id: 33, name: String(i), born: at, score: `1.00${i}` });
    }
    sayRows(cell, await db('people').select('name', 'born', 'score').where('user_id', 33).andWhere('born', '>', '2026-01-01').orderBy('name'));
  },
  async blob(cell) {
    const content = large();
    await db('files').insert({ id: 1, content });
    const row = await db('files').where({ id: 1 }).first('content', db.raw('SHA2(content, 256) AS sha'));
    say(cell, row.content.length, row.sha, sha256(row.content), row.content.equals(content));
  },
  async transactions(cell) {
    const names = async (q) => sayRows(cell, await q('people').select('name').where({ user_id: 34 }).orderBy('name'));
    await db.transaction(async (trx) => {
      await trx('people').insert({ user_id: 34, name: 'a' });
      await trx.transaction(async (inner) => {
        await inner('people').insert({ user_id: 34, name: 'b' });
        throw new Error('undo the inner one');
      }).catch((e) => say(cell, e.message));
      await trx('people').insert({ user_id: 34, name: 'c' });
      await names(trx);
    });
    await names(db);
    await db.transaction(async (trx) => {
      await trx('people').where({ user_id: 34 }).del();
      await names(trx);
      throw new Error('undo');
    }).catch((e) => say(cell, e.message));
    await names(db);
  },
  async errors(cell) {
    await db('people').insert({ user_id: 35, id: 1, name: 'a' });
    for (const sql of broken) {
      try {
        await db.raw(sql);
        say(cell, sql, 'went well');
      } catch (e) {
        say(cell, failure(e));
      }
    }
  },
  async ids(cell) {
    for (const names of [['a'], ['b', 'c', 'd']]) {
      const [id] = await db('people').insert(names.map((name) => ({ user_id: 36, name })));
      sayRows(cell, await db('people').select('name').where({ user_id: 36, id }));
    }
    say(cell, await db('people').where({ user_id: 36 }).update({ score: 1 }), await db('people').where({ user_id: 36 }).increment('score', 1), await db('people').where({ user_id: 36 }).whereNot({ name: 'a' }).del());
    await db('people').insert({ user_id: 36, name: 'a', score: 5 }).onConflict().merge(['score']);
    sayRows(cell, await db('people').select('name', 'score').where({ user_id: 36 }));
  },
  async results(cell) {
    say(cell, show((await db.raw('CALL two_results()'))[0]));
  },
  async statements(cell) {
    say(cell, withoutIds(show((await connect({ multipleStatements: true }).raw("SELECT 1; INSERT INTO people (user_id, name) VALUES (37, 'a'); SELECT name FROM people WHERE user_id = 37"))[0])));
  },
  async streaming(cell) {
    let total = 0;
    for await (const row of db.withRecursive('n', db.raw('SELECT 1 AS i UNION ALL SELECT i + 1 FROM n WHERE i < 1000')).select('i', db.raw("REPEAT('x', 1000) AS x")).from('n').stream()) total += Number(row.i) * row.x.length;
    say(cell, total);
  },
});
for (const d of open) await d.destroy();
