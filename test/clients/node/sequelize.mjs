// The matrix for Sequelize.
import { readFileSync } from 'node:fs';
import { DataTypes, Sequelize } from 'sequelize';
import { broken, env, failure, large, none, options, run, say, sayRows, sha256, show, text4, version, withoutIds } from './matrix.mjs';

const open = [];
function connect(dialectOptions = {}, more = {}) {
  const o = options();
  const s = new Sequelize(o.database, o.user, o.password, {
    dialect: 'mysql', host: o.host, port: o.port, logging: false, dialectOptions: { supportBigNumbers: true, bigNumberStrings: true, dateStrings: true, ...dialectOptions }, pool: { max: 3 }, ...more,
  });
  open.push(s);
  return s;
}
function models(s) {
  const quiet = { timestamps: false };
  return {
    Person: s.define('person', {
      user_id: { type: DataTypes.BIGINT, primaryKey: true }, id: { type: DataTypes.BIGINT, autoIncrement: true, primaryKey: true },
      name: DataTypes.STRING, born: DataTypes.DATE(6), score: DataTypes.DECIMAL(10, 3),
    }, { ...quiet, tableName: 'people' }),
    File: s.define('file', { id: { type: DataTypes.INTEGER, primaryKey: true }, content: DataTypes.BLOB('long') }, { ...quiet, tableName: 'files' }),
  };
}
const db = connect();
const { Person, File } = models(db);
const plainRows = (list) => list.map((m) => { const { id, ...rest } = m.get({ plain: true }); return rest; });
const bind = { type: Sequelize.QueryTypes.SELECT };

say('version', version('sequelize'));
await run({
  async connect(cell) {
    await db.authenticate();
    sayRows(cell, await db.query('SELECT 1, DATABASE(), @@autocommit', bind));
    sayRows(cell, (await db.getQueryInterface().showAllTables()).sort().map((name) => ({ name })));
    say(cell, show(await Person.describe()));
  },
  async tls(cell) {
    sayRows(cell, await connect({ ssl: { ca: readFileSync(env.MATRIX_CA) } }).query("SELECT 'over TLS'", bind));
    try {
      await connect({ ssl: { ca: readFileSync(env.MATRIX_OTHER_CA) } }).authenticate();
      say(cell, 'a certificate of another authority was taken');
    } catch (e) {
      say(cell, 'another authority', e.constructor.name, e.original.code);
    }
  },
  async text(cell) {
    for (const id of [1, 11, 12]) sayRows(cell, await db.query('SELECT * FROM kinds WHERE id = :id', { ...bind, replacements: { id } }));
  },
  async binary(cell) {
    for (const id of [1, 11, 12]) {
      const [row] = await db.query('SELECT * FROM kinds WHERE id = ?', { ...bind, replacements: [id] });
      row.id += 100;
      row.js = JSON.stringify(row.js);
      const names = Object.keys(row);
      await db.query(`INSERT INTO kinds VALUES (${names.map((n) => `$${n}`).join(', ')})`, { bind: row });
      sayRows(cell, await db.query('SELECT * FROM kinds WHERE id = $1', { ...bind, bind: [id + 100] }));
    }
  },
  nulls: async (cell) => sayRows(cell, await db.query('SELECT * FROM kinds WHERE id = $1', { ...bind, bind: [2] })),
  async utf8mb4(cell) {
    await Person.create({ user_id: 31, name: text4 });
    sayRows(cell, plainRows(await Person.findAll({ where: { user_id: 31, name: text4 } })));
  },
  latin1: none('this client speaks utf8mb4 alone'),
  async fractions(cell) {
    for (const [i, at] of ['2026-02-28T23:59:59.000Z', '2026-02-28T23:59:59.100Z', '2026-02-28T23:59:59.999Z'].entries()) await Person.create({ user_id: 33, name: String(i), born: new Date(at), score: `1.00${i}` });
    sayRows(cell, plainRows(await Person.findAll({ where: { user_id: 33, born: { [Sequelize.Op.gte]: new Date('2026-02-28T23:59:59.000Z') } }, order: ['name'] })));
  },
  async blob(cell) {
    const content = large();
    await File.create({ id: 1, content });
    const file = await File.findByPk(1);
    say(cell, file.content.length, sha256(file.content), file.content.equals(content));
  },
  async transactions(cell) {
    const names = async (transaction) => sayRows(cell, plainRows(await Person.findAll({ where: { user_id: 34 }, order: ['name'], transaction })));
    await db.transaction({ isolationLevel: Sequelize.Transaction.ISOLATION_LEVELS.READ_COMMITTED }, async (transaction) => {
      await Person.create({ user_id: 34, name: 'a' }, { transaction });
      await db.transaction({ transaction }, async (inner) => {
        await Person.create({ user_id: 34, name: 'b' }, { transaction: inner });
        throw new Error('undo the inner one');
      }).catch((e) => say(cell, e.message));
      await Person.create({ user_id: 34, name: 'c' }, { transaction });
      await names(transaction);
    });
    await names();
    await db.transaction(async (transaction) => {
      await Person.destroy({ where: { user_id: 34 }, transaction });
      await names(transaction);
      throw new Error('undo');
    }).catch((e) => say(cell, e.message));
    await names();
    await db.transaction(async (transaction) => {
      sayRows(cell, plainRows(await Person.findAll({ where: { user_id: 34 }, order: ['name'], lock: true, transaction })));
    });
  },
  async errors(cell) {
    await db.query("INSERT INTO people (user_id, id, name) VALUES (35, 1, 'a')");
    for (const sql of broken) {
      try {
        await db.query(sql);
        say(cell, sql, 'went well');
      } catch (e) {
        say(cell, failure(e));
      }
    }
    try {
      await Person.create({ user_id: 35, name: 'a' });
    } catch (e) {
      say(cell, e.constructor.name, show(e.fields));
    }
  },
  async ids(cell) {
    const a = await Person.create({ user_id: 36, name: 'a' });
    say(cell, a.id > 0, (await Person.findOne({ where: { user_id: 36, id: a.id } })).name);
    const many = await Person.bulkCreate(['b', 'c', 'd'].map((name) => ({ user_id: 36, name })));
    say(cell, many.length);
    say(cell, show(await Person.update({ score: 1 }, { where: { user_id: 36 } })), await Person.destroy({ where: { user_id: 36, name: ['b', 'c'] } }));
    const [, made] = await Person.findOrCreate({ where: { user_id: 36, name: 'a' } });
    say(cell, made, await Person.count({ where: { user_id: 36 } }), await Person.sum('score', { where: { user_id: 36 } }));
    await Person.upsert({ user_id: 36, id: a.id, name: 'a', score: 7 });
    sayRows(cell, plainRows(await Person.findAll({ where: { user_id: 36 }, order: ['name'] })));
  },
  async results(cell) {
    say(cell, show(await db.query('CALL two_results()')));
  },
  async statements(cell) {
    say(cell, withoutIds(show(await connect({ multipleStatements: true }).query("SELECT 1; INSERT INTO people (user_id, name) VALUES (37, 'a'); SELECT name FROM people WHERE user_id = 37"))));
  },
});
for (const s of open) await s.close();
