import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import { loadDemo } from '../../demo/index.ts';
import { type Config, loadConfig } from '../../infra/config.ts';
import { openProject, type Project } from '../../infra/project.ts';
import { runProject } from '../../infra/run-project.ts';
import { connectTemporal, type TemporalClient } from '../../infra/temporal-connection.ts';
import { loadSources, verifySource } from '../../warehouse/extract/index.ts';
import { type TestDatabase, testDatabase } from '../support/postgres.ts';
import type { TestTemporal } from '../support/temporal.ts';
import { log } from './support.ts';

/** A lake, a source and workers that are processes of their own, around one Temporal server. */

const projectDir = fileURLToPath(new URL('../..', import.meta.url));

export interface Lake {
  readonly project: Project;
  readonly config: Config;
  readonly environment: Readonly<Record<string, string>>;
  readonly database: TestDatabase;
  readonly temporal: TemporalClient;
  readonly workers: Set<ChildProcess>;
  close(): Promise<void>;
}

/** `place`: the options of a lake elsewhere; a folder when absent. */
export async function openLake(
  server: TestTemporal,
  { place = {}, scale = 0.05 }: { readonly place?: Readonly<Record<string, string>>; readonly scale?: number } = {},
): Promise<Lake> {
  const dir = await mkdtemp(join(tmpdir(), 'sluice-temporal-lake-'));
  const database = await testDatabase();
  await loadDemo({ url: database.url, scale, seed: 7, asOf: '2026-06-30', onProgress: () => undefined });
  const environment = {
    ...server.environment,
    SLUICE_SOURCE_URL: database.url,
    SLUICE_LAKE: join(dir, 'lake'),
    SLUICE_CACHE: join(dir, 'cache'),
    SLUICE_LOG_LEVEL: 'error',
    SLUICE_MEMORY_MB: '256',
    SLUICE_THREADS: '1',
    ...place,
  };
  const config = loadConfig(projectDir, environment);
  const temporal = await connectTemporal(config);
  const workers = new Set<ChildProcess>();
  return {
    workers,
    project: openProject(config, log),
    config,
    environment,
    database,
    temporal,
    close: async () => {
      // One that outlives its test would take the next one's work.
      for (const worker of workers) worker.kill('SIGKILL');
      await temporal.close();
      await database.drop();
      await rm(dir, { recursive: true, force: true });
    },
  };
}

export interface ChildWorker {
  readonly ready: Promise<void>;
  /** Resolves when the worker holds the step that it was told to. */
  readonly holding: Promise<void>;
  /** What it said so far. */
  readonly words: () => string;
  /** Signal or exit code that it ended with. */
  readonly ended: Promise<string>;
  stop(signal: 'SIGTERM' | 'SIGKILL'): Promise<string>;
}

/** `fate`: see worker-child.ts. */
export function startWorker(lake: Lake, bundlePath: string, fate = ''): ChildWorker {
  const child = spawn(
    process.execPath,
    [
      '--disable-warning=ExperimentalWarning',
      fileURLToPath(new URL('worker-child.ts', import.meta.url)),
      projectDir,
      bundlePath,
      fate,
    ],
    {
      env: { PATH: process.env['PATH'] ?? '', HOME: process.env['HOME'] ?? '', ...lake.environment },
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  );
  lake.workers.add(child);
  const ended = new Promise<string>((resolve) =>
    child.once('exit', (code, signal) => {
      lake.workers.delete(child);
      resolve(signal ?? String(code));
    }),
  );
  const ready = new Promise<void>((resolve, reject) => {
    child.stdout.once('data', () => resolve());
    child.once('exit', () => reject(new Error('the worker ended before it was ready')));
  });
  ready.catch(() => undefined);
  let words = '';
  const holding = new Promise<void>((resolve) =>
    child.stdout.on('data', (chunk: Buffer) => {
      words += chunk.toString();
      if (words.includes('holding')) resolve();
    }),
  );
  return {
    ready,
    holding,
    words: () => words,
    ended,
    stop: (signal) => {
      child.kill(signal);
      return ended;
    },
  };
}

/** Bronze holds exactly what Postgres holds. */
export async function assertSame({ project, database }: Lake): Promise<void> {
  const sources = await loadSources(projectDir);
  const report = await verifySource({
    url: database.url,
    sources,
    state: await project.bronze.state(sources.map(({ name }) => name)),
    workDir: project.config.cacheDir,
    version: '0.0.0',
    log,
  });
  const different = report.tables.filter((table) => !table.equal).map(({ table }) => table);
  assert.deepEqual(different, []);
  assert.ok(report.equal);
}

/** The pipeline in this process finds nothing left to do. */
export async function assertNothingLeft(lake: Lake): Promise<void> {
  const rest = await runProject(lake.project, { steps: 'all', asOf: '2026-06-30' });
  assert.equal(
    (rest.extract?.tables ?? []).reduce((n, t) => n + t.inserted + t.updated + t.deleted, 0),
    0,
  );
  assert.equal(rest.release, undefined);
}

/** Changes that the cursor of a table does not see. */
export async function silently({ database }: Lake, sql: string): Promise<void> {
  const client = new pg.Client({ connectionString: database.url });
  await client.connect();
  try {
    await client.query(`begin; set local session_replication_role = replica; ${sql}; commit`);
  } finally {
    await client.end();
  }
}
