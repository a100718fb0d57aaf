import { createHash, randomBytes } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { basename, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { z } from 'zod';
import type { DraftFile, SourceIdentity } from '../core/bronze-commit.ts';
import type { TableContract } from '../core/bronze-table.ts';

/**
 * What stays of a first load that was killed: the parts that were finished, as files on this machine, and the snapshot each was read at.
 *
 *   <loads>/<hash of the table>.<host>-<pid>-<random>/   owned: a process works here
 *       load.json                                        facts, parts, finished parts with their files
 *       part-00003-00000.parquet
 *
 * Whoever begins the same load takes the folder of a process that is gone by renaming it: one rename succeeds, so one owner gets it.
 * A part counts once load.json names it; load.json is replaced by a rename.
 */

/** What must be the same for finished parts to be of use: anything else read, or another place in the log, voids them. */
export interface LoadFacts {
  readonly source: string;
  readonly table: string;
  readonly identity: SourceIdentity;
  readonly contract: TableContract;
  /** Number of the commit the rows belong to; they carry it. */
  readonly commit: number;
  /** File nodes of the table and its leaves: another one means that rows have other places. */
  readonly fileNodes: readonly string[];
  /** Under what rows can be swept: cluster, timeline, statistics' epoch and the table's shape. */
  readonly proof: string;
}

export interface FinishedPart {
  /** Index in `parts`. */
  readonly part: number;
  /** pg_current_snapshot() it was read at. */
  readonly snapshot: string;
  readonly rows: number;
  readonly files: readonly DraftFile[];
}

export interface KeptLoad {
  readonly dir: string;
  /** Conditions of all parts, as they were when the load began. */
  readonly parts: readonly (string | null)[];
  readonly finished: readonly FinishedPart[];
  finish(part: FinishedPart): Promise<void>;
  /** Gives the folder up for the next run to take. */
  release(): Promise<void>;
  remove(): Promise<void>;
}

const FORMAT = 1;
const FILE = 'load.json';

const draftFile = z.strictObject({
  localPath: z.string(),
  rows: z.int().positive(),
  bytes: z.int().positive(),
  sha256: z.string(),
  ops: z.record(z.string(), z.int()),
  firstSeq: z.string(),
  lastSeq: z.string(),
  keyMin: z.string().nullable(),
  keyMax: z.string().nullable(),
});

const loadFile = z.strictObject({
  format: z.literal(FORMAT),
  facts: z.string(),
  parts: z.array(z.string().nullable()).min(1),
  finished: z.array(z.strictObject({ part: z.int(), snapshot: z.string(), rows: z.int(), files: z.array(draftFile) })),
});
type LoadFile = z.infer<typeof loadFile>;

/** Takes what a killed load of the same facts left, or begins anew with `parts`. Leftovers that are of no use are removed. */
export async function openKeptLoad(
  loadsDir: string,
  facts: LoadFacts,
  parts: readonly (string | null)[],
): Promise<KeptLoad> {
  await mkdir(loadsDir, { recursive: true });
  const name = createHash('sha256')
    .update(JSON.stringify([facts.source, facts.table, facts.identity]))
    .digest('hex')
    .slice(0, 16);
  const dir = join(loadsDir, `${name}.${hostname()}-${process.pid}-${randomBytes(4).toString('hex')}`);
  const fingerprint = createHash('sha256').update(JSON.stringify(facts)).digest('hex');
  // Before the folder is there: others in this process would take it for that of a killed one.
  own.add(basename(dir));
  const abandoned: string[] = [];
  for (const other of await readdir(loadsDir)) {
    if (other.startsWith(`${name}.`) && isAbandoned(other)) abandoned.push(other);
  }
  let found: LoadFile | undefined;
  for (const other of abandoned) {
    if (found === undefined && (await takeOver(join(loadsDir, other), dir))) {
      found = await readLoad(dir, fingerprint);
      if (found === undefined) await rm(dir, { recursive: true, force: true });
    } else await rm(join(loadsDir, other), { recursive: true, force: true });
  }
  let state: LoadFile = found ?? { format: FORMAT, facts: fingerprint, parts: [...parts], finished: [] };
  if (found === undefined) await mkdir(dir, { recursive: true });
  const write = async (next: LoadFile): Promise<void> => {
    const draft = join(dir, `${FILE}.tmp`);
    await writeFile(draft, JSON.stringify(next), { flush: true });
    await rename(draft, join(dir, FILE));
    state = next;
  };
  await write(state);
  return {
    dir,
    parts: state.parts,
    get finished() {
      return state.finished;
    },
    finish: (part) =>
      write({ ...state, finished: [...state.finished, structuredClone(part) as LoadFile['finished'][number]] }),
    release: async () => {
      own.delete(basename(dir));
      if (state.finished.length === 0) await rm(dir, { recursive: true, force: true });
    },
    remove: async () => {
      await rm(dir, { recursive: true, force: true });
      own.delete(basename(dir));
    },
  };
}

/** Folders this process works in: in a container that starts again its number is that of the one that was killed. */
const own = new Set<string>();

function isAbandoned(name: string): boolean {
  if (own.has(name)) return false;
  const { host, pid } = /\.(?<host>.+)-(?<pid>\d+)-[0-9a-f]{8}$/.exec(name)?.groups ?? {};
  if (host !== hostname()) return false;
  if (Number(pid) === process.pid) return true;
  try {
    process.kill(Number(pid), 0);
    return false;
  } catch (error) {
    return !(error instanceof Error && 'code' in error && error.code === 'EPERM');
  }
}

async function takeOver(from: string, to: string): Promise<boolean> {
  try {
    await rename(from, to);
    return true;
  } catch {
    return false; // another process was first
  }
}

/** The load as its last owner left it, files checked; undefined when it is of no use. */
async function readLoad(dir: string, fingerprint: string): Promise<LoadFile | undefined> {
  const text = await readFile(join(dir, FILE), 'utf8').catch(() => undefined);
  if (text === undefined) return undefined;
  const parsed = loadFile.safeParse(parseJson(text));
  if (!parsed.success || parsed.data.facts !== fingerprint || parsed.data.finished.length === 0) return undefined;
  const finished: LoadFile['finished'] = [];
  for (const part of parsed.data.finished) {
    const files = part.files.map((file) => ({ ...file, localPath: join(dir, basename(file.localPath)) }));
    for (const file of files) if (!(await isWhole(file))) return undefined;
    finished.push({ ...part, files });
  }
  const named = new Set(finished.flatMap((part) => part.files.map((file) => basename(file.localPath))));
  for (const other of await readdir(dir)) {
    if (other !== FILE && !named.has(other)) await rm(join(dir, other), { force: true });
  }
  return { ...parsed.data, finished };
}

/** A machine that lost power may show a file in its full length with pages that never reached the disk. */
async function isWhole(file: Pick<DraftFile, 'localPath' | 'bytes' | 'sha256'>): Promise<boolean> {
  try {
    if ((await stat(file.localPath)).size !== file.bytes) return false;
    const hash = createHash('sha256');
    await pipeline(createReadStream(file.localPath, { highWaterMark: 1 << 20 }), hash);
    return hash.digest('hex') === file.sha256;
  } catch {
    return false;
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
