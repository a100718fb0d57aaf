import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import pg from 'pg';
import { evolveDemo, loadDemo, schemaSql } from '../../demo/index.ts';
import { loadConfig } from '../../infra/config.ts';
import { openProject, type Project } from '../../infra/project.ts';
import { runProject } from '../../infra/run-project.ts';
import { openDuckDb } from '../../warehouse/core/duckdb.ts';
import { createLog } from '../../warehouse/core/log.ts';
import { quoteLiteral, quotePath } from '../../warehouse/core/quote.ts';
import type { EltResult } from '../../workflows/contract.ts';
import { testDatabase } from '../support/postgres.ts';
import { createModelBuilder } from './build-models.ts';
import { compareWithOracle, describeDifferences, ORACLE_DATASETS } from './compare-with-oracle.ts';
import { applyEdits, edits } from './random-edits.ts';
import { dayAt, LIFE_AS_OF, life, writeLives } from './random-lives.ts';

/** The whole way with the real models: Postgres → extract → bronze → silver → gold → release, against the oracle after every run. */

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

async function withProject(work: (project: Project, dir: string) => Promise<void>): Promise<void> {
  const database = await testDatabase();
  const dir = await mkdtemp(join(tmpdir(), 'sluice-pipeline-'));
  try {
    const config = loadConfig(ROOT, {
      SLUICE_SOURCE_URL: database.url,
      SLUICE_LAKE: join(dir, 'lake'),
      SLUICE_CACHE: join(dir, 'cache'),
      SLUICE_THREADS: '2',
    });
    await work(openProject(config, createLog({ level: 'error' })), dir);
  } finally {
    await database.drop();
    await rm(dir, { recursive: true, force: true });
  }
}

/** One run of the pipeline; the release that then stands must equal the oracle. */
async function runOnce(project: Project, asOf: string): Promise<EltResult> {
  const result = await runProject(project, { steps: 'all', asOf });
  const goldPath = await currentGold(project, asOf);
  const differences = await compareWithOracle({ postgresUrl: project.config.sourceUrl, goldPath, asOf });
  assert.equal(describeDifferences(differences), '', `as of ${asOf}`);
  return result;
}

async function currentGold(project: Project, asOf: string): Promise<string> {
  const release = await project.releases.current();
  assert.equal(release?.asOf, asOf);
  return (await project.releases.fetch(release)).gold;
}

/** Rebuilt from bronze by the engine, and built from the source without bronze: both must be the gold that stands, row for row. */
async function assertEqualsRebuilt(project: Project, dir: string, asOf: string): Promise<void> {
  const goldPath = await currentGold(project, asOf);
  const sourcePath = join(dir, 'from-source.duckdb');
  const builder = await createModelBuilder(project.config.sourceUrl);
  await builder.build({ goldPath: sourcePath, asOf });
  const rebuilt = await runProject(project, { steps: 'build', asOf, fullRefresh: true });
  for (const { name, changedRows } of rebuilt.models) assert.equal(changedRows, 0, name);
  const db = await openDuckDb({ threads: 2 });
  try {
    await db.run(`attach ${quoteLiteral(goldPath)} as incremental (read_only)`);
    await db.run(`attach ${quoteLiteral(sourcePath)} as from_source (read_only)`);
    await db.run(`attach ${quoteLiteral(await currentGold(project, asOf))} as rebuilt (read_only)`);
    for (const dataset of ORACLE_DATASETS) {
      const table = (catalog: string): string => quotePath(catalog, 'main', dataset);
      const [{ n: total } = { n: 0n }] = await db.rows<{ n: bigint }>(
        `select count(*) as n from ${table('incremental')}`,
      );
      assert.ok(total > 0n, `${dataset} is empty`);
      for (const other of ['from_source', 'rebuilt']) {
        const sides = `select 1 as side, * from ${table('incremental')} union all by name select -1 as side, * from ${table(other)}`;
        const [{ n } = { n: undefined }] = await db.rows<{ n: bigint }>(
          `select count(*) as n from (select * exclude (side), sum(side) as net from (${sides}) group by all having net <> 0)`,
        );
        assert.equal(n, 0n, `${dataset}: rows that only one of incremental and ${other} has`);
      }
    }
  } finally {
    db.close();
    await rm(sourcePath, { force: true });
  }
}

test('the demo and each of five days of its life equal the oracle, and incremental equals rebuilt', async () => {
  await withProject(async (project, dir) => {
    const url = project.config.sourceUrl;
    let { asOf } = await loadDemo({ url });
    await runOnce(project, asOf);
    for (let day = 1; day <= 5; day++) {
      ({ asOf } = await evolveDemo({ url, days: 1 }));
      const { release } = await runOnce(project, asOf);
      assert.ok(release !== undefined, 'a day of life makes a release');
    }
    await assertEqualsRebuilt(project, dir, asOf);
    const idle = await runProject(project, { steps: 'all', asOf });
    assert.equal(idle.release, undefined, 'a run over an unchanged source publishes nothing');
    await runOnce(project, '2025-02-28');
  });
});

const USERS = 60;
const FOLLOWED = [
  'silver.stg_transactions',
  'silver.stg_transaction_tags',
  'silver.stg_balance_snapshots',
  'silver.int_transfers',
  'gold.dim_accounts',
  'gold.dim_tags',
  'gold.fct_transactions',
  'gold.fct_daily_spending_by_tag',
  'gold.fct_daily_balance_history',
  'gold.fct_monthly_trends',
];

test('corrections of a few users refresh only their partitions of every fact and leave what a rebuild would make', async () => {
  const history = fc.record({
    lives: fc.array(life, { minLength: USERS, maxLength: USERS, size: 'max' }),
    rounds: fc.array(fc.array(edits(USERS), { minLength: 1, maxLength: 4, size: 'max' }), {
      minLength: 4,
      maxLength: 4,
      size: 'max',
    }),
  });
  await fc.assert(
    fc.asyncProperty(history, async ({ lives, rounds }) => {
      await withProject(async (project, dir) => {
        const url = project.config.sourceUrl;
        await createSchema(url);
        await writeLives(url, lives);
        await runOnce(project, LIFE_AS_OF);
        // An amount that surely changes in one of two rounds, whatever the history holds.
        const surely = [7, 20].map((value) => [{ kind: 'amount', user: 1, position: 0, value, day: 0 } as const]);
        const refreshed = new Set<string>();
        for (const round of [...surely, ...rounds]) {
          await applyEdits(url, round);
          const { models } = await runOnce(project, LIFE_AS_OF);
          for (const { name, action, why } of models.filter(({ name }) => FOLLOWED.includes(name))) {
            if (action === 'refreshed') refreshed.add(name);
            // A change of too many rows is the only reason to compute one of them whole.
            if (action === 'rebuilt') assert.match(why, /touches|\d+ of \d+ rows of \S+ changed/, name);
          }
        }
        assert.ok(refreshed.has('silver.stg_transactions') && refreshed.has('gold.fct_transactions'));
        await assertEqualsRebuilt(project, dir, LIFE_AS_OF);
        await runOnce(project, dayAt(1));
      });
    }),
    {
      numRuns: 1,
      endOnFailure: true,
      asyncReporter: async ({ failed, seed, counterexamplePath, errorInstance }) => {
        if (failed) throw new Error(`fails with seed ${seed}, path ${counterexamplePath}`, { cause: errorInstance });
      },
    },
  );
});

async function createSchema(url: string): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    await client.query(await schemaSql());
  } finally {
    await client.end();
  }
}
