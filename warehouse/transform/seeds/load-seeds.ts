import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

/** The files of sql/seeds as text: a table's rows in <name>.csv, what they are in <name>.yaml beside it. */
export interface SeedFile {
  /** Path relative to the project, with `/`, without its ending. */
  readonly stem: string;
  readonly table: string;
  readonly csv: string | undefined;
  readonly yaml: string | undefined;
}

/** In the order of their paths; none where the folder is missing. */
export async function loadSeeds(dir: string): Promise<readonly SeedFile[]> {
  const folder = join(dir, 'sql', 'seeds');
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => []);
  const paths = new Set(
    entries
      .filter((entry) => entry.isFile() && /\.(csv|yaml)$/.test(entry.name))
      .map((entry) => join(entry.parentPath, entry.name).slice(dir.length).replaceAll('\\', '/').replace(/^\/+/, '')),
  );
  const stems = [...new Set([...paths].map((path) => path.replace(/\.(csv|yaml)$/, '')))].sort();
  const read = async (path: string): Promise<string | undefined> =>
    paths.has(path) ? readFile(join(dir, path), 'utf8') : undefined;
  return Promise.all(
    stems.map(async (stem) => ({
      stem,
      table: stem.slice(stem.lastIndexOf('/') + 1),
      csv: await read(`${stem}.csv`),
      yaml: await read(`${stem}.yaml`),
    })),
  );
}
