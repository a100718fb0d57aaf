import { execFile, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { systemClock, toIsoDate } from '../warehouse/core/clock.ts';
import { commitRows, writeProject } from './bench-lake.ts';
import { dbtFiles, ITEMS, ITEMS_SQL, ourFiles, sqlmeshFiles, trivialModels } from './models/project.ts';
import { type BenchOptions, median, ROOT, readNumber, readText, round } from './support.ts';

/**
 * Many trivial models and twice as many tests, as whole processes from nothing: `sluice build`, the same statements sent one by one to DuckDB, and dbt
 * and SQLMesh where `--python` names an interpreter that has them.
 */
export async function benchModels({ rounds, args }: BenchOptions): Promise<Record<string, unknown>> {
  const count = readNumber(args, 'models', 200);
  const python = readText(args, 'python') ?? process.env['SLUICE_BENCH_PYTHON'];
  const models = trivialModels(count);
  const floor = fileURLToPath(new URL('models/run-duckdb.ts', import.meta.url));
  const variants: Variant[] = [
    { name: 'duckdb', prepare: (dir) => mkdir(dir), command: (dir) => [process.execPath, floor, dir, String(count)] },
    {
      name: 'sluice',
      prepare: async (dir) => {
        await writeProject(dir, { items: ITEMS }, ourFiles(models));
        await commitRows(dir, { items: { table: ITEMS, sql: ITEMS_SQL } });
      },
      command: (dir) => [
        process.execPath,
        join(ROOT, 'cli/bin.js'),
        'build',
        '--project',
        dir,
        '--as-of',
        '2026-01-01',
      ],
    },
    ...(await findPeers(python, models)),
  ];
  const dir = await mkdtemp(join(tmpdir(), 'sluice-bench-'));
  try {
    const seconds = new Map<string, number[]>(variants.map(({ name }) => [name, []]));
    for (let index = 0; index < rounds; index++) {
      for (const { name, prepare, command } of variants) {
        const own = join(dir, `${name}-${index}`);
        await prepare(own);
        seconds.get(name)?.push(await runTimed(command(own), own));
      }
    }
    const of = (name: string): number | null => {
      const list = seconds.get(name);
      return list === undefined ? null : round(median(list), 2);
    };
    const figures = Object.fromEntries(['duckdb', 'sluice', 'dbt', 'sqlmesh'].map((name) => [`${name}_s`, of(name)]));
    console.table(figures);
    return {
      models: count,
      tests: count * 2,
      rounds,
      ...figures,
      ratio_to_duckdb: round((of('sluice') ?? Number.NaN) / (of('duckdb') ?? Number.NaN)),
      at: toIsoDate(systemClock.now()),
    };
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

interface Variant {
  readonly name: string;
  readonly prepare: (dir: string) => Promise<unknown>;
  readonly command: (dir: string) => readonly [string, ...string[]];
}

async function findPeers(
  python: string | undefined,
  models: ReturnType<typeof trivialModels>,
): Promise<readonly Variant[]> {
  if (python === undefined) return [];
  const bin = (name: string): string => join(dirname(python), name);
  const has = async (module: string): Promise<boolean> =>
    promisify(execFile)(python, ['-c', `import ${module}`]).then(
      () => true,
      () => false,
    );
  const peers: Variant[] = [];
  if (existsSync(bin('dbt')) && (await has('dbt.adapters.duckdb')))
    peers.push({
      name: 'dbt',
      prepare: (dir) => writeProject(dir, {}, dbtFiles(models)),
      command: (dir) => [bin('dbt'), '--quiet', 'build', '--project-dir', dir, '--profiles-dir', dir],
    });
  if (existsSync(bin('sqlmesh')) && (await has('sqlmesh')))
    peers.push({
      name: 'sqlmesh',
      prepare: (dir) => writeProject(dir, {}, sqlmeshFiles(models)),
      command: (dir) => [bin('sqlmesh'), '-p', dir, 'plan', '--auto-apply', '--no-prompts'],
    });
  return peers;
}

/** Wall seconds of a process, start included. */
async function runTimed([command, ...args]: readonly [string, ...string[]], cwd: string): Promise<number> {
  const started = performance.now();
  const child = spawn(command, args, { cwd, stdio: ['ignore', 'pipe', 'pipe'] });
  const chunks: Buffer[] = [];
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => chunks.push(chunk));
  const code = await new Promise<number>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (exit) => resolve(exit ?? 1));
  });
  if (code !== 0)
    throw new Error(`${command} ended with ${code}: ${Buffer.concat(chunks).toString('utf8').slice(-2000)}`);
  return (performance.now() - started) / 1000;
}
