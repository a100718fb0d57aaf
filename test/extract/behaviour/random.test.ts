import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type pg from 'pg';
import { sourceOf, type TestLake, testLake, touchedTableSql } from '../lake.ts';
import { runAndCompare } from './same.ts';

/**
 * Several writers, whose transactions stay open as long as chance wants, against several extractions. After every extraction bronze holds exactly
 * what Postgres shows at its snapshot: by the guard, by the sweep, and by both of append's ways.
 */

const columns = ['id', 'v', 'updated_at'];
const source = sourceOf({
  proven: { mode: 'cursor', key: ['id'], columns, cursor: { column: 'updated_at' } },
  swept: { mode: 'cursor', key: ['id'], columns, cursor: { column: 'updated_at', setBy: 'application' } },
  log_proven: { mode: 'append', key: ['id'], columns, cursor: { column: 'updated_at' } },
  log_swept: { mode: 'append', key: ['id'], columns },
  log_keyless: { mode: 'append', key: [], columns },
});
const LOGS = ['log_proven', 'log_swept', 'log_keyless'] as const;

const DDL = `${touchedTableSql('proven', 'id int primary key, v text')}
  create table app.swept (id int primary key, v text, updated_at timestamptz);
  create table app.log_proven (id int primary key, v text, updated_at timestamptz);
  create trigger touch before insert on app.log_proven for each row execute function app.touch();
  create table app.log_swept (id int primary key, v text, updated_at timestamptz);
  create table app.log_keyless (id int, v text, updated_at timestamptz);
  insert into app.proven select i, 'old' from generate_series(0, 29) i;
  insert into app.swept select i, 'old', now() - interval '1 day' from generate_series(0, 29) i;
  insert into app.log_keyless select i % 7, 'old', null from generate_series(0, 29) i`;

const WRITERS = 3;
const RUNS = 3;

type Step =
  | { readonly kind: 'write'; readonly writer: number; readonly row: number; readonly cursor: number }
  | { readonly kind: 'savepoint' | 'release' | 'undo' | 'commit' | 'rollback' | 'prepare'; readonly writer: number }
  | { readonly kind: 'extract' };

const writer = fc.nat(WRITERS - 1);
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 10, arbitrary: fc.record({ kind: fc.constant('write'), writer, row: fc.nat(60), cursor: fc.nat(3) }) },
  {
    weight: 6,
    arbitrary: fc.record({ kind: fc.constantFrom('savepoint', 'release', 'undo', 'rollback'), writer }),
  },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('commit'), writer }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('prepare'), writer }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('extract') }) },
);

/** What an application may write into a cursor: the instant, NULL, the past, the future. */
const CURSORS = ['now()', 'null', `now() - interval '1 year'`, `now() + interval '1 year'`] as const;

class Writer {
  readonly client: pg.Client;
  readonly number: number;
  depth = -1; // -1: no transaction; else how many savepoints are open
  prepared = 0;
  inserted = 0;
  static count = 0;
  constructor(client: pg.Client, number: number) {
    this.client = client;
    this.number = number;
  }

  async take(step: Exclude<Step, { kind: 'extract' }>): Promise<void> {
    if (step.kind === 'write') return this.write(step.row, CURSORS[step.cursor] ?? 'now()');
    if (this.depth < 0) return;
    switch (step.kind) {
      case 'savepoint':
        await this.client.query(`savepoint s${++this.depth}`);
        return;
      case 'release':
        if (this.depth > 0) await this.client.query(`release s${this.depth--}`);
        return;
      case 'undo':
        if (this.depth > 0) await this.client.query(`rollback to s${this.depth}; release s${this.depth--}`);
        return;
      case 'prepare':
        await this.client.query(`prepare transaction 'random-${process.pid}-${++Writer.count}'`);
        this.prepared = Writer.count;
        this.depth = -1;
        return;
      case 'commit':
      case 'rollback':
        await this.client.query(step.kind);
        this.depth = -1;
        return;
      default:
        return step satisfies never;
    }
  }

  async write(row: number, cursor: string): Promise<void> {
    // A prepared transaction keeps its locks until it ends.
    if (this.prepared > 0) return this.endPrepared(row % 2 === 0);
    if (this.depth < 0) {
      await this.client.query('begin');
      this.depth = 0;
    }
    // Every writer has rows of its own, so that none waits for another.
    const id = row * WRITERS + this.number;
    const fresh = 1_000_000 * (this.number + 1) + this.inserted++;
    await this.client.query(
      `insert into app.proven values (${id}, 'w${fresh}') on conflict (id) do update set v = excluded.v;
       insert into app.swept values (${id}, 'w${fresh}', ${cursor}) on conflict (id) do update set v = excluded.v, updated_at = excluded.updated_at;
       ${LOGS.map((log) => `insert into app.${log} values (${log === 'log_keyless' ? row % 7 : fresh}, 'w', ${cursor})`).join(';')}`,
    );
  }

  async endPrepared(commit: boolean): Promise<void> {
    await this.client.query(`${commit ? 'commit' : 'rollback'} prepared 'random-${process.pid}-${this.prepared}'`);
    this.prepared = 0;
  }

  async end(commit: boolean): Promise<void> {
    if (this.prepared > 0) await this.endPrepared(commit);
    if (this.depth >= 0) await this.client.query(commit ? 'commit' : 'rollback');
    this.depth = -1;
  }
}

test('whatever writers do and however extractions fall between, bronze is Postgres at each snapshot', async () => {
  const ways = new Map<string, number>();
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 40, maxLength: 70 }), fc.boolean(), async (steps, commit) => {
      const lake = await testLake();
      const writers: Writer[] = [];
      try {
        await lake.client.query(DDL);
        for (let i = 0; i < WRITERS; i++) writers.push(new Writer(await lake.connect(), i));
        const observer = await lake.connect();
        await extract(lake, observer, ways);
        for (const each of steps) {
          if (each.kind === 'extract') await extract(lake, observer, ways);
          else await writers[each.writer]?.take(each);
        }
        for (const each of writers) await each.end(commit);
        await extract(lake, observer, ways);
        const idle = await lake.run(source);
        assert.equal(idle.tables['log_keyless']?.rowsRead, 0);
      } finally {
        for (const each of writers) await each.end(false).catch(() => undefined);
        await lake[Symbol.asyncDispose]();
      }
    }),
    { numRuns: RUNS, endOnFailure: true },
  );
  for (const way of ['proven cursor', 'swept sweep', 'log_proven cursor', 'log_swept sweep', 'log_keyless sweep'])
    assert.ok((ways.get(way) ?? 0) > 0, `${way} was never taken`);
  assert.equal(
    [...ways.keys()].some((way) => way.startsWith('log_keyless whole') && (ways.get(way) ?? 0) > RUNS),
    false,
    'only the first load of a log reads it whole',
  );
});

async function extract(lake: TestLake, observer: pg.Client, ways: Map<string, number>): Promise<void> {
  const { tables } = await runAndCompare(lake, observer, source);
  for (const [table, { how }] of Object.entries(tables)) {
    const way = `${table} ${how}`;
    ways.set(way, (ways.get(way) ?? 0) + 1);
  }
}
