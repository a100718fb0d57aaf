import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, renameSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

/** Server processes that outlive whoever started them, found again by pid, start time and command line. */

export interface ProcessIdentity {
  readonly pid: number;
  /** When it started, in the kernel's ticks; '0' where the system does not say. */
  readonly start: string;
  /** Its data folder: an argument that only this server has, or the folder of one. */
  readonly marker: string;
}

const LOG_BYTES_MAX = 4_000_000;

/** Starts a program in a session of its own, so that the terminal's Ctrl-C does not reach it; what it prints goes to a file. */
export function startDetached(
  program: string,
  args: readonly string[],
  options: { readonly env: Record<string, string>; readonly logPath: string; readonly cwd: string },
): ChildProcess {
  mkdirSync(dirname(options.logPath), { recursive: true });
  if (existsSync(options.logPath) && statSync(options.logPath).size > LOG_BYTES_MAX) {
    renameSync(options.logPath, `${options.logPath}.1`);
  }
  const log = openSync(options.logPath, 'a', 0o600);
  try {
    const child = spawn(program, args, {
      cwd: options.cwd,
      env: options.env,
      detached: true,
      stdio: ['ignore', log, log],
    });
    child.on('error', () => undefined);
    child.unref();
    return child;
  } finally {
    closeSync(log);
  }
}

export function identify(pid: number, marker: string): ProcessIdentity {
  return { pid, start: startOf(pid), marker };
}

/** True while exactly this server runs; a pid that is another program's by now is not it. */
export function isRunning({ pid, start, marker }: ProcessIdentity): boolean {
  if (!isSameProcess(pid, start)) return false;
  const words = commandLineOf(pid).split('\0');
  return words.some((word) => word === marker || word.startsWith(`${marker}/`));
}

export function isSameProcess(pid: number, start: string): boolean {
  return startOf(pid) === start && start !== '';
}

/** '' when there is no such process, or only its corpse. */
export function startOf(pid: number): string {
  try {
    process.kill(pid, 0);
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EPERM')) return '';
  }
  try {
    const line = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = line.slice(line.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' ? '' : (fields[19] ?? '0');
  } catch {
    return '0';
  }
}

/** Ends the server and waits until it is gone: in order first, by force when that takes longer than `patienceMs`. */
export async function endProcess(identity: ProcessIdentity, patienceMs = 15_000): Promise<void> {
  for (const [signal, ms] of [
    ['SIGTERM', patienceMs],
    ['SIGKILL', 5_000],
  ] as const) {
    if (!signalProcess(identity, signal)) return;
    for (const until = Date.now() + ms; Date.now() < until; ) {
      if (!isRunning(identity)) return;
      await sleep(20);
    }
  }
}

/** Ends a server that keeps nothing worth an orderly end, without waiting: for the last moment of a process. */
export function endServerNow(server: { readonly process: ProcessIdentity }): void {
  signalProcess(server.process, 'SIGKILL');
}

/** False when it does not run. */
function signalProcess(identity: ProcessIdentity, signal: NodeJS.Signals): boolean {
  if (!isRunning(identity)) return false;
  try {
    return process.kill(identity.pid, signal);
  } catch {
    return false;
  }
}

/** Arguments, each ended by a zero byte. */
function commandLineOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8');
  } catch {
    // no /proc on macOS; a marker has no spaces there or the server is not recognised
    return (spawnSync('ps', ['-ww', '-p', String(pid), '-o', 'args='], { encoding: 'utf8' }).stdout ?? '')
      .trim()
      .replaceAll(' ', '\0');
  }
}
