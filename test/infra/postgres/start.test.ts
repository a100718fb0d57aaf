import assert from 'node:assert/strict';
import { existsSync, readdirSync } from 'node:fs';
import { rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { startEmbeddedPostgres } from '../../../infra/postgres/index.ts';
import { findPostmaster, isAlive, isServerOf } from '../../../infra/postgres/postmaster.ts';
import { isSluiceError } from '../../../warehouse/core/errors.ts';
import type { ProgressEvent } from '../../../warehouse/core/progress.ts';
import { eventually } from '../../support/eventually.ts';
import { ask, clusterFolder, end, log, readyFolder, spawnOwner, startOwner } from './support.ts';

test('starts, keeps data and port over a restart, and stops for good', async (t) => {
  const dir = await clusterFolder(t);
  const events: ProgressEvent[] = [];
  const first = await startEmbeddedPostgres({ dir, log, onProgress: (event) => events.push(event) });
  assert.equal(first.started, true);
  const url = await first.createDatabase('a "quoted" näme');
  await ask(url, 'create table kept as select 42 as answer');
  assert.equal(await first.createDatabase('a "quoted" näme'), url, 'making it again changes nothing');
  await first.stop();
  await first.stop();
  assert.equal(isServerOf(first.pid, join(dir, 'data')), false);
  assert.deepEqual(
    events.map((event) => event.state),
    ['started', 'finished'],
  );

  const second = await startEmbeddedPostgres({ dir, log });
  t.after(() => second.stop());
  assert.equal(second.port, first.port);
  assert.equal(second.url, first.url);
  assert.deepEqual(await ask(url, 'select answer from kept'), [{ answer: 42 }]);
});

test('has the same locale, encoding and time zone on every machine, and what change capture needs', async (t) => {
  const dir = await readyFolder(t);
  const server = await startEmbeddedPostgres({ dir, durable: false, log });
  t.after(() => server.stop());
  const [row] = await ask(
    server.url,
    `select current_setting('server_encoding') as encoding, current_setting('timezone') as zone,
       current_setting('wal_level') as wal, current_setting('max_prepared_transactions')::int > 0 as prepares,
       datlocprovider as provider, datlocale as locale, current_setting('server_version_num')::int / 10000 as major
     from pg_database where datname = current_database()`,
  );
  assert.deepEqual(row, {
    encoding: 'UTF8',
    zone: 'UTC',
    wal: 'logical',
    prepares: true,
    provider: 'b',
    locale: 'C.UTF-8',
    major: 18,
  });
});

test('a password is needed, and only this machine is listened to', async (t) => {
  const dir = await readyFolder(t);
  const server = await startEmbeddedPostgres({ dir, durable: false, log });
  t.after(() => server.stop());
  const wrong = new URL(server.url);
  wrong.password = 'wrong';
  await assert.rejects(ask(wrong.href, 'select 1'), /password authentication failed/);
  assert.deepEqual(await ask(server.url, `select current_setting('listen_addresses') as at`), [{ at: '127.0.0.1' }]);
});

test('a server whose owner was killed is joined and can be stopped', async (t) => {
  const dir = await readyFolder(t);
  const owner = await startOwner(t, dir);
  await ask(owner.said.url, 'create table kept as select 1 as x');
  await end(owner.process, 'SIGKILL');
  const next = await startEmbeddedPostgres({ dir, log });
  assert.equal(next.started, false);
  assert.equal(next.pid, owner.said.pid);
  assert.deepEqual(await ask(next.url, 'select x from kept'), [{ x: 1 }]);
  await next.stop();
  assert.equal(isServerOf(owner.said.pid, join(dir, 'data')), false);
});

test('a server that was killed itself starts again with what was committed', async (t) => {
  const dir = await readyFolder(t);
  const first = await startEmbeddedPostgres({ dir, log });
  await ask(first.url, 'create table kept as select generate_series(1, 1000) as x');
  process.kill(first.pid, 'SIGKILL');
  const second = await startEmbeddedPostgres({ dir, log });
  t.after(() => second.stop());
  assert.equal(second.started, true);
  assert.deepEqual(await ask(second.url, 'select count(*)::int as n from kept'), [{ n: 1000 }]);
  await first.stop();
  assert.equal(isAlive(second.pid), true, 'stopping the handle of the dead server leaves the new one alone');
});

test('a start killed at any moment of initdb leaves a folder that starts', async (t) => {
  const dir = await clusterFolder(t);
  for (const ms of [250, 500, 900]) {
    const child = spawnOwner(t, dir);
    await sleep(ms);
    await end(child, 'SIGKILL');
  }
  const server = await startEmbeddedPostgres({ dir, durable: false, log });
  t.after(() => server.stop());
  assert.deepEqual(await ask(server.url, 'select 1 as x'), [{ x: 1 }]);
});

test('drafts of killed starters are removed', async (t) => {
  const dir = await clusterFolder(t);
  const child = spawnOwner(t, dir);
  await eventually('initdb begins', () => readdirSync(dir).some((name) => name.startsWith('draft-')));
  await end(child, 'SIGKILL');
  const server = await startEmbeddedPostgres({ dir, durable: false, log });
  t.after(() => server.stop());
  assert.deepEqual(
    readdirSync(dir).filter((name) => name.startsWith('draft-')),
    [],
  );
});

test('three who start the same folder at once share one server, and the last to leave stops it', async (t) => {
  const dir = await clusterFolder(t);
  const owners = await Promise.all(Array.from({ length: 3 }, () => startOwner(t, dir)));
  assert.equal(new Set(owners.map((owner) => owner.said.pid)).size, 1);
  assert.equal(owners.filter((owner) => owner.said.started).length, 1);
  const pid = owners[0]?.said.pid ?? 0;
  for (const owner of owners.slice(0, 2)) await end(owner.process, 'SIGTERM');
  assert.deepEqual(await ask(owners[2]?.said.url ?? '', 'select 1 as x'), [{ x: 1 }], 'still one user left');
  const last = owners[2];
  assert.ok(last);
  await end(last.process, 'SIGTERM');
  await eventually('the server has ended', () => !isAlive(pid));
});

test('one who starts while another stops gets a server that stays', async (t) => {
  const dir = await readyFolder(t);
  let current = await startEmbeddedPostgres({ dir, durable: false, log });
  for (let round = 0; round < 12; round += 1) {
    const leaving = current.stop();
    await sleep(round * 5);
    const [next] = await Promise.all([startEmbeddedPostgres({ dir, durable: false, log }), leaving]);
    assert.deepEqual(await ask(next.url, 'select 1 as x'), [{ x: 1 }]);
    current = next;
  }
  await current.stop();
});

test('a program that forgets to stop exits by itself, and its server with it', async (t) => {
  const dir = await readyFolder(t);
  const owner = await startOwner(t, dir, 'return');
  await eventually('the program has ended', () => owner.process.exitCode === 0);
  await eventually('the server has ended', () => !isAlive(owner.said.pid));
});

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  test(`${signal} ends the owner by that signal and its server in order`, async (t) => {
    const dir = await readyFolder(t);
    const owner = await startOwner(t, dir);
    await end(owner.process, signal);
    assert.equal(owner.process.signalCode, signal);
    await eventually('the server has ended', () => !isAlive(owner.said.pid));
    assert.equal(
      existsSync(join(dir, 'data', 'postmaster.pid')),
      false,
      'a server that ended in order removes its file',
    );
  });
}

