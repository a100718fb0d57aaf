import { readdirSync, readFileSync, statSync } from 'node:fs';
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
  const models = new Map<Layer, ModelFile[]>(LAYERS.map((layer) => [layer, []]));
  const macros: ProjectFile[] = [];
  const tests: ProjectFile[] = [];
  // Synchronous: ten thousand times a few microseconds, a tenth of what asking the thread pool takes.
  for (const path of listSql(dir)) {
    const layer = LAYERS.find((name) => path.startsWith(`sql/${name}/`));
    const list = path.startsWith('sql/macros/') ? macros : path.startsWith('sql/tests/') ? tests : undefined;
    if (layer === undefined && list === undefined) continue;
    const file = known === undefined ? readProjectFile(dir, path) : readUnlessKnown(dir, path, known.get(path));
    if (layer !== undefined) models.get(layer)?.push(toModelFile(file, layer));
    list?.push(file);
  }
  return { models: [...models.values()].flat(), macros, tests, seeds: await loadSeeds(dir) };
}

function readProjectFile(dir: string, file: string): ProjectFile {
  return { file, text: readFileSync(`${dir}/${file}`, 'utf8') };
}

function readUnlessKnown(dir: string, file: string, known: KnownFile | undefined): ProjectFile {
  const stamp = stampOf(`${dir}/${file}`);
  if (known === undefined || stamp === '' || known.stamp !== stamp) return { ...readProjectFile(dir, file), stamp };
  const before = unread.get(known);
  if (before?.dir === dir) return before.file;
  let text: string | undefined;
  const found: ProjectFile = {
    file,
    stamp,
    hash: known.hash,
    get text() {
      return (text ??= readFileSync(join(dir, file), 'utf8'));
    },
  };
  unread.set(known, { dir, file: found });
  return found;
}

/** Files that were as known when they were last looked at: a process that compiles again and again takes them as they are. */
const unread = new WeakMap<KnownFile, { readonly dir: string; readonly file: ProjectFile }>();

/** A second write within the clock's tick would leave the stamp as it is: files changed just now have none. */
const SETTLED_MS = 2000;

function stampOf(path: string): string {
  const found = statSync(path, { throwIfNoEntry: false });
  if (found === undefined || Date.now() - Math.max(found.ctimeMs, found.mtimeMs) < SETTLED_MS) return '';
  return `${found.mtimeMs}:${found.ctimeMs}:${found.size}:${found.ino}`;
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

function toModelFile(file: ProjectFile, layer: Layer): ModelFile {
  if ('layer' in file) return file as ModelFile;
  const path = file.file.slice(`sql/${layer}/`.length, -'.sql'.length);
  const cut = path.lastIndexOf('/');
  return Object.assign(file, { layer, domain: path.slice(0, Math.max(0, cut)), table: path.slice(cut + 1) });
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : String(error);
}
