import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { openBronze } from '../../warehouse/bronze/index.ts';
import { createFolderStore } from '../../warehouse/core/folder-store.ts';
import { createLog } from '../../warehouse/core/log.ts';
import { quoteLiteral, quotePath } from '../../warehouse/core/quote.ts';
import { median, round } from '../support.ts';
import { checkCount } from './check-files.ts';
import { runChild } from './child.ts';
import { type BenchServer, ensureTable, withClient } from './dataset.ts';
import { SCHEMA, selectSql } from './table.ts';
import { copyCommand, ourCommand } from './variants.ts';

/** Runs of the pipeline after `changed` rows moved, against the bare index scan that finds them. The lake is filled once before, not timed. */
export async function measureIncrement(
  server: BenchServer,
  options: { readonly rows: number; readonly changed: number; readonly rounds: number; readonly dir: string },
): Promise<Record<string, unknown>> {
  const { rows, changed, rounds } = options;
  const { url } = server;
  const dir = join(options.dir, 'increment');
  const table = await ensureTable(url, rows, 'changed');
  const command = ourCommand({ url, table, dir, connections: 1 });
  const first = await runChild(server, command);
  await checkCount('the first load', first.files, rows);
  const figures: Record<string, number>[] = [];
  for (let index = 0; index < rounds; index++) {
    const seed = `${Date.now()}-${index}`;
    await withClient(url, (client) =>
      client.query(
        `update ${quotePath(SCHEMA, table)} set amount = amount + 1
          where id in (select id from ${quotePath(SCHEMA, table)} where sequence_no in (
            select (random() * ${rows - 1})::bigint from generate_series(1, ${changed * 2})) order by md5(id::text || ${quoteLiteral(seed)}) limit ${changed})`,
      ),
    );
    const where = `updated_at >= ${quoteLiteral(await watermarkOf(dir, table))}::timestamptz`;
    const scanSql = `${selectSql(table)} where ${where}`;
    await runChild(server, copyCommand(url, scanSql)); // whoever reads a changed row first marks it as committed
    const scan = await runChild(server, copyCommand(url, scanSql));
    const ours = await runChild(server, command);
    await checkCount('an increment', ours.files, changed);
    figures.push({
      scan_ms: round(scan.wall_s * 1000, 1),
      ours_ms: round(ours.wall_s * 1000, 1),
      ours_cpu_ms: round((ours.user_s + ours.sys_s) * 1000, 0),
      process_ms: round(ours.process_s * 1000, 0),
      peak_rss_mb: round(ours.peak_rss_mb, 0),
    });
  }
  await rm(dir, { recursive: true, force: true });
  console.table(figures);
  const of = (name: string): number => median(figures.map((row) => row[name] ?? 0));
  return {
    rows,
    changed,
    increment_ms: of('ours_ms'),
    index_scan_ms: of('scan_ms'),
    ratio_to_index_scan: round(of('ours_ms') / of('scan_ms'), 2),
    peak_rss_mb: of('peak_rss_mb'),
  };
}

async function watermarkOf(dir: string, table: string): Promise<string> {
  const store = createFolderStore(join(dir, 'lake'));
  const state = await openBronze({ store, log: createLog({ level: 'silent' }) }).state([SCHEMA]);
  const watermark = state.sources[0]?.tables[table]?.watermark;
  if (watermark == null) throw new Error(`${table} has no watermark: it would be read whole`);
  return watermark.value;
}