test('a port in use is refused by its number and leaves no server behind', async (t) => {
  const dir = await readyFolder(t);
  const other = createServer();
  await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
  t.after(() => other.close());
  const address = other.address();
  assert.ok(typeof address === 'object' && address !== null);
  await assert.rejects(startEmbeddedPostgres({ dir, port: address.port, durable: false, log }), (error) => {
    assert.ok(isSluiceError(error, 'PORT_IN_USE'));
    assert.match(error.message, new RegExp(`\\b${address.port}\\b`));
    assert.match(error.remedy ?? '', /port/);
    return true;
  });
  assert.equal(findPostmaster(join(dir, 'data')), undefined);
  const server = await startEmbeddedPostgres({ dir, durable: false, log });
  assert.equal(server.started, true);
  await server.stop();
});

test('when the port of last time is taken, another is found', async (t) => {
  const dir = await readyFolder(t);
  const first = await startEmbeddedPostgres({ dir, durable: false, log });
  await first.stop();
  const other = createServer();
  await new Promise<void>((resolve) => other.listen(first.port, '127.0.0.1', resolve));
  t.after(() => other.close());
  const second = await startEmbeddedPostgres({ dir, durable: false, log });
  t.after(() => second.stop());
  assert.notEqual(second.port, first.port);
  assert.deepEqual(await ask(second.url, 'select 1 as x'), [{ x: 1 }]);
});

test('a pid file whose pid is another program by now does not block the start', async (t) => {
  const dir = await readyFolder(t);
  const first = await startEmbeddedPostgres({ dir, durable: false, log });
  await first.stop();
  const lines = [process.pid, join(dir, 'data'), 1_700_000_000, first.port, '', '127.0.0.1', '', 'ready   '];
  await writeFile(join(dir, 'data', 'postmaster.pid'), `${lines.join('\n')}\n`);
  const second = await startEmbeddedPostgres({ dir, durable: false, log });
  t.after(() => second.stop());
  assert.equal(second.started, true);
});

test('a damaged data folder is a clear error that says where to look', async (t) => {
  const dir = await readyFolder(t);
  const first = await startEmbeddedPostgres({ dir, durable: false, log });
  await first.stop();
  await rm(join(dir, 'data', 'global', 'pg_control'));
  await assert.rejects(startEmbeddedPostgres({ dir, durable: false, log }), (error) => {
    assert.ok(isSluiceError(error, 'POSTGRES_START_FAILED'));
    assert.match(error.message, /pg_control|global/);
    assert.match(error.remedy ?? '', /postgres\.log/);
    return true;
  });
});
