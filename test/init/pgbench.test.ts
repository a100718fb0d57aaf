import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { openBronze } from '../../warehouse/bronze/index.ts';
import { currentRowsSql } from '../../warehouse/core/bronze-sql.ts';
import { openDuckDb } from '../../warehouse/core/duckdb.ts';
import { createFolderStore } from '../../warehouse/core/folder-store.ts';
import { createLog } from '../../warehouse/core/log.ts';
import { extractBatch, loadSources, type TableOutcome, verifySource } from '../../warehouse/extract/index.ts';
import { initPlace } from './support.ts';

/** pgbench's own tables, carried while pgbench runs: its books balance in every transaction, so they must in every batch. */

const SCALE = 2;
const SECONDS = 6;
const CLIENTS = 6;
const TABLES = ['pgbench_accounts', 'pgbench_branches', 'pgbench_tellers', 'pgbench_history'] as const;

/** The client's path: on the PATH, or where Debian's postgresql packages put it. */
function findPgbench(): string {
  const debian = '/usr/lib/postgresql';
  const versions = existsSync(debian) ? readdirSync(debian).sort((a, b) => Number(b) - Number(a)) : [];
  const folders = [
    ...versions.map((version) => join(debian, version, 'bin')),
    ...(process.env['PATH'] ?? '').split(':'),
  ];
  const found = folders.map((folder) => join(folder, 'pgbench')).find((path) => existsSync(path));
  assert.ok(
    found !== undefined,
    'pgbench is not installed: apt-get install postgresql (Debian 12: postgresql-15), brew install libpq, or put its folder on the PATH',
  );
  return found;
}

interface PgbenchRun {
  readonly running: () => boolean;
  /** What it printed, once it ended. Fails when it failed. */
  readonly done: Promise<string>;
}

function startPgbench(url: string, args: readonly string[]): PgbenchRun {
  const child = spawn(findPgbench(), [...args, url], { stdio: ['ignore', 'pipe', 'pipe'] });
  let printed = '';
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk: Buffer) => (printed += chunk.toString()));
  let running = true;
  const done = once(child, 'close').then(([code]) => {
    running = false;
    assert.equal(code, 0, `pgbench ${args.join(' ')} failed: ${printed}`);
    return printed;
  });
  done.catch(() => undefined);
  return { running: () => running, done };
}

const touchSql = (table: string): string => `alter table ${table} add updated_at timestamptz not null default now();
  create trigger touch before insert or update on ${table} for each row execute function touch();`;

/** In how many batches history had grown. */
function movedIn(balances: readonly (readonly bigint[])[]): number {
  return new Set(balances.map((balance) => String(balance[4]))).size;
}

