// What the programs of Node have in common: how they print, and the texts.
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';

export const env = process.env;
export const text4 = '\u{1F600} \u{20000} \u65e5\u672c caf\u00e9';

export function say(cell, ...what) {
  const text = what.map((w) => (typeof w === 'string' ? w : show(w))).join(' ');
  console.log(`${cell}\t${text.replaceAll('\\', '\\\\').replaceAll('\n', '\\n').replaceAll('\t', '\\t')}`);
}

export function show(v) {
  if (Buffer.isBuffer(v)) return `hex:${v.toString('hex')}`;
  if (v instanceof Date) return `date:${Number.isNaN(v.getTime()) ? 'invalid' : v.toISOString()}`;
  if (typeof v === 'bigint') return `${v}n`;
  if (Array.isArray(v)) return `[${v.map(show).join(', ')}]`;
  if (v !== null && typeof v === 'object') return `{${Object.entries(v).map(([k, x]) => `${k}: ${show(x)}`).join(', ')}}`;
  return `${typeof v}:${v}`;
}

export function sayRows(cell, rows) {
  say(cell, 'rows', rows.length);
  for (const row of rows) for (const [k, v] of Object.entries(row)) say(cell, k, show(v));
}

export const sha256 = (b) => createHash('sha256').update(b).digest('hex');
export const large = () => Buffer.alloc(17 * 1024 * 1024, Buffer.from(Array.from({ length: 256 }, (_, i) => i)));
export const version = (name) => JSON.parse(readFileSync(`${import.meta.dirname}/node_modules/${name}/package.json`)).version;

export const broken = [
  "INSERT INTO people (user_id, id, name) VALUES (35, 1, 'b')", 'SELEC 1', 'SELECT * FROM nosuch', 'SELECT nosuch FROM people WHERE user_id = 35',
  'INSERT INTO people (user_id, name) VALUES (35, NULL)', "INSERT INTO people (user_id, name) VALUES (35, REPEAT('x', 41))", 'SELECT NOSUCH(1)',
];

export const options = (more = {}) => ({
  host: env.MATRIX_HOST, port: Number(env.MATRIX_PORT), user: env.MATRIX_USER, password: env.MATRIX_PASSWORD, database: env.MATRIX_DB, ...more,
});

// run does the cells one after the other.
export async function run(cells) {
  for (const [cell, f] of Object.entries(cells)) {
    try {
      await f(cell);
    } catch (e) {
      const cause = e.original ?? e.driverError ?? e;
      say(cell, `! ${cause.errno ?? ''} ${cause.sqlState ?? cause.code ?? ''} ${cause.sqlMessage ?? cause.stack}`);
    }
  }
}

export const none = (why) => async (cell) => say(cell, `- ${why}`);
export const failure = (e) => {
  const c = e.original ?? e.driverError ?? e;
  return `${e.constructor.name} ${c.errno} ${c.code} ${c.sqlState} ${c.sqlMessage}`;
};

// Numbers of rows depend on what else the shard got.
export const withoutIds = (text) => text.replaceAll(/insertId: number:[1-9]\d*/g, 'insertId: some');
