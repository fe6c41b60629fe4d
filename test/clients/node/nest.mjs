// The matrix for TypeORM in an application of NestJS. Its `replication` setting,
// one master and slaves, has become one DSN.
import 'reflect-metadata';
import { readFileSync } from 'node:fs';
import { Inject, Injectable, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { getDataSourceToken, getRepositoryToken, TypeOrmModule } from '@nestjs/typeorm';
import { DataSource, EntitySchema, MoreThanOrEqual } from 'typeorm';
import { broken, env, failure, large, none, run, say, sayRows, sha256, show, text4, version } from './matrix.mjs';

const dsn = `mysql://${env.MATRIX_USER}:${env.MATRIX_PASSWORD}@${env.MATRIX_HOST}:${env.MATRIX_PORT}/${env.MATRIX_DB}`;

const Person = new EntitySchema({
  name: 'Person', tableName: 'people',
  columns: {
    userId: { type: 'bigint', name: 'user_id', primary: true }, id: { type: 'bigint', primary: true, generated: 'increment' },
    name: { type: 'varchar', length: 40 }, born: { type: 'datetime', precision: 6, nullable: true }, score: { type: 'decimal', precision: 10, scale: 3, nullable: true },
  },
  uniques: [{ columns: ['userId', 'name'] }],
});
const Kind = new EntitySchema({
  name: 'Kind', tableName: 'kinds',
  columns: Object.fromEntries([
    ['id', 'int'], ['i8', 'tinyint'], ['u8', 'tinyint'], ['i16', 'smallint'], ['u16', 'smallint'], ['i24', 'mediumint'], ['u24', 'mediumint'], ['i32', 'int'], ['u32', 'int'],
    ['i64', 'bigint'], ['u64', 'bigint'], ['f', 'float'], ['d', 'double'], ['dc', 'decimal'], ['dcu', 'decimal'], ['b1', 'bit'], ['b9', 'bit'], ['b64', 'bit'], ['bo', 'bool'],
    ['dt', 'date'], ['tm', 'time'], ['tm3', 'time'], ['dtm', 'datetime'], ['dtm6', 'datetime'], ['ts', 'timestamp'], ['ts3', 'timestamp'], ['y', 'year'],
    ['c', 'char'], ['vc', 'varchar'], ['l1', 'varchar'], ['bn', 'binary'], ['vb', 'varbinary'], ['tb', 'tinyblob'], ['bl', 'blob'], ['tt', 'tinytext'], ['tx', 'text'],
    ['mt', 'mediumtext'], ['lt', 'longtext'], ['e', 'varchar'], ['st', 'varchar'], ['js', 'longtext'],
  ].map(([name, type]) => [name, { type, primary: name === 'id', nullable: name !== 'id' }])),
});
const File = new EntitySchema({ name: 'File', tableName: 'files', columns: { id: { type: 'int', primary: true }, content: { type: 'longblob', nullable: true } } });

// An application's service, with the repositories that Nest injects. Decorators
// are called by hand, since these programs aren't compiled.
class Shop {
  constructor(people, kinds, files, source) {
    Object.assign(this, { people, kinds, files, source });
  }
}
Injectable()(Shop);
[getRepositoryToken(Person), getRepositoryToken(Kind), getRepositoryToken(File), getDataSourceToken()].forEach((token, i) => Inject(token)(Shop, undefined, i));
class App {}
const entities = [Person, Kind, File];
const settings = { type: 'mysql', url: dsn, entities, synchronize: false, supportBigNumbers: true, bigNumberStrings: true, dateStrings: true, poolSize: 3, retryAttempts: 0 };
Module({ imports: [TypeOrmModule.forRoot(settings), TypeOrmModule.forFeature(entities)], providers: [Shop] })(App);

const app = await NestFactory.createApplicationContext(App, { logger: false });
const { people, kinds, files, source } = app.get(Shop);
const named = (list) => list.map(({ id, ...rest }) => rest);

say('version', `${version('typeorm')}, ${version('@nestjs/core')}`);
await run({
  async connect(cell) {
    sayRows(cell, await source.query('SELECT 1, DATABASE(), @@autocommit'));
    const runner = source.createQueryRunner();
    for (const name of ['people', 'kinds']) {
      const found = await runner.getTable(name);
      say(cell, name, show(found.columns.sort((a, b) => (a.name < b.name ? -1 : 1)).map((c) => [c.name, c.type, c.isNullable, c.isPrimary, c.isGenerated, c.length, c.precision, c.scale])));
    }
    await runner.release();
  },
  async tls(cell) {
    const secure = await new DataSource({ ...settings, ssl: { ca: readFileSync(env.MATRIX_CA) } }).initialize();
    sayRows(cell, await secure.query("SELECT 'over TLS'"));
    await secure.destroy();
    try {
      await new DataSource({ ...settings, ssl: { ca: readFileSync(env.MATRIX_OTHER_CA) } }).initialize();
      say(cell, 'a certificate of another authority was taken');
    } catch (e) {
      say(cell, 'another authority', e.code);
    }
  },
  async text(cell) {
    for (const id of [1, 11, 12]) {
      const row = await kinds.findOneByOrFail({ id });
      sayRows(cell, [row]);
      row.id += 100;
      row.js = typeof row.js === 'string' ? row.js : JSON.stringify(row.js);
      await kinds.insert(row);
      sayRows(cell, [await kinds.findOneByOrFail({ id: row.id })]);
    }
  },
  binary: none('this client prepares nothing'),
  nulls: async (cell) => sayRows(cell, [await kinds.findOneByOrFail({ id: 2 })]),
  async utf8mb4(cell) {
    await people.insert({ userId: 31, name: text4 });
    sayRows(cell, named(await people.findBy({ userId: 31, name: text4 })));
  },
  async fractions(cell) {
    for (const [i, at] of ['2026-02-28T23:59:59.000Z', '2026-02-28T23:59:59.100Z', '2026-02-28T23:59:59.999Z'].entries()) await people.insert({ userId: 33, name: String(i), born: new Date(at), score: `1.00${i}` });
    sayRows(cell, named(await people.find({ where: { userId: 33, born: MoreThanOrEqual(new Date('2026-02-28T23:59:59.000Z')) }, order: { name: 'ASC' } })));
  },
  async blob(cell) {
    const content = large();
    await files.insert({ id: 1, content });
    const file = await files.findOneByOrFail({ id: 1 });
    say(cell, file.content.length, sha256(file.content), file.content.equals(content));
  },
  async transactions(cell) {
    const names = async (m) => sayRows(cell, named(await m.find(Person, { where: { userId: 34 }, order: { name: 'ASC' } })));
    await source.transaction('READ COMMITTED', async (m) => {
      await m.insert(Person, { userId: 34, name: 'a' });
      await m.transaction(async (inner) => {
        await inner.insert(Person, { userId: 34, name: 'b' });
        throw new Error('undo the inner one');
      }).catch((e) => say(cell, e.message));
      await m.insert(Person, { userId: 34, name: 'c' });
      await names(m);
    });
    await names(source.manager);
    await source.transaction(async (m) => {
      await m.delete(Person, { userId: 34 });
      await names(m);
      throw new Error('undo');
    }).catch((e) => say(cell, e.message));
    await names(source.manager);
    await source.transaction(async (m) => {
      sayRows(cell, named(await m.find(Person, { where: { userId: 34 }, order: { name: 'ASC' }, lock: { mode: 'pessimistic_write' } })));
    });
  },
  async errors(cell) {
    await source.query("INSERT INTO people (user_id, id, name) VALUES (35, 1, 'a')");
    for (const sql of broken) {
      try {
        await source.query(sql);
        say(cell, sql, 'went well');
      } catch (e) {
        say(cell, failure(e));
      }
    }
  },
  async ids(cell) {
    const a = await people.save({ userId: 36, name: 'a' });
    say(cell, Number(a.id) > 0, show(named(await people.findBy({ userId: 36, id: a.id }))));
    const { raw } = await people.insert(['b', 'c', 'd'].map((name) => ({ userId: 36, name })));
    say(cell, raw.affectedRows, raw.info);
    say(cell, (await people.update({ userId: 36 }, { score: '1' })).affected, (await people.increment({ userId: 36, name: 'a' }, 'score', 2)).affected, (await people.delete({ userId: 36, name: 'b' })).affected);
    await people.upsert({ userId: 36, name: 'a', score: '9' }, ['userId', 'name']);
    const [list, count] = await people.findAndCount({ where: { userId: 36 }, order: { name: 'ASC' }, skip: 1, take: 2 });
    sayRows(cell, named(list));
    say(cell, count, await people.sum('score', { userId: 36 }));
  },
  async results(cell) {
    say(cell, show(await source.query('CALL two_results()')));
  },
  async streaming(cell) {
    let total = 0;
    for await (const row of await kinds.createQueryBuilder('k').where('k.id = :id', { id: 11 }).stream()) total += row.k_lt.length;
    say(cell, total);
  },
});
await app.close();
