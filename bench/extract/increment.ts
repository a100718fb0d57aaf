import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { openBronze } from '../../warehouse/bronze/index.ts';
import { createFolderStore } from '../../warehouse/core/folder-store.ts';
import { createLog } from '../../warehouse/core/log.ts';
import { quoteLiteral, quotePath } from '../../warehouse/core/quote.ts';
import { median, round, time } from '../support.ts';
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
  const path = quotePath(SCHEMA, table);
  const command = ourCommand({ url, table, dir, connections: 1 });
  const first = await runChild(server, command);
  await checkCount('the first load', first.files, rows);
  const figures: Record<string, number>[] = [];
  for (let index = 0; index < rounds; index++) {
    await withClient(url, (client) =>
      client.query(
        `update ${path} set amount = amount + 1 where id in (select id from ${path} order by random() limit ${changed})`,
      ),
    );
    const where = `updated_at >= ${quoteLiteral(await watermarkOf(dir, table))}::timestamptz`;
    const scanSql = `${selectSql(table)} where ${where}`;
    const scanMs = await scanTwice(url, scanSql);
    const scan = await runChild(server, copyCommand(url, scanSql));
    const ours = await runChild(server, command);
    await checkCount('an increment', ours.files, changed);
    figures.push({
      scan_ms: round(scanMs, 1),
      connect_and_scan_ms: round(scan.wall_s * 1000, 1),
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
    connect_and_scan_ms: of('connect_and_scan_ms'),
    ratio_to_index_scan: round(of('ours_ms') / of('scan_ms'), 2),
    ratio_to_connect_and_scan: round(of('ours_ms') / of('connect_and_scan_ms'), 2),
    peak_rss_mb: of('peak_rss_mb'),
  };
}

/** Milliseconds of the second time: whoever reads a changed row first marks it as committed. */
async function scanTwice(url: string, scanSql: string): Promise<number> {
  return withClient(url, async (client) => {
    const copy = `copy (${scanSql}) to '/dev/null' (format binary)`;
    await client.query(copy);
    return (await time(() => client.query(copy))).ms;
  });
}

async function watermarkOf(dir: string, table: string): Promise<string> {
  const store = createFolderStore(join(dir, 'lake'));
  const state = await openBronze({ store, log: createLog({ level: 'silent' }) }).state([SCHEMA]);
  const watermark = state.sources[0]?.tables.get(table)?.watermark;
  if (watermark == null) throw new Error(`${table} has no watermark: it would be read whole`);
  return watermark.value;
}
