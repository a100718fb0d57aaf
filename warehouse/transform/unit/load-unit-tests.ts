import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ProjectFile } from '../load.ts';

/** Every .yaml, .csv and .sql file below sql/unit of a project folder, in the order of their paths; none when there is no such folder. */
export async function loadUnitFiles(dir: string): Promise<readonly ProjectFile[]> {
  const entries = await readdir(join(dir, 'sql', 'unit'), { recursive: true, withFileTypes: true }).catch(() => []);
  const paths = entries
    .filter((entry) => entry.isFile() && /\.(ya?ml|csv|sql)$/.test(entry.name))
    .map((entry) => join(entry.parentPath, entry.name).slice(dir.length).replaceAll('\\', '/').replace(/^\/+/, ''))
    .sort();
  return Promise.all(paths.map(async (file) => ({ file, text: await readFile(join(dir, file), 'utf8') })));
}
