import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import { startEmbeddedPostgres } from '../../../infra/postgres/index.ts';
import { findPostmaster } from '../../../infra/postgres/postmaster.ts';
import { stopServer } from '../../../infra/postgres/server.ts';
import { createLog } from '../../../warehouse/core/log.ts';

export const log = createLog({ level: 'silent' });

/** A folder for one cluster; at the end its server is stopped, should one still run, and the folder removed. */
export async function clusterFolder(t: TestContext): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'sluice-cluster-'));
  await chmod(dir, 0o755);
  t.after(async () => {
    const left = findPostmaster(join(dir, 'data'));
    if (left !== undefined) await stopServer(join(dir, 'data'), left.pid);
    await rm(dir, { recursive: true, force: true });
  });
  return dir;
}

let template: Promise<string> | undefined;

/** The same with a data folder in it, copied from one that this process made before: initdb costs a second of two cores. */
export async function readyFolder(t: TestContext): Promise<string> {
  template ??= makeTemplate();
  const from = await template;
  const dir = await clusterFolder(t);
  execFileSync('cp', ['-a', join(from, 'data'), join(dir, 'data')]);
  return dir;
}

async function makeTemplate(): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'sluice-cluster-template-'));
  process.on('exit', () => rmSync(dir, { recursive: true, force: true }));
  await chmod(dir, 0o755);
  await (await startEmbeddedPostgres({ dir, durable: false, log })).stop();
  return dir;
}

export interface Owner {
  readonly process: ChildProcess;
  readonly said: { readonly url: string; readonly pid: number; readonly port: number; readonly started: boolean };
}

export function spawnOwner(t: TestContext, dir: string, manner: 'hold' | 'return' = 'hold'): ChildProcess {
  const script = fileURLToPath(new URL('./owner.ts', import.meta.url));
  const child = spawn(process.execPath, [script, dir, manner], { stdio: ['pipe', 'pipe', 'inherit'] });
  t.after(() => child.kill('SIGKILL'));
  return child;
}

/** Starts an owner in a process of its own and waits until its server is ready. */
export async function startOwner(t: TestContext, dir: string, manner: 'hold' | 'return' = 'hold'): Promise<Owner> {
  const child = spawnOwner(t, dir, manner);
  if (child.stdout === null) throw new Error('the owner has no standard output');
  const [line] = await once(createInterface(child.stdout), 'line');
  return { process: child, said: JSON.parse(String(line)) };
}

export async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, 'exit');
  child.kill(signal);
  await ended;
}

export async function ask<T extends pg.QueryResultRow>(url: string, sql: string): Promise<T[]> {
  const client = new pg.Client({ connectionString: url });
  client.on('error', () => undefined);
  await client.connect();
  try {
    return (await client.query<T>(sql)).rows;
  } finally {
    await client.end();
  }
}
