import { randomUUID } from 'node:crypto';
import { link, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { isSameProcess, startOf } from './processes.ts';

/**
 * One at a time among the processes of a machine. The lock is a file that names its holder; a holder that died is put aside by renaming,
 * which only one of those who notice can do.
 */
export async function withFileLock<T>(
  path: string,
  work: () => Promise<T>,
  onWait: (holder: number) => void = () => undefined,
): Promise<T> {
  const token = randomUUID();
  const draft = `${path}.${token}`;
  await mkdir(dirname(path), { recursive: true });
  // Written whole before it gets its name, so that nobody reads half a holder.
  await writeFile(draft, JSON.stringify({ pid: process.pid, start: startOf(process.pid), token }));
  let told = false;
  try {
    for (;;) {
      const taken = await link(draft, path).then(
        () => true,
        () => false,
      );
      if (taken) break;
      const holder = await readHolder(path);
      if (holder !== undefined && !isSameProcess(holder.pid, holder.start)) {
        await putAside(path, holder.token);
        continue;
      }
      if (holder !== undefined && !told) onWait(holder.pid);
      told = true;
      await sleep(100 + Math.random() * 100);
    }
  } finally {
    await rm(draft, { force: true });
  }
  try {
    return await work();
  } finally {
    if ((await readHolder(path))?.token === token) await rm(path, { force: true });
  }
}

interface Holder {
  readonly pid: number;
  readonly start: string;
  readonly token: string;
}

async function readHolder(path: string): Promise<Holder | undefined> {
  try {
    return JSON.parse(await readFile(path, 'utf8')) as Holder;
  } catch {
    return undefined;
  }
}

/** Takes a dead holder's lock away; a lock that somebody else took meanwhile is put back. */
async function putAside(path: string, token: string): Promise<void> {
  const aside = `${path}.dead-${randomUUID()}`;
  const moved = await rename(path, aside).then(
    () => true,
    () => false,
  );
  if (!moved) return;
  if ((await readHolder(aside))?.token !== token) await link(aside, path).catch(() => undefined);
  await rm(aside, { force: true });
}
