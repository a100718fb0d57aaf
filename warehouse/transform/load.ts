import { readdirSync, readFileSync, type Stats, statSync } from 'node:fs';
import { join } from 'node:path';
import { SluiceError } from '../core/errors.ts';
import { LAYERS, type Layer } from './model.ts';
import { loadSeeds, type SeedFile } from './seeds/load-seeds.ts';

/** A project's SQL files as text: all the compiler reads from disk. */

export interface ProjectFile {
  /** Path relative to the project, with `/`. */
  readonly file: string;
  /** Read when it is asked for, where the hash was known. */
  readonly text: string;
  /** SHA-256 of the text, shortened, when it is known without reading it. */
  readonly hash?: string;
  /** What the file looked like before it was read; another stamp means that it was written to. Empty when it was written moments ago. */
  readonly stamp?: string;
}

/** What is known of a file from an earlier compile. */
export interface KnownFile {
  readonly hash: string;
  readonly stamp: string;
}

/** Files that are known, by their paths. */
export type KnownFiles = Pick<ReadonlyMap<string, KnownFile>, 'get'>;

export interface ModelFile extends ProjectFile {
  readonly layer: Layer;
  /** `<layer>.<table>`, as SQL names it. */
  readonly name: string;
  /** Folder below the layer; empty when the file lies directly in it, which the compiler refuses. */
  readonly domain: string;
  readonly table: string;
}

export interface ProjectFiles {
  readonly models: readonly ModelFile[];
  readonly macros: readonly ProjectFile[];
  /** sql/tests/**: one SELECT each, whose rows are failures. */
  readonly tests: readonly ProjectFile[];
  /** sql/seeds/**: rows that belong to the project. */
  readonly seeds?: readonly SeedFile[];
}

/**
 * Reads sql/{silver,gold,macros,tests,seeds} of a project folder, in the order of their paths. Files whose stamp is the known one are not read before
 * their text is asked for. Errors: PROJECT_NOT_FOUND.
 */
export async function loadProject(dir: string, known?: KnownFiles): Promise<ProjectFiles> {
  const models = new Map<Layer, ModelFile[]>(LAYERS.map((layer) => [layer, []]));
  const macros: ProjectFile[] = [];
  const tests: ProjectFile[] = [];
  const settled = Date.now() - SETTLED_MS;
  // Synchronous: ten thousand times a few microseconds, a tenth of what asking the thread pool takes.
  for (const path of listSql(dir)) {
    const layer = layerOf(path);
    const list = path.startsWith('sql/macros/') ? macros : path.startsWith('sql/tests/') ? tests : undefined;
    if (layer === undefined && list === undefined) continue;
    const file =
      known === undefined ? readProjectFile(dir, path) : readUnlessKnown(dir, path, known.get(path), settled);
    if (layer !== undefined) models.get(layer)?.push(toModelFile(file, layer));
    list?.push(file);
  }
  return { models: [...models.values()].flat(), macros, tests, seeds: await loadSeeds(dir) };
}

function layerOf(path: string): Layer | undefined {
  for (const layer of LAYERS) if (path.startsWith(layer, 4) && path[4 + layer.length] === '/') return layer;
  return undefined;
}

function readProjectFile(dir: string, file: string): ProjectFile {
  return { file, text: readFileSync(`${dir}/${file}`, 'utf8') };
}

/** `settled`: files written after it have no stamp. */
function readUnlessKnown(dir: string, file: string, known: KnownFile | undefined, settled: number): ProjectFile {
  const before = known === undefined ? undefined : unread.get(known);
  const isHere = before?.dir === dir;
  const path = isHere ? before.path : `${dir}/${file}`;
  const found = statSync(path, { throwIfNoEntry: false });
  const look = found !== undefined && isSettled(found, settled) ? found : undefined;
  if (isHere && look !== undefined && isSameLook(look, before.look)) return before.file;
  const stamp = look === undefined ? '' : stampOf(look);
  if (known === undefined || look === undefined || known.stamp !== stamp)
    return { ...readProjectFile(dir, file), stamp };
  let text: string | undefined;
  const read: ProjectFile = {
    file,
    stamp: known.stamp,
    hash: known.hash,
    get text() {
      return (text ??= readFileSync(join(dir, file), 'utf8'));
    },
  };
  const { mtimeMs, ctimeMs, size, ino } = look;
  unread.set(known, { dir, path, look: { mtimeMs, ctimeMs, size, ino }, file: read });
  return read;
}

interface UnreadFile {
  readonly dir: string;
  readonly path: string;
  readonly look: Look;
  readonly file: ProjectFile;
}

/** Files that were as known when they were last looked at: a process that compiles again and again takes them as they are. */
const unread = new WeakMap<KnownFile, UnreadFile>();

/** A second write within the clock's tick would leave the stamp as it is: files changed just now have none. */
const SETTLED_MS = 2000;

/** What the stamp is made of: as numbers it is compared in a tenth of the time that printing it takes. */
type Look = Pick<Stats, 'mtimeMs' | 'ctimeMs' | 'size' | 'ino'>;

function isSettled({ ctimeMs, mtimeMs }: Look, settled: number): boolean {
  return ctimeMs <= settled && mtimeMs <= settled;
}

function isSameLook(one: Look, other: Look): boolean {
  return (
    one.mtimeMs === other.mtimeMs && one.ctimeMs === other.ctimeMs && one.size === other.size && one.ino === other.ino
  );
}

function stampOf({ mtimeMs, ctimeMs, size, ino }: Look): string {
  return `${mtimeMs}:${ctimeMs}:${size}:${ino}`;
}

function listSql(dir: string): string[] {
  const paths: string[] = [];
  const list = (folder: string): void => {
    for (const entry of readdirSync(`${dir}/${folder}`, { withFileTypes: true })) {
      const path = `${folder}/${entry.name}`;
      if (entry.isDirectory()) list(path);
      else if (entry.isFile() && path.endsWith('.sql')) paths.push(path);
    }
  };
  try {
    list('sql');
  } catch (error) {
    throw new SluiceError(
      'PROJECT_NOT_FOUND',
      `The folder ${join(dir, 'sql')} does not hold a project: ${codeOf(error)}.`,
      {
        remedy: 'Run the command in a project folder, or name one with --project DIR.',
        cause: error,
      },
    );
  }
  return paths.sort();
}

/** A file of sql/<layer> with what its path says; the same object. */
export function toModelFile(file: ProjectFile, layer: Layer): ModelFile {
  if ('layer' in file) return file as ModelFile;
  const path = file.file.slice(`sql/${layer}/`.length, -'.sql'.length);
  const cut = path.lastIndexOf('/');
  const table = path.slice(cut + 1);
  return Object.assign(file, { layer, name: `${layer}.${table}`, domain: path.slice(0, Math.max(0, cut)), table });
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : String(error);
}
