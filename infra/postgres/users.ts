import { randomBytes } from 'node:crypto';
import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isAlive } from './postmaster.ts';

/**
 * Who uses a cluster, so that the last one out stops the server and nobody stops it under another.
 *
 *   enter:  write users/<pid>-x          leave:  remove users/<pid>-x
 *           then look for stopping/              write stopping/<pid>-x
 *                                                then look for users/
 *
 * Each side writes before it looks, so at least one of two that meet sees the other. Everything is synchronous: it also
 * runs while the process exits.
 */
export interface Use {
  /** True when nobody else uses the cluster: the caller stops the server and then calls stopped(). */
  leave(): boolean;
  stopped(): void;
}

export function enterCluster(home: string): Use {
  const name = `${process.pid}-${randomBytes(4).toString('hex')}`;
  const using = join(home, 'users', name);
  const stopping = join(home, 'stopping', name);
  mkdirSync(join(home, 'users'), { recursive: true });
  mkdirSync(join(home, 'stopping'), { recursive: true });
  writeFileSync(using, '');
  const stopped = (): void => rmSync(stopping, { force: true });
  return {
    leave() {
      rmSync(using, { force: true });
      try {
        writeFileSync(stopping, '');
      } catch {
        // the folder itself is gone: nobody else can be there
        return true;
      }
      const last = liveNames(join(home, 'users')).length === 0;
      if (!last) stopped();
      return last;
    },
    stopped,
  };
}

/** True while somebody is stopping the server; then wait, do not join it. */
export function isBeingStopped(home: string): boolean {
  return liveNames(join(home, 'stopping')).length > 0;
}

/** Marks of live processes; those of killed ones are removed on the way. */
function liveNames(dir: string): string[] {
  let names: string[];
  try {
    names = readdirSync(dir);
  } catch {
    return [];
  }
  return names.filter((name) => {
    const live = isAlive(Number(name.split('-')[0]));
    if (!live) rmSync(join(dir, name), { force: true });
    return live;
  });
}
