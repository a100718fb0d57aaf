import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { systemClock } from '../../warehouse/core/clock.ts';
import { openDuckDb } from '../../warehouse/core/duckdb.ts';
import { createFolderStore } from '../../warehouse/core/folder-store.ts';
import { createLog } from '../../warehouse/core/log.ts';
import { openReleases } from '../../warehouse/release/index.ts';
import { parseError, parseJson } from '../support/cli.ts';
import { SHOP_FILES, type TestProject, testProject } from '../support/project.ts';

/** verify --rebuild: the release against all of it built anew, and faults planted in the release that it must find. */

let project: TestProject;
before(async () => {
  project = await testProject();
  await project.machine(['run', '--as-of', '2026-03-01']);
  await project.client.query(`
    update shop.orders set amount = amount + 1 where id % 7 = 0;
    delete from shop.orders where id % 50 = 0;
    insert into shop.orders values (700, 3, '2026-02-02', 12.5)`);
  await project.machine(['run', '--as-of', '2026-03-01']);
});
after(() => project[Symbol.asyncDispose]());

interface Report {
  readonly equal: boolean;
  readonly not_compared: readonly string[];
  readonly models: readonly {
    readonly model: string;
    readonly kind: string;
    readonly rows?: {
      readonly added: number;
      readonly removed: number;
      readonly changed: number;
      readonly columns: readonly { readonly column: string; readonly rows: number }[];
      readonly samples: readonly {
        readonly kind: string;
        readonly key: Readonly<Record<string, string>>;
        readonly before?: Readonly<Record<string, string>>;
        readonly after?: Readonly<Record<string, string>>;
      }[];
    };
  }[];
}

/** Publishes a release of the same ledger whose gold says something else: what a wrong increment would have done. */
async function plant(sql: string): Promise<void> {
  const dir = await mkdtemp(join(tmpdir(), 'sluice-fault-'));
  try {
    const store = createFolderStore(join(project.dir, '.sluice', 'lake'));
    const log = createLog({ level: 'silent' });
    const releases = openReleases({ store, cacheDir: join(dir, 'cache'), log, clock: systemClock });
    const current = await releases.current();
    assert.ok(current !== undefined);
    const paths = await releases.checkout(current, dir);
    const db = await openDuckDb({ path: paths.gold, threads: 1 });
    await db.run(`${sql}; checkpoint`);
    db.close();
    const { format, asOf, commits, models, datasets, declarations, tests } = current;
    const content = { format, asOf, commits, models, datasets, declarations, tests };
    await releases.publish({ base: current.number, paths, content });
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

test('a release made by increments equals its rebuild, also when bronze has gone on; nothing is published or left behind', async () => {
  await project.client.query(`insert into shop.orders values (800, 3, '2026-02-02', 1)`);
  await project.machine(['extract']);
  const state = await project.state();
  const report = await project.machine<Report>(['verify', '--rebuild']);
  assert.deepEqual([report.equal, report.not_compared], [true, []]);
  assert.deepEqual(
    report.models.map(({ model, kind }) => [model, kind]),
    [
      ['silver.stg_orders', 'same'],
      ['gold.fct_orders', 'same'],
      ['gold.customer_totals', 'same'],
    ],
  );
  assert.deepEqual(await project.state(), state);
  assert.deepEqual(await readdir(join(project.dir, '.sluice', 'cache', 'work')), []);
});

test('a value, a row too many and a row too few are each found, with model, key and column', async () => {
  await plant(`update main.fct_orders set amount = amount + 0.01 where order_id = 9;
    delete from main.fct_orders where order_id = 10;
    insert into main.fct_orders select 9999, customer_id, org_id, day, amount from main.fct_orders where order_id = 11`);
  const result = await project.sluice(['verify', '--rebuild']);
  assert.equal(result.code, 1, result.stderr);
  assert.match(result.stdout, /gold\.fct_orders +\d+ +DIFFERENT/);
  assert.match(result.stdout, /amount: 1 row with another value/);
  assert.match(result.stdout, /changed order_id=9 \| amount 11\.26 → 11\.25/);
  assert.match(result.stderr, /✓ verify +gold\.fct_orders/);
  const report = await project.machine<Report>(['verify', '--rebuild'], 1);
  const facts = report.models.find(({ model }) => model === 'gold.fct_orders')?.rows;
  assert.deepEqual([facts?.added, facts?.removed, facts?.changed], [1, 1, 1]);
  assert.deepEqual(facts?.columns, [{ column: 'amount', rows: 1 }]);
  assert.deepEqual(
    facts?.samples.map(({ kind, key }) => [kind, key]),
    [
      ['added', { order_id: '10' }],
      ['removed', { order_id: '9999' }],
      ['changed', { order_id: '9' }],
    ],
  );
  assert.deepEqual(
    report.models.filter(({ kind }) => kind !== 'same').map(({ model }) => model),
    ['gold.fct_orders'],
  );
});

test('a row that stands twice, where the key no longer holds, is found as a bag', async () => {
  await project.machine(['rollback', '2']);
  await plant('insert into main.customer_totals select * from main.customer_totals where customer_id = 2');
  const report = await project.machine<Report>(['verify', '--rebuild'], 1);
  const totals = report.models.find(({ model }) => model === 'gold.customer_totals');
  assert.deepEqual([totals?.kind, totals?.rows?.removed, totals?.rows?.added], ['different', 1, 0]);
});

test('a model whose definition is no longer the release’s, and what reads it, is named and not compared', async () => {
  await project.machine(['rollback', '2']);
  const file = 'sql/gold/shop/fct_orders.sql';
  await project.write(
    file,
    SHOP_FILES[file]
      .replace('day, amount from', 'day, amount * 1 as amount from')
      .replace('DECIMAL(12,2)', 'DECIMAL(18,2)'),
  );
  const report = await project.sluice(['verify', '--rebuild', '--json']);
  await project.write(file, SHOP_FILES[file]);
  if (report.code !== 0) assert.fail(parseError(report).message);
  const { not_compared: left, models } = parseJson(report) as unknown as Report;
  assert.deepEqual(left, ['gold.customer_totals', 'gold.fct_orders']);
  assert.deepEqual(
    models.map(({ model }) => model),
    ['silver.stg_orders'],
  );
});
