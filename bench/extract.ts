import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock, toIsoDate } from '../warehouse/core/clock.ts';
import { checkCount, checkRows } from './extract/check-files.ts';
import { type Measurement, runChild } from './extract/child.ts';
import { type BenchServer, ensureTable, startBenchServer } from './extract/dataset.ts';
import { measureIncrement } from './extract/increment.ts';
import { COPY, EXTENSION, findVariants, OURS, ourCommand, type Variant } from './extract/variants.ts';
import { type BenchOptions, median, readNumber, readText, round } from './support.ts';

/**
 * A table from Postgres to Parquet: ours (extraction and commit) on one and on two connections against binary COPY to nowhere and other tools,
 * in interleaved rounds, a process each. With --increment instead: a run after 1,000 changed rows against the bare index scan.
 */
export async function benchExtract({ rounds, args }: BenchOptions): Promise<Record<string, unknown>> {
  const rows = readNumber(args, 'rows', 2_000_000);
  const dir = await mkdtemp(join(tmpdir(), 'sluice-bench-'));
  const server = await startBenchServer();
  try {
    if (args.includes('--increment'))
      return await measureIncrement(server, { rows, changed: readNumber(args, 'changed', 1000), rounds, dir });
    const rowsLarge = args.includes('--rows-large') ? readNumber(args, 'rows-large', 0) : undefined;
    return await measureTable(server, { rows, rowsLarge, rounds, dir, args });
  } finally {
    await server.stop();
    await rm(dir, { recursive: true, force: true });
  }
}

interface TableRun {
  readonly rows: number;
  readonly rowsLarge: number | undefined;
  readonly rounds: number;
  readonly dir: string;
  readonly args: readonly string[];
}

async function measureTable(server: BenchServer, run: TableRun): Promise<Record<string, unknown>> {
  const { rows, rounds, dir, args } = run;
  const found = await findVariants(server.url, {
    python: readText(args, 'python') ?? process.env['SLUICE_BENCH_PYTHON'],
    modules: readText(args, 'modules') ?? process.env['SLUICE_BENCH_MODULES'],
  });
  const only = readText(args, 'only')?.split(',');
  const present = found.present.filter(({ name }) => only === undefined || only.includes(name));
  const unknown = only?.find((name) => !found.present.some((variant) => variant.name === name));
  if (unknown !== undefined) {
    throw new RangeError(`bench: --only ${unknown} is none of ${found.present.map(({ name }) => name).join(', ')}`);
  }
  const { absent } = found;
  if (absent.length > 0) console.log(`not installed, not measured: ${absent.join(', ')} (docs/benchmarks.md)`);
  const table = await ensureTable(server.url, rows);
  const measured = new Map<string, Measurement[]>(present.map(({ name }) => [name, []]));
  for (let index = 0; index < rounds; index++) {
    // Every round begins with another variant, so that none always follows the same one.
    const shift = index % present.length;
    for (const variant of [...present.slice(shift), ...present.slice(0, shift)]) {
      const figures = await runVariant(server, variant, { table, rows, dir, checkContent: index === 0 });
      measured.get(variant.name)?.push(figures);
    }
  }
  const variants = Object.fromEntries(
    present.map(({ name, share }) => [name, summarize(measured.get(name) ?? [], Math.floor(rows * share))]),
  );
  console.table(variants);
  const wall = (name: string): number => variants[name]?.wall_s ?? Number.NaN;
  const ours = variants[OURS];
  return {
    rows,
    rounds,
    rows_per_s: ours?.rows_per_s,
    ratio_to_copy: round(wall(OURS) / wall(COPY)),
    ratio_to_duckdb_extension: absent.includes(EXTENSION) ? null : round(wall(OURS) / wall(EXTENSION)),
    peak_rss_mb: ours?.peak_rss_mb,
    peak_rss_mb_20m: run.rowsLarge === undefined ? null : await peakOf(server, run.rowsLarge, dir),
    rows_large: run.rowsLarge ?? null,
    file_bytes: ours?.bytes,
    variants: { ...variants, ...Object.fromEntries(absent.map((name) => [name, null])) },
    at: toIsoDate(systemClock.now()),
  };
}

async function runVariant(
  server: BenchServer,
  variant: Variant,
  run: { readonly table: string; readonly rows: number; readonly dir: string; readonly checkContent: boolean },
): Promise<Measurement> {
  const rows = Math.floor(run.rows * variant.share);
  const dir = join(run.dir, variant.name);
  await mkdir(dir);
  try {
    const figures = await runChild(server, variant.command(run.table, rows, dir));
    if (variant.name === COPY) return figures;
    await checkCount(variant.name, figures.files, rows);
    if (run.checkContent && variant.name.startsWith(OURS)) await checkRows(server.url, run.table, figures.files, dir);
    return figures;
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

/** Medians of the rounds. */
function summarize(rounds: readonly Measurement[], rows: number) {
  const of = (pick: (figures: Measurement) => number | null, digits: number): number =>
    round(median(rounds.map((figures) => pick(figures) ?? Number.NaN)), digits);
  const wall = median(rounds.map((figures) => figures.wall_s));
  const backend = of((figures) => figures.backend_s, 2);
  return {
    rows,
    rows_per_s: Math.round(rows / wall),
    best_s: round(Math.min(...rounds.map((figures) => figures.wall_s)), 2),
    wall_s: round(wall),
    process_s: of((figures) => figures.process_s, 2),
    user_s: of((figures) => figures.user_s, 2),
    sys_s: of((figures) => figures.sys_s, 2),
    backend_s: Number.isNaN(backend) ? null : backend,
    sessions: of((figures) => figures.sessions, 0),
    peak_rss_mb: of((figures) => figures.peak_rss_mb, 0),
    bytes: of((figures) => figures.bytes, 0),
  };
}

/** Whether ours holds its memory on a table ten times the size. */
async function peakOf(server: BenchServer, rows: number, dir: string): Promise<number> {
  const table = await ensureTable(server.url, rows);
  const figures = await runChild(
    server,
    ourCommand({ url: server.url, table, dir: join(dir, 'large'), connections: 1 }),
  );
  await checkCount('the large table', figures.files, rows);
  return round(figures.peak_rss_mb, 0);
}