test('pgbench’s tables are proposed as they are, and balance in every batch committed while it runs', async (t) => {
  const place = await initPlace();
  t.after(() => place[Symbol.asyncDispose]());
  await startPgbench(place.url, ['-i', '-q', '-s', String(SCALE)]).done;

  const plain = (await place.propose()).sources[0];
  assert.deepEqual(
    plain?.tables.map((table) => [table.table, table.mode, table.key]),
    [
      ['pgbench_accounts', 'full', ['aid']],
      ['pgbench_branches', 'full', ['bid']],
      ['pgbench_history', 'full', []],
      ['pgbench_tellers', 'full', ['tid']],
    ],
  );
  assert.ok(plain.tables.every((table) => table.columns.every((column) => column.treatment === 'carry')));
  for (const table of plain.tables) {
    const why = table.table === 'pgbench_history' ? /no key/ : /no column tells when a row changed/;
    assert.match(table.why, why);
  }
  assert.equal(plain.tables.find((table) => table.table === 'pgbench_accounts')?.estimated_rows, 100_000 * SCALE);

  await place.client.query(
    `create function touch() returns trigger language plpgsql as $$ begin new.updated_at = now(); return new; end $$;
     ${TABLES.map(touchSql).join('\n')} create index on pgbench_accounts (updated_at)`,
  );
  const proposal = (await place.propose('--force')).sources[0];
  assert.deepEqual(
    proposal?.tables.map((table) => [table.table, table.mode, table.cursor]),
    [
      ['pgbench_accounts', 'cursor', 'updated_at'],
      ['pgbench_branches', 'cursor', 'updated_at'],
      ['pgbench_history', 'full', null],
      ['pgbench_tellers', 'cursor', 'updated_at'],
    ],
  );
  assert.match(proposal.tables[2]?.why ?? '', /no key/);
  assert.match(proposal.tables[2]?.hints.join(' ') ?? '', /Append-only/i);

  const sources = await loadSources(place.dir);
  const [source] = sources;
  assert.ok(source !== undefined && sources.length === 1);
  const log = createLog({ level: 'silent' });
  const bronze = openBronze({ store: createFolderStore(join(place.dir, 'lake')), log });
  const options = { url: place.url, sources, workDir: join(place.dir, 'work'), version: '0.0.0', log } as const;
  const db = await openDuckDb();
  t.after(() => db.close());

  const carry = async (): Promise<readonly TableOutcome[]> => {
    const batch = await extractBatch({ ...options, state: await bronze.state([source.name]) });
    for (const draft of batch.drafts) await bronze.commit(draft.source, draft);
    await rm(batch.dir, { recursive: true, force: true });
    return batch.tables;
  };
  /** Σ abalance, Σ bbalance, Σ tbalance, Σ delta and the rows of history, in bronze. */
  const sums = async (): Promise<readonly bigint[]> => {
    const snapshot = await bronze.snapshot([source.name]);
    const from = (name: string): string => {
      const table = snapshot.tables.find((candidate) => candidate.table === name);
      assert.ok(table !== undefined, `bronze has ${name}`);
      return `(${currentRowsSql(table)})`;
    };
    const [row] = await db.rows<Record<string, string>>(
      `select (select sum(abalance) from ${from(TABLES[0])})::varchar a, (select sum(bbalance) from ${from(TABLES[1])})::varchar b,
              (select sum(tbalance) from ${from(TABLES[2])})::varchar t, (select coalesce(sum(delta), 0) from ${from(TABLES[3])})::varchar d,
              (select count(*) from ${from(TABLES[3])})::varchar n`,
    );
    return ['a', 'b', 't', 'd', 'n'].map((name) => BigInt(row?.[name] ?? -1));
  };

  await carry();
  assert.deepEqual(await sums(), [0n, 0n, 0n, 0n, 0n]);

  const seen: (readonly bigint[])[] = [];
  const cursorReads: number[] = [];
  let transactions = 0;
  // As many rounds as the machine needs for enough batches beside it.
  for (let round = 0; round < 30 && movedIn(seen) < 5; round++) {
    // -n: without the TRUNCATE of history that pgbench otherwise begins with, while the balances stay. -R: room for the batches on a small machine.
    const load = ['-n', '-c', String(CLIENTS), '-j', '1', '-T', String(SECONDS), '-R', '200'];
    const pgbench = startPgbench(place.url, load);
    while (pgbench.running()) {
      const tables = await carry();
      const balance = await sums();
      const [a, b, tellers, delta] = balance;
      assert.deepEqual([b, tellers, delta], [a, a, a], `batch ${seen.length + 1} was cut between two transactions`);
      seen.push(balance);
      for (const table of tables.filter((outcome) => outcome.table !== 'pgbench_history')) {
        assert.equal(table.how, 'cursor', `${table.table}: ${table.note}`);
        if (table.table === 'pgbench_accounts') cursorReads.push(table.rowsRead);
      }
    }
    transactions += Number(/number of transactions actually processed: (\d+)/.exec(await pgbench.done)?.[1]);
  }
  assert.ok(
    movedIn(seen) >= 5,
    `history grew in ${movedIn(seen)} of ${seen.length} batches, too few to prove anything`,
  );
  assert.ok(transactions > 500, `only ${transactions} transactions ran`);
  // At first every row is as young as its new column, and read again; then only what pgbench touched.
  assert.ok((cursorReads.at(-1) ?? Infinity) < 50_000 * SCALE, `rows of accounts read: ${cursorReads.join(', ')}`);

  await carry();
  const [a, b, tellers, delta, rows] = await sums();
  assert.deepEqual([b, tellers, delta, rows], [a, a, a, BigInt(transactions)]);
  const report = await verifySource({ ...options, state: await bronze.state([source.name]) });
  assert.deepEqual(
    report.tables.map((table) => [table.table, table.equal]),
    [...TABLES].sort().map((table) => [table, true]),
  );
  assert.equal(report.equal, true);
  const idle = await extractBatch({ ...options, state: await bronze.state([source.name]) });
  assert.equal(
    idle.tables.reduce((sum, table) => sum + table.inserted + table.updated + table.deleted, 0),
    0,
  );
  t.diagnostic(
    `${transactions} transactions, ${seen.length} batches, accounts read per batch: ${cursorReads.join(', ')}`,
  );
});
