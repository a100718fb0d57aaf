import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import pg from 'pg';
import { loadDemo } from '../demo/index.ts';
import { loadConfig } from '../infra/config.ts';
import { openProject, type Project, withSource } from '../infra/project.ts';
import { runProject } from '../infra/run-project.ts';
import { systemClock, toIsoDate } from '../warehouse/core/clock.ts';
import { openDuckDb } from '../warehouse/core/duckdb.ts';
import { createLog } from '../warehouse/core/log.ts';
import { quoteLiteral, quotePath } from '../warehouse/core/quote.ts';
import { asOfMacro, compileProject, createMacroSql, loadProject } from '../warehouse/transform/index.ts';
import type { EltResult } from '../workflows/contract.ts';
import { type BenchOptions, median, ROOT, round, time, withProject } from './support.ts';

/**
 * Builds of the demo's models, round by round on one machine: a full build with its tests and its release against the same SELECTs sent straight to
 * DuckDB, and an increment of 0.1 % changed transactions against a full build.
 */
export async function benchBuild({ scale, rounds }: BenchOptions): Promise<Record<string, unknown>> {
  return withProject(async (dir) => {
    const config = loadConfig(dir, { SLUICE_LOG_LEVEL: 'error' });
    const log = createLog({ level: 'error' });
    const project = openProject(config, log);
    return withSource(config, log, async (url) => {
      const loaded = await loadDemo({ url, scale });
      const asOf = loaded.asOf;
      await runProject(project, { steps: 'all', asOf });
      const rows: Record<string, number>[] = [];
      for (let index = 0; index < rounds; index++) {
        const bare = await buildBare(project, asOf);
        const full = await time(() => runProject(project, { steps: 'build', asOf, fullRefresh: true }));
        const changed = await changeTransactions(url, loaded.rows.transactions, index);
        await runProject(project, { steps: 'extract', asOf });
        const increment = await time(() => runProject(project, { steps: 'build', asOf }));
        rows.push({
          changed,
          duckdb_ms: round(bare, 0),
          full_ms: round(full.ms, 0),
          increment_ms: round(increment.ms, 0),
          increment_models_ms: modelMs(increment.value),
          full_models_ms: modelMs(full.value),
        });
      }
      console.table(rows);
      const of = (name: string): number => median(rows.map((row) => row[name] ?? 0));
      return {
        scale,
        rows: loaded.rowsTotal,
        ratio_full_to_duckdb: round(of('full_ms') / of('duckdb_ms')),
        ratio_increment_to_full: round(of('increment_ms') / of('full_ms')),
        ratio_increment_to_full_models_only: round(of('increment_models_ms') / of('full_models_ms')),
        at: toIsoDate(systemClock.now()),
      };
    });
  });
}

function modelMs(result: EltResult): number {
  return result.models.reduce((sum, model) => sum + model.ms, 0);
}

/** The same SELECTs as tables of one DuckDB file, in order, over the same Parquet: no tests, no release. Milliseconds. */
async function buildBare(project: Project, asOf: string): Promise<number> {
  const work = join(project.config.cacheDir, 'work');
  await mkdir(work, { recursive: true });
  const dir = await mkdtemp(join(work, 'bare-'));
  try {
    const bronze = await project.bronze.snapshot(['app']);
    const compiled = await compileProject({ files: await loadProject(ROOT), bronzeTables: bronze.tables });
    const db = await openDuckDb();
    try {
      const { ms } = await time(async () => {
        for (const name of ['silver', 'gold'])
          await db.run(`attach ${quoteLiteral(join(dir, `${name}.duckdb`))} as ${name}`);
        await db.run(`attach ':memory:' as bronze; create schema bronze.app`);
        for (const macro of [asOfMacro(asOf), ...compiled.macros]) await db.run(createMacroSql(macro, 'temp'));
        for (const table of bronze.tables) {
          const files = table.files.map((file) => quoteLiteral(file.path)).join(', ');
          const keys = table.contract.key.map((key) => quotePath(key)).join(', ');
          await db.run(
            `create view ${quotePath('bronze', 'app', table.table)} as select * exclude (_op) from read_parquet([${files}]) qualify row_number() over (partition by ${keys} order by _seq desc) = 1`,
          );
        }
        for (const model of compiled.models) {
          const kind = model.materialized === 'view' ? 'view' : 'table';
          await db.run(`create ${kind} ${quotePath(model.layer, 'main', model.table)} as ${model.sql}`);
        }
        await db.run('checkpoint silver; checkpoint gold');
      });
      return ms;
    } finally {
      db.close();
    }
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

/** Changes 0.1 % of the transactions, those of a few users, as corrections do. */
async function changeTransactions(url: string, count: number, seed: number): Promise<number> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    const { rowCount } = await client.query(
      `update app.transactions set amount = amount + 0.01
       where id in (select id from app.transactions where user_id = (select id from app.users order by md5(id::text || $2) limit 1) order by md5(id::text || $2) limit $1)`,
      [Math.ceil(count / 1000), String(seed)],
    );
    return rowCount ?? 0;
  } finally {
    await client.end();
  }
}
