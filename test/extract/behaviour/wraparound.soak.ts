import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, chownSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { asAccount, findAccount } from '../../../infra/postgres/account.ts';
import { sourceOf, type TestLake, testLake } from '../lake.ts';
import { bronzeRows, sourceRows } from './same.ts';

/** B12: a cluster whose count of transactions passes 2^32 between two runs. Needs pg_resetwal, which only a whole Postgres has: apt-get install postgresql. */

const columns = ['id', 'v', 'updated_at'];
const source = sourceOf({
  t: { mode: 'cursor', key: ['id'], columns, cursor: { column: 'updated_at', setBy: 'application' } },
  e: { mode: 'append', key: [], columns },
});

const root = mkdtempSync(join(tmpdir(), 'sluice-wrap-'));
const data = join(root, 'data');
let bin: string;
let port: number;
let account: Awaited<ReturnType<typeof findAccount>>;
let lake: TestLake;

function tool(name: string, ...args: string[]): void {
  const done = spawnSync(join(bin, name), args, {
    ...asAccount(account),
    cwd: data,
    encoding: 'utf8',
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  assert.equal(done.status, 0, `${name} ${args.join(' ')}: ${done.stderr}`);
}
const start = (): void =>
  tool(
    'pg_ctl',
    '-D',
    data,
    '-w',
    '-l',
    join(data, 'log'),
    '-o',
    `-p ${port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off`,
    'start',
  );
const stop = (): void => tool('pg_ctl', '-D', data, '-w', '-m', 'fast', 'stop');

before(async () => {
  account = await findAccount();
  const places = [
    ...(existsSync('/usr/lib/postgresql')
      ? readdirSync('/usr/lib/postgresql').map((version) => `/usr/lib/postgresql/${version}/bin`)
      : []),
    '/opt/homebrew/bin',
    '/usr/local/bin',
    '/usr/bin',
  ];
  bin = places.findLast((place) => existsSync(join(place, 'pg_resetwal')) && existsSync(join(place, 'initdb'))) ?? '';
  assert.notEqual(bin, '', 'pg_resetwal is found: install a whole Postgres');
  port = await new Promise<number>((resolve) => {
    const probe = createServer().listen(0, '127.0.0.1', () => {
      const address = probe.address();
      probe.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0));
    });
  });
  chmodSync(root, 0o755);
  mkdirSync(data, { mode: 0o700 });
  if (account !== undefined) chownSync(data, account.uid, account.gid);
  tool('initdb', '-D', data, '-U', 'sluice', '-A', 'trust', '--no-sync');
  start();
  lake = await testLake({ url: `postgres://sluice@127.0.0.1:${port}/postgres`, drop: () => Promise.resolve() });
  await lake.client.query(`create table app.t (id int primary key, v text, updated_at timestamptz); create table app.e (like app.t);
    insert into app.t select i, 'old', null from generate_series(1, 50) i; insert into app.e table app.t; update app.t set v = 'frozen' where id <= 10`);
});
after(async () => {
  await lake[Symbol.asyncDispose]();
  stop();
  rmSync(root, { recursive: true, force: true });
});

/** Freezes every row of every database, then sets the next transaction’s number. */
async function jumpTo(xid: number, epoch: number): Promise<void> {
  await write('update pg_database set datallowconn = true');
  for (const database of ['template0', 'template1', 'postgres']) {
    const client = await lake.connect(database);
    await client.query('vacuum (freeze)');
    await client.end();
  }
  stop();
  // The commit log of the new number must exist; zeros mean that nothing there is decided.
  const segment = Math.floor(xid / (32 * 8192 * 4))
    .toString(16)
    .toUpperCase()
    .padStart(4, '0');
  const path = join(data, 'pg_xact', segment);
  if (!existsSync(path)) {
    writeFileSync(path, Buffer.alloc(32 * 8192));
    if (account !== undefined) chownSync(path, account.uid, account.gid);
  }
  tool('pg_resetwal', '-D', data, '-x', String(xid), '-e', String(epoch));
  start();
}

async function check(expected: readonly unknown[]): Promise<void> {
  const { tables } = await lake.run(source);
  const client = await lake.connect();
  assert.deepEqual([tables['t']?.how, tables['e']?.how], expected);
  for (const table of ['t', 'e']) assert.deepEqual(await bronzeRows(lake, table), await sourceRows(client, table));
  await client.end();
}

async function write(sql: string): Promise<void> {
  const client = await lake.connect();
  await client.query(sql);
  await client.end();
}

const burn = (n: number): Promise<void> =>
  write(`do $$ begin for i in 1..${n} loop perform txid_current(); commit; end loop; end $$`);

test('B12: a first load of a cluster behind a wraparound is whole, increments across the next one are swept, and aliases cost rows, never miss one', async () => {
  await jumpTo(4_294_967_000, 3);
  await check(['whole', 'whole']);
  await write(
    `insert into app.t values (100, 'before the wraparound', null); insert into app.e values (100, 'before')`,
  );
  await check(['sweep', 'sweep']);
  await burn(400);
  await write(
    `insert into app.t values (101, 'after it', null); insert into app.e values (101, 'after'); update app.t set v = 'changed' where id = 20`,
  );
  await check(['sweep', 'sweep']);
  // Past the numbers of the first rows: frozen long ago, they now look young. The table without a key notices by its count.
  await write('select txid_current()');
  await burn(1000);
  await write(`insert into app.t values (102, 'among aliases', null); insert into app.e values (102, 'among aliases')`);
  const { tables } = await lake.run(source);
  assert.equal(tables['t']?.how, 'sweep');
  assert.ok((tables['t']?.rowsRead ?? 0) > 1, 'old rows came along');
  assert.deepEqual([tables['t']?.inserted, tables['t']?.updated], [1, 0]);
  assert.match(tables['e']?.note ?? '', /whole table: rows were updated or deleted/);
  await check(['sweep', 'sweep']);
  // A recovery resets the statistics of this version, too, and with them every mark.
  tool('pg_ctl', '-D', data, '-w', '-m', 'immediate', 'stop');
  start();
  await check(['whole', 'whole']);
  await check(['sweep', 'sweep']);
  stop();
  start();
  await check(['sweep', 'sweep']);
});
