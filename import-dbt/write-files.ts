import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { SluiceError } from '../warehouse/core/errors.ts';

export interface FileToWrite {
  readonly path: string;
  readonly text: string | Uint8Array;
}

/**
 * Writes all files into a folder, or none: each is written beside its place first, and what was moved is moved back when one of them fails.
 * Errors: USAGE where files are there already and `force` is not set.
 */
export async function writeAllOrNothing(
  dir: string,
  files: readonly FileToWrite[],
  options: { readonly force: boolean },
): Promise<void> {
  const taken = files.map(({ path }) => path).filter((path) => existsSync(join(dir, path)));
  if (taken.length > 0 && !options.force) {
    const shown = taken.slice(0, 3).join(', ');
    throw new SluiceError(
      'USAGE',
      `import: ${taken.length === 1 ? `${shown} is` : `${taken.length} files (${shown}${taken.length > 3 ? ', …' : ''}) are`} there already.`,
      { remedy: 'Nothing was written. --force writes over; --out DIR writes elsewhere.', details: { files: taken } },
    );
  }
  const suffix = `.${process.pid}-${randomBytes(4).toString('hex')}.tmp`;
  const draftOf = (path: string): string => join(dir, `${path}${suffix}`);
  const oldOf = (path: string): string => join(dir, `${path}.old${suffix}`);
  const placed: { readonly path: string; readonly hadOld: boolean }[] = [];
  try {
    for (const { path, text } of files) {
      await mkdir(dirname(join(dir, path)), { recursive: true });
      await writeFile(draftOf(path), text, { flag: 'wx' });
    }
    for (const { path } of files) {
      const hadOld = existsSync(join(dir, path));
      if (hadOld) await rename(join(dir, path), oldOf(path));
      placed.push({ path, hadOld });
      await rename(draftOf(path), join(dir, path));
    }
  } catch (error) {
    for (const { path, hadOld } of placed.reverse()) {
      await rm(join(dir, path), { force: true });
      if (hadOld) await rename(oldOf(path), join(dir, path));
    }
    throw error;
  } finally {
    for (const { path } of files) await rm(draftOf(path), { force: true });
  }
  for (const { path } of files) await rm(oldOf(path), { force: true });
}
