import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { SluiceError } from '../core/errors.ts';
import { LAYERS, type Layer } from './model.ts';
import { loadSeeds, type SeedFile } from './seeds/load-seeds.ts';

/** A project's SQL files as text: all the compiler reads from disk. */

export interface ProjectFile {
  /** Path relative to the project, with `/`. */
  readonly file: string;
  readonly text: string;
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

/** Reads sql/{silver,gold,macros,tests,seeds} of a project folder, in the order of their paths. Errors: PROJECT_NOT_FOUND. */
export async function loadProject(dir: string): Promise<ProjectFiles> {
  const paths = await listSql(dir);
  const read = async (prefix: string): Promise<ProjectFile[]> =>
    Promise.all(
      paths
        .filter((path) => path.startsWith(prefix))
        .map(async (file) => ({ file, text: await readFile(join(dir, file), 'utf8') })),
    );
  const layers = await Promise.all(LAYERS.map(async (layer) => ({ layer, files: await read(`sql/${layer}/`) })));
  return {
    models: layers.flatMap(({ layer, files }) => files.map((file) => toModelFile(file, layer))),
    macros: await read('sql/macros/'),
    tests: await read('sql/tests/'),
    seeds: await loadSeeds(dir),
  };
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
  return { ...file, layer, domain: parts.join('/'), table: name.replace(/\.sql$/, '') };
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : String(error);
}
