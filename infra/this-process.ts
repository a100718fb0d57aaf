import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';

/** Names of processes in messages and of what they leave: <host>-<pid>-<random>. */

const NAME = /^(?<host>.+)-(?<pid>\d+)-[0-9a-f]{8}$/;

/** Another name at each call: what is named by it is told from what a process of the same number left before. */
export function nameProcess(): string {
  return `${hostname()}-${process.pid}-${randomBytes(4).toString('hex')}`;
}

/** This process. */
export const THIS_PROCESS = nameProcess();

/** Whether the process that gave itself the name still runs; undefined when it is of another machine or container and cannot be looked for. */
export function isRunning(name: string, own: (name: string) => boolean): boolean | undefined {
  const { host, pid } = NAME.exec(name)?.groups ?? {};
  if (host !== hostname()) return undefined;
  // In a container that starts again the number is the same as that of the one that was killed.
  return Number(pid) === process.pid ? own(name) : isAlive(Number(pid));
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM';
  }
}
