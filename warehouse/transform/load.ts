import { readFileSync, statSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
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

export interface ModelFile extends ProjectFile {
  readonly layer: Layer;
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
export async function loadProject(dir: string, known?: ReadonlyMap<string, KnownFile>): Promise<ProjectFiles> {
  const paths = await listSql(dir);
  const read = async (prefix: string): Promise<ProjectFile[]> =>
    Promise.all(
      paths
        .filter((path) => path.startsWith(prefix))
        .map(async (file) =>
          known === undefined ? readProjectFile(dir, file) : readUnlessKnown(dir, file, known.get(file)),
        ),
    );
  const layers = await Promise.all(LAYERS.map(async (layer) => ({ layer, files: await read(`sql/${layer}/`) })));
  return {
    models: layers.flatMap(({ layer, files }) => files.map((file) => toModelFile(file, layer))),
    macros: await read('sql/macros/'),
    tests: await read('sql/tests/'),
    seeds: await loadSeeds(dir),
  };
}

async function readProjectFile(dir: string, file: string): Promise<ProjectFile> {
  return { file, text: await readFile(join(dir, file), 'utf8') };
}

function readUnlessKnown(dir: string, file: string, known: KnownFile | undefined): ProjectFile | Promise<ProjectFile> {
  const stamp = stampOf(join(dir, file));
  if (known === undefined || stamp === '' || known.stamp !== stamp)
    return readProjectFile(dir, file).then((read) => ({ ...read, stamp }));
  let text: string | undefined;
  return {
    file,
    stamp,
    hash: known.hash,
    get text() {
      return (text ??= readFileSync(join(dir, file), 'utf8'));
    },
  };
}

/** A second write within the clock's tick would leave the stamp as it is: files changed just now have none. */
const SETTLED_MS = 2000;

function stampOf(path: string): string {
  // Synchronous: ten thousand times a few microseconds, a tenth of what asking the thread pool takes.
  const found = statSync(path, { throwIfNoEntry: false });
  if (found === undefined || Date.now() - Math.max(found.ctimeMs, found.mtimeMs) < SETTLED_MS) return '';
  return `${found.mtimeMs}:${found.ctimeMs}:${found.size}:${found.ino}`;
}

async function listSql(dir: string): Promise<string[]> {
  try {
    const entries = await readdir(join(dir, 'sql'), { recursive: true, withFileTypes: true });
    return entries
      .filter((entry) => entry.isFile() && entry.name.endsWith('.sql'))
      .map((entry) => join(entry.parentPath, entry.name).slice(dir.length).replaceAll('\\', '/').replace(/^\/+/, ''))
      .sort();
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
}

function toModelFile(file: ProjectFile, layer: Layer): ModelFile {
  const parts = file.file.slice(`sql/${layer}/`.length).split('/');
  const name = parts.pop() ?? '';
  return Object.assign(file, { layer, domain: parts.join('/'), table: name.replace(/\.sql$/, '') });
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : String(error);
}
