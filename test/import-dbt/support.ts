import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { TestContext } from 'node:test';
import { type Imported, type ImportRequest, importProject } from '../../import-dbt/index.ts';

/** A folder that is gone after the test. */
export async function testFolder(t: TestContext): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'sluice-import-'));
  t.after(() => rm(dir, { recursive: true, force: true }));
  return dir;
}

export type Files = Readonly<Record<string, string>>;

/** Files as a dbt project in a folder; dbt_project.yml is added where it is not given. */
export async function writeDbtProject(dir: string, files: Files): Promise<string> {
  for (const [path, text] of Object.entries({ 'dbt_project.yml': 'name: shop\n', ...files })) {
    await mkdir(dirname(join(dir, path)), { recursive: true });
    await writeFile(join(dir, path), text);
  }
  return dir;
}

export async function importFiles(
  t: TestContext,
  files: Files,
  request: Omit<ImportRequest, 'dir'> = {},
): Promise<Imported> {
  return importProject({ dir: await writeDbtProject(await testFolder(t), files), ...request });
}

/** The text of one imported file; fails with the list of what there is. */
export function textOf(imported: Imported, path: string): string {
  const file = imported.files.find((item) => item.path === path);
  assert.ok(file !== undefined, `${path} is not among ${imported.files.map((item) => item.path).join(', ')}`);
  return file.text;
}

/** The SQL below a file's header. */
export function sqlOf(imported: Imported, path: string): string {
  return textOf(imported, path).split('*/\n').slice(1).join('*/\n').trim();
}

/** Findings of a kind as `place: what`. */
export function placesOf(imported: Imported, kind: 'changed' | 'left_out'): string[] {
  return imported.findings.list
    .filter((finding) => finding.kind === kind)
    .map(({ file, line, what }) => `${file}:${line}: ${what}`);
}

/** Every file below a folder, relative to it. */
export async function listFiles(dir: string): Promise<string[]> {
  const entries = await readdir(dir, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(dir.length + 1))
    .sort();
}

export const readText = (...path: readonly string[]): Promise<string> => readFile(join(...path), 'utf8');
