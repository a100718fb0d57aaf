import { spawn } from 'node:child_process';
import { mkdtemp, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export interface BenchOptions {
  /** Size of the demo data: 1 is about 20,000 rows. */
  readonly scale: number;
  readonly rounds: number;
  /** Length of the log that `log` measures. */
  readonly commits: number;
  /** The command line after the bench's name, for options of one bench only. */
  readonly args: readonly string[];
}

/** The positive number behind `--name`. Throws RangeError when there is another word. */
export function readNumber(args: readonly string[], name: string, otherwise: number): number {
  const text = readText(args, name);
  if (text === undefined) return otherwise;
  const value = Number(text);
  if (!(Number.isFinite(value) && value > 0)) throw new RangeError(`bench: --${name} ${text} is not a positive number`);
  return value;
}

/** The word behind `--name`; undefined when the option is not there. */
export function readText(args: readonly string[], name: string): string | undefined {
  const at = args.indexOf(`--${name}`);
  return at === -1 ? undefined : (args[at + 1] ?? '');
}

export const ROOT = fileURLToPath(new URL('..', import.meta.url));

/** A project with this repository's models and a state of its own, removed at the end. */
export async function withProject<T>(work: (dir: string) => Promise<T>): Promise<T> {
  const dir = await mkdtemp(join(tmpdir(), 'sluice-bench-'));
  try {
    for (const folder of ['models', 'sql']) await symlink(join(ROOT, folder), join(dir, folder));
    return await work(dir);
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

/** Runs a command as a user would, in a process of its own. Wall seconds include starting it. */
export async function runSluice(
  dir: string,
  args: readonly string[],
): Promise<{ readonly seconds: number; readonly result: Record<string, unknown> }> {
  const started = performance.now();
  const child = spawn(process.execPath, [join(ROOT, 'cli/bin.js'), ...args, '--project', dir, '--json'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const chunks: Buffer[] = [];
  child.stdout.on('data', (chunk: Buffer) => chunks.push(chunk));
  const code = await new Promise<number>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (exit) => resolve(exit ?? 1));
  });
  const text = Buffer.concat(chunks).toString('utf8');
  if (code !== 0) throw new Error(`sluice ${args.join(' ')} ended with ${code}: ${text}`);
  return { seconds: (performance.now() - started) / 1000, result: JSON.parse(text) as Record<string, unknown> };
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? (sorted[middle] ?? 0) : ((sorted[middle - 1] ?? 0) + (sorted[middle] ?? 0)) / 2;
}

/** The value below which `share` of the values lie. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0;
}

export const round = (value: number, digits = 3): number => Number(value.toFixed(digits));

/** Wall milliseconds of some work, and what it gave. */
export async function time<T>(work: () => Promise<T>): Promise<{ readonly ms: number; readonly value: T }> {
  const started = performance.now();
  const value = await work();
  return { ms: performance.now() - started, value };
}
