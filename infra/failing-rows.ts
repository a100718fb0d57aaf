import { readdir } from 'node:fs/promises';
import { join } from 'node:path';

/** The newest folder of failing rows below <state>/failures with its files; undefined when no test has failed on this machine. */
export async function findFailingRows(
  stateDir: string,
): Promise<{ readonly dir: string; readonly files: readonly string[] } | undefined> {
  const parent = join(stateDir, 'failures');
  const newest = (await readdir(parent).catch((): string[] => [])).sort().at(-1);
  if (newest === undefined) return undefined;
  const dir = join(parent, newest);
  return { dir, files: (await readdir(dir)).sort() };
}
