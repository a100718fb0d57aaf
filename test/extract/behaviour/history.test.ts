import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../../../infra/postgres/index.ts';
import { isSluiceError } from '../../../warehouse/core/errors.ts';
import { log, sourceOf, type TestLake, testLake } from '../lake.ts';
import { bronzeRows, sourceRows } from './same.ts';

/** Servers whose history is not one line: crashed, put back from a copy, replicated, failed over. Numbers of transactions are then given out again. */

const columns = ['id', 'v', 'updated_at'];
const cursor = { column: 'updated_at', setBy: 'application' } as const;
const source = sourceOf({
  t: { mode: 'cursor', key: ['id'], columns, cursor },
  e: { mode: 'append', key: [], columns },
});

let root: string;
let primary: EmbeddedPostgres;
const servers: EmbeddedPostgres[] = [];
before(async () => {
  root = await mkdtemp(join(tmpdir(), 'sluice-history-'));
  primary = await start('primary');
});
after(async () => {
  for (const server of servers.reverse()) await server.stop().catch(() => undefined);
  await rm(root, { recursive: true, force: true });
});

async function start(name: string): Promise<EmbeddedPostgres> {
  const server = await startEmbeddedPostgres({ dir: join(root, name), durable: false, log });
  servers.push(server);
  return server;
}

async function ask<T extends pg.QueryResultRow>(url: string, sql: string): Promise<T | undefined> {
  const client = new pg.Client({ connectionString: url });
  client.on('error', () => undefined);
  await client.connect();
  try {
    const result: pg.QueryResult<T> | readonly pg.QueryResult<T>[] = await client.query<T>(sql);
    return [result].flat().at(-1)?.rows[0];
  } finally {
    await client.end();
  }
}

async function dataDirOf(server: EmbeddedPostgres): Promise<string> {
  return (await ask<{ dir: string }>(server.url, `select current_setting('data_directory') as dir`))?.dir ?? '';
}

async function run(command: string, ...args: string[]): Promise<void> {
  const child = spawn(command, args, { stdio: ['ignore', 'ignore', 'inherit'] });
  const [code] = (await once(child, 'exit')) as [number];
  assert.equal(code, 0, `${command} ${args.join(' ')}`);
}

async function replaceFolder(from: string, to: string): Promise<void> {
  await rm(to, { recursive: true, force: true });
  await run('cp', '-a', from, to);
}

async function lakeOf(name: string): Promise<{ lake: TestLake; url: string }> {
  const url = await primary.createDatabase(name);
  const lake = await testLake({ url, drop: () => Promise.resolve() });
  await lake.client.query(`create table app.t (id int primary key, v text, updated_at timestamptz); create table app.e (like app.t);
    insert into app.t select i, 'old', null from generate_series(1, 50) i; insert into app.e table app.t`);
  return { lake, url };
}

/** The database as another server, or the same one after it stood still, shows it. */
const at = (server: EmbeddedPostgres, name: string): string => {
  const url = new URL(server.url);
  url.pathname = `/${name}`;
  return url.href;
};

const hows = (tables: Awaited<ReturnType<TestLake['run']>>['tables']): unknown[] => [
  tables['t']?.how,
  tables['e']?.how,
];

test('after a crash everything is compared once, for numbers that were lost are given out again', async () => {
  const { lake, url } = await lakeOf('crash');
  try {
    await lake.run(source);
    await ask(url, `insert into app.t values (60, 'a', null)`);
    assert.deepEqual(hows((await lake.run(source)).tables), ['sweep', 'sweep']);
    // Commits are not flushed here: those of the last moments are gone after the crash, and what the lake holds of them goes, too.
    await ask(
      url,
      `insert into app.t select i, 'lost?', null from generate_series(100, 120) i; insert into app.e values (1, 'lost?')`,
    );
    await lake.run(source);
    process.kill(primary.pid, 'SIGKILL');
    await sleep(200);
    await primary.stop().catch(() => undefined);
    primary = await start('primary');
    const now = at(primary, 'crash');
    await ask(now, `update app.t set v = 'after the crash' where id = 5; insert into app.e values (2, 'after')`);
    const { tables } = await lake.run(source, { url: now });
    assert.deepEqual(hows(tables), ['whole', 'whole']);
    assert.match(tables['t']?.note ?? '', /no sweep: .*the server changed/);
    const client = new pg.Client({ connectionString: now });
    await client.connect();
    for (const table of ['t', 'e']) assert.deepEqual(await bronzeRows(lake, table), await sourceRows(client, table));
    await client.end();
    assert.deepEqual(hows((await lake.run(source, { url: now })).tables), ['sweep', 'sweep']);
  } finally {
    await lake[Symbol.asyncDispose]();
  }
});

test('a server put back from a cold copy counts fewer transactions than the lake knows: everything is compared', async () => {
  const { lake } = await lakeOf('restored');
  try {
    const dir = await dataDirOf(primary);
    await primary.stop();
    await replaceFolder(dir, `${dir}-copy`);
    primary = await start('primary');
    await lake.run(source, { url: at(primary, 'restored') });
    for (let i = 0; i < 20; i++)
      await ask(
        at(primary, 'restored'),
        `insert into app.e values (${i}, 'after'); insert into app.t values (${100 + i}, 'after')`,
      );
    await lake.run(source, { url: at(primary, 'restored') });
    await primary.stop();
    await replaceFolder(`${dir}-copy`, dir);
    primary = await start('primary');
    const { tables } = await lake.run(source, { url: at(primary, 'restored') });
    assert.deepEqual([...hows(tables), tables['e']?.inserted], ['whole', 'whole', 50]);
    assert.match(tables['t']?.note ?? '', /count of transactions went back/);
  } finally {
    await lake[Symbol.asyncDispose]();
  }
});

