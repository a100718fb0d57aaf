import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { renameSync } from 'node:fs';
import { readdir, readFile, readlink, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type pg from 'pg';
import { currentRowsSql } from '../../warehouse/core/bronze-sql.ts';
import { isSluiceError } from '../../warehouse/core/errors.ts';
import type { SourceDefinition, TableDefinition } from '../../warehouse/extract/index.ts';
import { query, sourceOf, type TestLake, testLake } from './lake.ts';
import { lookAt, type ResumeJob } from './resume-child.ts';

/** Attacks on resumed first loads: whatever happened to the table since the process was killed, bronze must be what one SELECT of the next run's snapshot shows. */

const limits = { partBytes: 65_536, connections: 3 } as const;
const definition: TableDefinition = { mode: 'full', key: ['id'], columns: ['id', 'v'] };

let lake: TestLake;
let observer: pg.Client;
let loads: string;
before(async () => {
  lake = await testLake();
  loads = join(lake.dir, 'work', 'loads');
  observer = await lake.connect();
});
after(() => lake[Symbol.asyncDispose]());

let tables = 0;
/** A table of about 16 parts and its source. */
async function makeTable(rows = 3000): Promise<{ name: string; source: SourceDefinition }> {
  const name = `t${++tables}`;
  await lake.client.query(`create table app.${name} (id int primary key, v text) with (autovacuum_enabled = off);
    insert into app.${name} select i, repeat(md5(i::text), 10) from generate_series(1, ${rows}) i`);
  return { name, source: sourceOf({ [name]: definition }) };
}

function startChild(source: SourceDefinition, at: ResumeJob['at'], signal: ResumeJob['signal']): ChildProcess {
  const script = fileURLToPath(new URL('./resume-child.ts', import.meta.url));
  const job: ResumeJob = { url: lake.url, dir: lake.dir, source, limits, signal, at };
  return spawn(process.execPath, [script, JSON.stringify(job)], { stdio: ['ignore', 'ignore', 'pipe'] });
}

async function kill(source: SourceDefinition, at: ResumeJob['at']): Promise<void> {
  const head = await lake.bronze.head('app');
  const [code, signal] = (await once(startChild(source, at, 'SIGKILL'), 'exit')) as [number | null, string | null];
  assert.deepEqual([code, signal], [null, 'SIGKILL'], `killed at ${at}`);
  assert.equal(await lake.bronze.head('app'), head);
}

/** As a process that ends by an error leaves it: same folders, and the process lives on. */
async function abort(source: SourceDefinition, parts: number): Promise<void> {
  const controller = new AbortController();
  await assert.rejects(
    lake.run(source, {
      limits,
      signal: controller.signal,
      onProgress: () => {
        if (lookAt(loads).finished >= parts) controller.abort();
      },
    }),
    (error: unknown) => isSluiceError(error, 'CANCELLED'),
  );
}

/** The run after: equal to its snapshot, keys single, nothing left on disk. Gives what was kept of how many parts; 0 when it began anew. */
async function runOn(source: SourceDefinition, name: string): Promise<{ kept: number; of: number; swept: number }> {
  let expected: string[] = [];
  const { tables: outcomes } = await lake.run(source, {
    limits,
    onSnapshot: async (exported) => {
      await observer.query(`begin isolation level repeatable read; set transaction snapshot '${exported}'`);
      const { rows } = await observer.query<{ row: string }>(
        `select concat_ws('|', id, md5(v)) as row from app.${name}`,
      );
      expected = rows.map(({ row }) => row).sort();
      await observer.query('commit');
    },
  });
  const table = await lake.table('app', name);
  const rows = await query(`select concat_ws('|', id, md5(v)) as row, id, _seq from (${currentRowsSql(table)})`);
  assert.deepEqual(rows.map((row) => String(row['row'])).sort(), expected);
  assert.equal((await lake.log(name)).length, expected.length, 'every key stands once');
  assert.equal(new Set(rows.map((row) => row['_seq'])).size, expected.length);
  const outcome = outcomes[name];
  assert.equal(outcome?.inserted, expected.length);
  assert.deepEqual(
    (await readdir(loads)).filter((load) => !load.startsWith('.')),
    [],
    'nothing is left',
  );
  const [, kept = '0', of = '0', swept = '0'] =
    /^resumed: (\d+) of (\d+) parts were kept .* \((\d+) rows read again\)$/.exec(outcome?.note ?? '') ?? [];
  assert.equal(outcome?.note?.includes('resumed') ?? false, kept !== '0');
  return { kept: Number(kept), of: Number(of), swept: Number(swept) };
}

async function loadFile(): Promise<{ dir: string; json: string }> {
  const [load = ''] = await readdir(loads);
  return { dir: join(loads, load), json: join(loads, load, 'load.json') };
}

test('killed in the middle, nothing happened since: what was read is kept and not read again', async () => {
  const { name, source } = await makeTable();
  await kill(source, 6);
  const result = await runOn(source, name);
  assert.ok(result.kept >= 6 && result.kept < result.of, JSON.stringify(result));
  assert.equal(result.swept, 0);
  const consistency = async (): Promise<unknown> =>
    (await lake.bronze.state(['app'])).sources[0]?.tables.get(name)?.consistency;
  assert.equal(await consistency(), 'repaired');
  assert.equal((await lake.run(source, { limits })).tables[name]?.bytes, 0);
  assert.equal(await consistency(), 'exact', 'compared whole');
  assert.equal((await lake.run(source, { limits })).batch.drafts.length, 0);
});

test('rows updated, deleted, added, moved and keys given out again in the meantime are repaired, also behind a vacuum', async () => {
  const { name, source } = await makeTable();
  await kill(source, 6);
  await lake.client.query(`update app.${name} set v = v || 'moved' where id % 3 = 0; delete from app.${name} where id % 7 = 0;
    delete from app.${name} where id in (1, 2, 1500); insert into app.${name} values (1, 'again'), (2, repeat('again', 200));
    update app.${name} set id = -id where id % 11 = 0; insert into app.${name} select i, 'new' from generate_series(5000, 5200) i`);
  await lake.client.query(`vacuum app.${name}`);
  await lake.client.query(
    `insert into app.${name} select i, 'in freed space' from generate_series(6000, 6200) i; update app.${name} set id = 3000000 where id = 2999`,
  );
  const result = await runOn(source, name);
  assert.ok(result.kept >= 6 && result.swept > 100, JSON.stringify(result));
});

test('a transaction that was open at the kill and one that is open still', async () => {
  const { name, source } = await makeTable();
  const [one, two] = [await lake.connect(), await lake.connect()];
  await one.query(
    `begin; update app.${name} set v = 'one' where id <= 20; savepoint s; delete from app.${name} where id between 21 and 30`,
  );
  await two.query(
    `begin; update app.${name} set v = 'two' where id between 40 and 60; insert into app.${name} values (-5, 'two')`,
  );
  await kill(source, 8);
  await one.query('commit');
  assert.ok((await runOn(source, name)).kept >= 8);
  await two.query('commit');
  await lake.run(source, { limits });
  assert.deepEqual((await lake.rows(name, 'id'))[0], { id: -5, v: 'two' });
});

test('killed twice and then while it repairs, the parts of every attempt are kept', async () => {
  const { name, source } = await makeTable();
  await kill(source, 3);
  await lake.client.query(`update app.${name} set v = 'after the first' where id % 5 = 0`);
  await kill(source, 8);
  await lake.client.query(
    `delete from app.${name} where id % 6 = 0; update app.${name} set v = 'after the second' where id % 100 = 1`,
  );
  for (const file of ['swept-', 'keys-', 'clean-']) {
    await kill(source, file);
    await lake.client.query(`update app.${name} set v = '${file}', id = id + 100000 where id = ${file.length * 3 + 1}`);
  }
  const result = await runOn(source, name);
  assert.equal(result.kept, result.of, 'all parts were read before');
});

test('parts without a row, and a table that was emptied row by row', async () => {
  const { name, source } = await makeTable();
  await lake.client.query(`delete from app.${name} where id <= 1000`);
  await kill(source, 4);
  await lake.client.query(`delete from app.${name} where id % 2 = 0`);
  await kill(source, 'keys-');
  assert.ok((await runOn(source, name)).kept > 4);
  const emptied = await makeTable();
  await kill(emptied.source, 4);
  await lake.client.query(`delete from app.${emptied.name}`);
  await runOn(emptied.source, emptied.name);
});

test('rows that have other places, other columns or another commit are read anew', async () => {
  const changes: readonly ((name: string) => Promise<unknown>)[] = [
    (name) => lake.client.query(`vacuum (full) app.${name}`),
    (name) => lake.client.query(`cluster app.${name} using ${name}_pkey`),
    (name) =>
      lake.client.query(
        `truncate app.${name}; insert into app.${name} select i, repeat('other', 60) from generate_series(1, 900) i`.replaceAll(
          '; ',
          ';',
        ),
      ),
    (name) => lake.client.query(`alter table app.${name} alter column v type varchar`),
    (name) =>
      lake.client.query(
        `alter table app.${name} add column w text; alter table app.${name} rename column v to u; alter table app.${name} rename column w to v`,
      ),
    (name) => lake.client.query(`alter table app.${name} drop constraint ${name}_pkey`),
    async () => {
      await lake.client.query(
        `create table if not exists app.other (id int primary key, v text); insert into app.other values (1, 'x')`,
      );
      await lake.run(sourceOf({ other: definition }));
    },
  ];
  for (const [i, change] of changes.entries()) {
    const { name, source } = await makeTable(1500);
    await abort(source, 3);
    await change(name);
    const { dir } = await loadFile();
    if (i === 5) {
      // Without a proven key what was kept is neither used nor looked at.
      await lake.run(source, { limits });
      await rm(dir, { recursive: true });
    } else assert.equal((await runOn(source, name)).kept, 0, `change ${i}`);
  }
  const { name, source } = await makeTable(1500);
  await abort(source, 3);
  await lake.client.query(`alter table app.${name} add column w int default 7`);
  assert.ok((await runOn(source, name)).kept >= 3, 'a column that is not carried');
});

test('a damaged list or part is of no use', async () => {
  const damage: readonly ((paths: { dir: string; json: string; part: string }) => Promise<unknown>)[] = [
    ({ json }) => writeFile(json, '{"format":1,'),
    ({ json }) => rm(json),
    async ({ json }) => writeFile(json, (await readFile(json, 'utf8')).replace('"format":1', '"format":2')),
    async ({ part }) => truncate(part, (await stat(part)).size - 1),
    async ({ part }) => {
      const bytes = await readFile(part);
      bytes.fill(0, 100, 200);
      await writeFile(part, bytes);
    },
    ({ part }) => rm(part),
  ];
  for (const [i, spoil] of damage.entries()) {
    const { name, source } = await makeTable(1500);
    await abort(source, 3);
    const { dir, json } = await loadFile();
    const state = JSON.parse(await readFile(json, 'utf8')) as { finished: { files: { localPath: string }[] }[] };
    await spoil({ dir, json, part: state.finished.flatMap((part) => part.files)[1]?.localPath ?? '' });
    assert.equal((await runOn(source, name)).kept, 0, `damage ${i}`);
  }
});

test('the folder of a process that lives is never taken; of two that load at once one commits', async () => {
  const { name, source } = await makeTable();
  const child = startChild(source, 5, 'SIGSTOP');
  let errors = '';
  child.stderr?.on('data', (chunk: Buffer) => {
    errors += chunk.toString();
  });
  const ended = once(child, 'exit');
  try {
    const stopped = async (): Promise<boolean> =>
      / T /.test(await readFile(`/proc/${child.pid}/stat`, 'utf8').catch(() => ' T '));
    while (!(await stopped())) await sleep(20);
    const [owned = ''] = await readdir(loads);
    const before_run = await readdir(join(loads, owned));
    const { tables: outcomes } = await lake.run(source, { limits });
    assert.equal(outcomes[name]?.note, undefined, 'read by itself');
    assert.deepEqual(await readdir(loads), [owned]);
    assert.deepEqual(await readdir(join(loads, owned)), before_run);
  } finally {
    child.kill('SIGCONT');
  }
  const [code] = (await ended) as [number | null];
  assert.notEqual(code, 0);
  assert.match(errors, /COMMIT_CONFLICT|Another run committed/);
  assert.equal((await lake.log(name)).length, 3000);
});

test('two loads of one table in one process do not share a folder', async () => {
  const { name, source } = await makeTable();
  await abort(source, 4);
  const batches = await Promise.all([1, 2, 3].map(() => lake.extract(source, { limits })));
  const kept = batches.filter((batch) => batch.tables[0]?.note?.startsWith('resumed'));
  assert.ok(kept.length <= 1);
  for (const batch of batches) assert.equal(batch.tables[0]?.inserted, 3000);
  const [draft] = batches[0]!.drafts;
  await lake.bronze.commit('app', draft!);
  assert.equal((await lake.rows(name)).length, 3000);
  for (const batch of batches) await rm(batch.dir, { recursive: true });
});

test('tables before it in the commit have grown: numbers stay single', async () => {
  const { name, source } = await makeTable();
  await lake.client.query(`create table app.early (id int primary key, v text); insert into app.early values (1, 'a')`);
  const both = sourceOf({ early: definition, ...source.tables });
  await kill(both, 4);
  await lake.client.query(
    `insert into app.early select i, 'late' from generate_series(2, 900) i; delete from app.${name} where id = 2000`,
  );
  const batch = await lake.extract(both, { limits });
  assert.match(batch.tables[1]?.note ?? '', /^resumed/);
  const numbers = new Set<unknown>();
  let rows = 0;
  for (const file of Object.values(batch.drafts[0]!.tables).flatMap((table) => table.files)) {
    const found = await query(`select _seq from read_parquet('${file.localPath}') order by 1`);
    assert.deepEqual([String(found.at(0)?.['_seq']), String(found.at(-1)?.['_seq'])], [file.firstSeq, file.lastSeq]);
    for (const row of found) numbers.add(row['_seq']);
    rows += found.length;
  }
  assert.equal(rows, 900 + 2999);
  assert.equal(numbers.size, rows);
  await lake.bronze.commit('app', batch.drafts[0]!);
  await rm(batch.dir, { recursive: true });
});

test('a table whose rows cannot be told apart is never kept', async () => {
  const { name } = await makeTable();
  await lake.client.query(`create table app.unproven (id int, v text); insert into app.unproven table app.${name}`);
  for (const [table, key] of [
    ['unproven', ['id']],
    ['unproven', []],
    [name, []],
  ] as const) {
    let kept = 0;
    const batch = await lake.extract(sourceOf({ [table]: { ...definition, key } }), {
      limits,
      onProgress: () => {
        kept = Math.max(kept, lookAt(loads).files.length);
      },
    });
    assert.deepEqual([kept, batch.tables[0]?.inserted], [0, 3000]);
    await rm(batch.dir, { recursive: true });
  }
});

test('one connection, which reads a part while the one before is ended, keeps what was finished', async () => {
  const { name, source } = await makeTable();
  const controller = new AbortController();
  let finished = 0;
  await assert.rejects(
    lake.run(source, {
      limits: { ...limits, connections: 1 },
      signal: controller.signal,
      onProgress: () => {
        finished = lookAt(loads).finished;
        if (finished >= 5) controller.abort();
      },
    }),
    (error: unknown) => isSluiceError(error, 'CANCELLED'),
  );
  const result = await runOn(source, name);
  assert.ok(result.kept >= 5 && result.kept <= finished + 2 && result.kept < result.of, JSON.stringify(result));
});

test('a load whose folder goes away under it ends with that error, all of it, and the next one is whole', async () => {
  for (const connections of [1, 3]) {
    const { name, source } = await makeTable();
    const away = `${loads}-gone`;
    let isGone = false;
    await assert.rejects(
      lake.run(source, {
        limits: { ...limits, connections },
        onProgress: () => {
          if (isGone || lookAt(loads).finished < 2) return;
          isGone = true;
          // At one stroke: removing file after file would itself fail where the load, on libuv's threads, makes another in between.
          renameSync(loads, away);
        },
      }),
      (error: unknown) => error instanceof Error && 'code' in error && error.code === 'ENOENT',
    );
    assert.ok(isGone);
    assert.deepEqual(await openFilesIn(away), [], 'nobody writes any more');
    await rm(away, { recursive: true });
    assert.equal((await runOn(source, name)).kept, 0);
  }
});

/** Files of a folder that this process has open. */
async function openFilesIn(dir: string): Promise<readonly string[]> {
  const open = (await readdir('/proc/self/fd')).map((fd) => readlink(`/proc/self/fd/${fd}`).catch(() => ''));
  return (await Promise.all(open)).filter((path) => path.startsWith(`${dir}/`));
}

test('random changes between random ends, fifteen times', async () => {
  let seed = 20_261_121;
  const random = (n: number): number => {
    seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31;
    return Math.floor((seed / 2 ** 31) * n);
  };
  let resumed = 0;
  for (let round = 0; round < 15; round++) {
    const { name, source } = await makeTable(1500);
    const changes: readonly (() => string)[] = [
      () => `update app.${name} set v = 'round ${round}' where id % ${2 + random(9)} = 0`,
      () => `update app.${name} set v = repeat('long ', ${random(300)}) where id between ${random(1500)} and 1400`,
      () => `delete from app.${name} where id % ${3 + random(9)} = 1`,
      () =>
        `insert into app.${name} select i, 'new' from generate_series(${2000 + random(500)}, 2600) i on conflict do nothing`,
      () =>
        `insert into app.${name} select i, 'again' from generate_series(1, ${random(1500)}) i on conflict do nothing`,
      () =>
        `update app.${name} set id = id + 10000 where id between ${random(1500)} and ${random(1500)} and id < 10000`,
      () => `vacuum app.${name}`,
      () => `vacuum (freeze) app.${name}`,
      () => `begin; update app.${name} set v = 'undone'; rollback`,
    ];
    const change = async (): Promise<void> => {
      for (let i = random(6); i > 0; i--) await lake.client.query(changes[random(changes.length)]!());
    };
    await change();
    const first = 1 + random(4);
    await (round % 5 === 0 ? kill(source, first) : abort(source, first));
    await change();
    if (random(2) === 0)
      await abort(source, lookAt(loads).finished + 1 + random(2)).catch((error: unknown) => {
        assert.match(String(error), /Missing expected rejection/);
      });
    await change();
    if (lookAt(loads).finished === 0) continue;
    if ((await runOn(source, name)).kept > 0) resumed++;
  }
  assert.ok(resumed >= 5, `${resumed} were resumed`);
});
