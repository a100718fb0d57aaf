import { rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ProjectFile, ProjectFiles } from '../load.ts';
import { openSqlEngine } from '../sql-engine.ts';
import { formatModel } from './format-model.ts';

export interface FormatReport {
  /** Files whose layout changed, or would. */
  readonly changed: readonly string[];
  readonly unchanged: number;
  /** Files left as they are, and why. */
  readonly left: readonly { readonly file: string; readonly why: string }[];
}

/** Lays out every model and test of a project; `check` writes nothing. Macros are left: they are not queries that can be compared. */
export async function formatProject(
  dir: string,
  files: ProjectFiles,
  options: { readonly check: boolean },
): Promise<FormatReport> {
  const calls = new Set(['as_of', 'ratio', 'mean', ...files.macros.flatMap(macroNames)]);
  const changed: string[] = [];
  const left: { file: string; why: string }[] = [];
  let unchanged = 0;
  const engine = await openSqlEngine();
  try {
    for (const { file, text } of [...files.models, ...files.tests]) {
      const result = await formatModel(engine, file, text, calls);
      if (result.kind === 'left') left.push({ file, why: result.why });
      else if (result.text === text) unchanged += 1;
      else {
        changed.push(file);
        if (!options.check) await replaceFile(join(dir, file), result.text);
      }
    }
  } finally {
    engine.close();
  }
  return { changed, unchanged, left };
}

function macroNames({ text }: ProjectFile): readonly string[] {
  return [...text.matchAll(/\b(?:macro|function)\s+(\w+)\s*\(/gi)].map((match) => (match[1] ?? '').toLowerCase());
}

/** A reader, or a crash, meets the old file or the new one. */
async function replaceFile(path: string, text: string): Promise<void> {
  const temporary = `${path}.formatting`;
  await writeFile(temporary, text);
  await rename(temporary, path);
}
