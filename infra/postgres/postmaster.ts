import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** A server process as it describes itself in postmaster.pid. */
export interface Postmaster {
  readonly pid: number;
  readonly port: number;
  /** starting, ready or stopping. */
  readonly status: string;
}

/** The live server of a data folder. Undefined when there is none: a file left behind by a killed server, or one whose pid is another program's by now. */
export function findPostmaster(dataDir: string): Postmaster | undefined {
  const postmaster = readPidFile(dataDir);
  return postmaster !== undefined && isServerOf(postmaster.pid, dataDir) ? postmaster : undefined;
}

/** What postmaster.pid says, true or not. */
export function readPidFile(dataDir: string): Postmaster | undefined {
  let lines: string[];
  try {
    lines = readFileSync(join(dataDir, 'postmaster.pid'), 'utf8').split('\n');
  } catch {
    return undefined;
  }
  const pid = Number(lines[0]);
  // Port and status are written a moment after the pid.
  return Number.isInteger(pid) && pid > 0
    ? { pid, port: Number(lines[3] ?? 0), status: (lines[7] ?? 'starting').trim() }
    : undefined;
}

/** True while a process exists, whoever owns it. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM';
  }
}

/** True when the process is the Postgres server of this folder; pids are reused, so its command line is asked. */
export function isServerOf(pid: number, dataDir: string): boolean {
  if (!isAlive(pid)) return false;
  return commandLineOf(pid).includes(`-D ${dataDir} `);
}

function commandLineOf(pid: number): string {
  try {
    return `${readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ')} `;
  } catch {
    // no /proc on macOS
    return `${spawnSync('ps', ['-ww', '-p', String(pid), '-o', 'args='], { encoding: 'utf8' }).stdout ?? ''} `;
  }
}
