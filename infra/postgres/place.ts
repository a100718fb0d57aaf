import { randomBytes } from 'node:crypto';
import { chmod, cp, lstat, mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SluiceError } from '../../warehouse/core/errors.ts';
import type { Log } from '../../warehouse/core/log.ts';
import { type Account, canEnter, canRun } from './account.ts';
import type { Binaries } from './binaries.ts';
import { findPostmaster } from './postmaster.ts';

/**
 * Where the cluster's files lie. Mostly in the folder asked for. Under root the server runs as another account, which cannot
 * enter a clone below /root (mode 700): then programs and data go to a folder of root's own that it can enter, and the folder
 * asked for keeps a note of where.
 */
const NOTE = 'elsewhere.json';
const SHARED_PLACES = ['/var/lib/sluice', join(tmpdir(), 'sluice-root')] as const;

/** The folder that holds data, log, port and users of the cluster. Creates it. */
export async function placeCluster(dir: string, account: Account | undefined, log: Log): Promise<string> {
  await mkdir(dir, { recursive: true });
  if (account === undefined) return dir;
  const noted = await readNote(dir);
  if (noted === undefined) {
    if (!canEnter(account, dir)) await chmod(dir, 0o755);
    if (canEnter(account, dir)) return dir;
  }
  const id = noted ?? (await writeNote(dir));
  const shared = await sharedPlace(account);
  await sweepAbandoned(shared);
  const home = join(shared, id);
  await mkdir(home, { recursive: true, mode: 0o755 });
  await writeFile(join(home, 'of'), dir);
  log.info(
    { dir, home, account: account.name },
    'the account of the server cannot enter the folder; its data is kept elsewhere',
  );
  return home;
}

/** The programs themselves, or a copy that the account can run. */
export async function placeBinaries(binaries: Binaries, account: Account | undefined): Promise<Binaries> {
  if (account === undefined || canRun(account, binaries.postgres)) return binaries;
  const root = join(await sharedPlace(account), `postgres-${binaries.version}`);
  const copy: Binaries = {
    version: binaries.version,
    root,
    postgres: join(root, 'bin', 'postgres'),
    initdb: join(root, 'bin', 'initdb'),
  };
  if (canRun(account, copy.postgres)) return copy;
  const draft = `${root}.${process.pid}-${randomBytes(4).toString('hex')}`;
  await cp(binaries.root, draft, {
    recursive: true,
    verbatimSymlinks: true,
    // static libraries are for linking only
    filter: (path) => !path.endsWith('.a'),
  });
  await openToAll(draft);
  await rename(draft, root).catch(async (error: unknown) => {
    // another process was first: its copy is as good
    await rm(draft, { recursive: true, force: true });
    if (!canRun(account, copy.postgres)) throw error;
  });
  return copy;
}

async function readNote(dir: string): Promise<string | undefined> {
  const text = await readFile(join(dir, NOTE), 'utf8').catch(() => undefined);
  if (text === undefined) return undefined;
  const note: unknown = JSON.parse(text);
  const id = typeof note === 'object' && note !== null && 'id' in note ? note.id : undefined;
  return typeof id === 'string' && /^cluster-[0-9a-f]{16}$/.test(id) ? id : undefined;
}

/** Two starters agree on one id: the first to create the note wins. */
async function writeNote(dir: string): Promise<string> {
  const id = `cluster-${randomBytes(8).toString('hex')}`;
  const text = JSON.stringify({ id, why: 'Postgres does not run as root, and its account cannot enter this folder.' });
  await writeFile(join(dir, NOTE), `${text}\n`, { flag: 'wx' }).catch(() => undefined);
  return (await readNote(dir)) ?? id;
}

/** A folder that belongs to root alone and that the account can enter. */
async function sharedPlace(account: Account): Promise<string> {
  for (const place of SHARED_PLACES) {
    const made = await mkdir(place, { recursive: true, mode: 0o755 })
      .then(() => lstat(place))
      .catch(() => undefined);
    const ours = made?.isDirectory() === true && made.uid === 0 && (made.mode & 0o022) === 0;
    if (ours && canEnter(account, place)) return place;
  }
  throw new SluiceError(
    'POSTGRES_START_FAILED',
    `Postgres does not run as root, and the account ${account.name} can enter neither this folder nor ${SHARED_PLACES.join(' nor ')}.`,
    {
      remedy: 'Run as an ordinary user, or place the project in a folder that every account may enter (chmod a+x).',
    },
  );
}

/** Removes clusters whose folder was deleted since. Their note is written before their home, so a home without a note is abandoned. */
async function sweepAbandoned(shared: string): Promise<void> {
  for (const id of await readdir(shared)) {
    if (!id.startsWith('cluster-')) continue;
    const home = join(shared, id);
    const of = await readFile(join(home, 'of'), 'utf8').catch(() => undefined);
    if (of === undefined || (await readNote(of)) === id || findPostmaster(join(home, 'data')) !== undefined) continue;
    await rm(home, { recursive: true, force: true });
  }
}

async function openToAll(dir: string): Promise<void> {
  await chmod(dir, 0o755);
  for (const entry of await readdir(dir, { withFileTypes: true })) {
    const path = join(dir, entry.name);
    if (entry.isDirectory()) await openToAll(path);
    else if (entry.isFile()) await chmod(path, (await lstat(path)).mode & 0o100 ? 0o755 : 0o644);
  }
}