test('B16: a standby is swept; a recovery conflict ends the run with an error to retry, and the next run is whole; a failover voids the marks', async () => {
  const { lake } = await lakeOf('replicated');
  try {
    const standby = await makeStandby();
    const [there, here] = [at(standby, 'replicated'), at(primary, 'replicated')];
    const client = new pg.Client({ connectionString: here });
    client.on('error', () => undefined);
    await client.connect();
    const write = async (sql: string): Promise<void> => {
      await client.query(sql);
      const flushed = await client.query<{ lsn: string }>('select pg_current_wal_insert_lsn()::text as lsn');
      for (;;) {
        const row = await ask<{ there: boolean }>(
          there,
          `select pg_last_wal_replay_lsn() >= '${flushed.rows[0]?.lsn}'::pg_lsn as there`,
        );
        if (row?.there === true) return;
        await sleep(20);
      }
    };
    await write('select txid_current()');
    await lake.run(source, { url: there });
    const open = new pg.Client({ connectionString: here });
    open.on('error', () => undefined);
    await open.connect();
    await open.query(
      `begin; insert into app.t values (70, 'late', null); savepoint s; insert into app.e values (70, 'late')`,
    );
    await write(`insert into app.t values (71, 'overtakes', null); insert into app.e values (71, 'overtakes')`);
    const swept = await lake.run(source, { url: there });
    assert.deepEqual([...hows(swept.tables), swept.tables['e']?.rowsRead], ['sweep', 'sweep', 1]);
    assert.match(swept.tables['t']?.note ?? '', /set by the application/);
    await open.query('commit');
    await open.end();
    await write(`update app.t set v = 'backward', updated_at = '2001-01-01' where id = 3`);
    const late = await lake.run(source, { url: there });
    assert.deepEqual(
      [...hows(late.tables), late.tables['t']?.rowsRead, late.tables['e']?.rowsRead],
      ['sweep', 'sweep', 3, 1],
    );

    await client.query(`insert into app.t select i, repeat('x', 500), null from generate_series(1000, 3000) i`);
    await write('select 1');
    const head = await lake.bronze.head('app');
    await assert.rejects(
      lake.run(source, {
        url: there,
        onSnapshot: async () => {
          // Rows that the standby's snapshot still needs are removed, and the standby does not wait for it.
          await client.query(`delete from app.t where id >= 2000`);
          await write('vacuum (truncate off) app.t');
        },
      }),
      (error: unknown) => isSluiceError(error, 'SOURCE_QUERY_FAILED') && error.retryable,
    );
    assert.equal(await lake.bronze.head('app'), head, 'nothing of it is committed');
    await write('select txid_current()');
    assert.equal((await lake.run(source, { url: there })).tables['t']?.inserted, 1000);
    for (const table of ['t', 'e']) assert.deepEqual(await bronzeRows(lake, table), await sourceRows(client, table));

    await client.end();
    await ask(there, 'select pg_promote(true, 60)');
    await ask(there, `insert into app.e values (90, 'on the new timeline')`);
    const after = await lake.run(source, { url: there });
    assert.deepEqual([...hows(after.tables), after.tables['e']?.rowsRead], ['whole', 'whole', 53]);
    await ask(there, `insert into app.e values (91, 'and on')`);
    assert.deepEqual((await lake.run(source, { url: there })).tables['e']?.rowsRead, 1);
  } finally {
    await lake[Symbol.asyncDispose]();
  }
});

/** A hot standby of the primary from a base backup made by hand, which yields to no query. */
async function makeStandby(): Promise<EmbeddedPostgres> {
  const draft = await start('standby');
  const to = await dataDirOf(draft);
  await draft.stop();
  const from = await dataDirOf(primary);
  const client = new pg.Client({ connectionString: primary.url });
  await client.connect();
  await client.query(`select pg_backup_start('standby', true)`);
  await replaceFolder(from, to);
  const { rows } = await client.query<{ labelfile: string }>('select labelfile from pg_backup_stop(true)');
  await client.end();
  const url = new URL(primary.url);
  const conninfo = `host=${url.hostname} port=${url.port} user=${url.username} password=${decodeURIComponent(url.password)}`;
  await rm(join(to, 'postmaster.pid'), { force: true });
  await run('sh', '-c', 'cp -a "$1/pg_wal/." "$2/pg_wal/"', 'sh', from, to);
  const files: Readonly<Record<string, string>> = {
    backup_label: rows[0]?.labelfile ?? '',
    'standby.signal': '',
    'postgresql.auto.conf': `primary_conninfo = '${conninfo}'\nmax_standby_streaming_delay = 0\nmax_standby_archive_delay = 0\nhot_standby_feedback = off\n`,
  };
  // Written over files that the server's own account holds, so that it may read them.
  for (const [name, text] of Object.entries(files))
    await run('sh', '-c', 'cp -p "$1/PG_VERSION" "$1/$2" && printf "%s" "$3" > "$1/$2"', 'sh', to, name, text);
  return start('standby');
}
