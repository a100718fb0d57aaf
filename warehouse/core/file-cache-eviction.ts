import { readFileSync, type Stats } from 'node:fs';
import { readdir, rm, stat } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';

/** What leaves a file cache: contents that nobody holds, and what dead processes left behind. */

const ABANDONED_MS = 24 * 3600 * 1000;
/** A lease of another host (a shared disk) cannot be asked whether it lives. */
const FOREIGN_LEASE_MS = 7 * ABANDONED_MS;

/** Removes what nobody uses, oldest use first, until at most `target` bytes are left. Gives the bytes left. */
export async function evict(contents: string, target: number): Promise<number> {
  const entries: { path: string; found: Stats }[] = [];
  for (const shelf of await names(contents)) {
    for (const name of await names(join(contents, shelf))) {
      const path = join(contents, shelf, name);
      const found = await stat(path).catch(() => undefined);
      if (found?.isFile() === true) entries.push({ path, found });
    }
  }
  let total = entries.reduce((sum, { found }) => sum + found.size, 0);
  for (const { path, found } of entries.sort((a, b) => a.found.atimeMs - b.found.atimeMs)) {
    if (total <= target) break;
    // Asked again: it may have been lent since. A link made after this keeps the content for its holder.
    const links = (await stat(path).catch(() => undefined))?.nlink ?? 0;
    if (links > 1) continue;
    await rm(path, { force: true });
    total -= found.size;
  }
  return total;
}

/** Removes the leases of processes that are gone and downloads that nobody finished. */
export async function sweep(dir: string): Promise<void> {
  for (const name of await names(join(dir, 'lent'))) {
    const path = join(dir, 'lent', name);
    const match = /^(.*)-(\d+)-(\d+)-[0-9a-f]{8}$/.exec(name);
    if (match === null) continue;
    const [, host, pid, start] = match;
    const dead =
      host === hostname()
        ? startOf(Number(pid)) !== start
        : Date.now() - ((await stat(path).catch(() => undefined))?.mtimeMs ?? Date.now()) > FOREIGN_LEASE_MS;
    if (dead) await rm(path, { recursive: true, force: true });
  }
  for (const name of await names(join(dir, 'incoming'))) {
    const path = join(dir, 'incoming', name);
    const found = await stat(path).catch(() => undefined);
    if (found !== undefined && Date.now() - found.mtimeMs > ABANDONED_MS) await rm(path, { force: true });
  }
}

/** When a process started, in the kernel's ticks, so that a pid used again is told apart; 0 where the system does not say; '' when there is none. */
export function startOf(pid: number): string {
  try {
    process.kill(pid, 0);
  } catch (error) {
    if (codeOf(error) !== 'EPERM') return '';
  }
  try {
    const line = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return line.slice(line.lastIndexOf(')') + 2).split(' ')[19] ?? '0';
  } catch {
    return '0';
  }
}

async function names(dir: string): Promise<string[]> {
  try {
    return await readdir(dir);
  } catch (error) {
    if (codeOf(error) === 'ENOENT' || codeOf(error) === 'ENOTDIR') return [];
    throw error;
  }
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined;
}
