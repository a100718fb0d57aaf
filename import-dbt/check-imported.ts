import { isSluiceError } from '../warehouse/core/errors.ts';
import {
  type BronzeTableFacts,
  compileProject,
  type Diagnostic,
  LAYERS,
  type ProjectFile,
  type ProjectFiles,
  toModelFile,
} from '../warehouse/transform/index.ts';
import type { Imported } from './import-project.ts';

/**
 * Compiles what would be written, beside what the project has already, and adds every refusal as a finding at its place in the dbt project. Only
 * where bronze is known: without columns of the sources the compiler could not bind a single model.
 */
export async function checkImported(
  imported: Imported,
  project: { readonly files: ProjectFiles; readonly bronzeTables: readonly BronzeTableFacts[] },
): Promise<boolean> {
  const holdsMore = imported.carried.some(({ kind }) => kind === 'seed' || kind === 'snapshot');
  if (holdsMore && !('seeds' in project.files)) return false;
  const known = new Set(project.bronzeTables.map(({ source, table }) => `bronze.${source}.${table}`.toLowerCase()));
  if (!imported.bronze.every((name) => known.has(name))) return false;
  const byPath = new Map(imported.files.map((file) => [file.path, file]));
  const kept = <T extends ProjectFile>(files: readonly T[]): readonly T[] =>
    files.filter(({ file }) => !byPath.has(file));
  const own = (prefix: string): ProjectFile[] =>
    imported.files.filter(({ path }) => path.startsWith(prefix)).map(({ path, text }) => ({ file: path, text }));
  const models = LAYERS.flatMap((layer) => own(`sql/${layer}/`).map((file) => toModelFile(file, layer)));
  const stems = own('sql/seeds/').filter(({ file }) => file.endsWith('.csv'));
  const files = {
    ...project.files,
    seeds: stems.map(({ file, text }) => {
      const stem = file.slice(0, -'.csv'.length);
      return { stem, table: stem.split('/').at(-1) ?? stem, csv: text, yaml: byPath.get(`${stem}.yaml`)?.text };
    }),
    models: [...kept(project.files.models), ...models],
    macros: [...kept(project.files.macros), ...own('sql/macros/')],
    tests: [...kept(project.files.tests), ...own('sql/tests/')],
  };
  try {
    await compileProject({ files, bronzeTables: project.bronzeTables });
  } catch (error) {
    if (!isSluiceError(error)) throw error;
    const diagnostics = error.details['diagnostics'];
    if (!Array.isArray(diagnostics)) throw error;
    for (const diagnostic of diagnostics as Diagnostic[]) addFinding(imported, diagnostic, byPath);
  }
  return true;
}

function addFinding(
  imported: Imported,
  diagnostic: Diagnostic,
  byPath: ReadonlyMap<string, Imported['files'][number]>,
): void {
  const { at, message, remedy } = diagnostic;
  const file = byPath.get(at.file);
  // Owners are asked for already, in better words.
  if (file === undefined || message.includes('must say who owns its rows')) return;
  const subject =
    file.path
      .split('/')
      .at(-1)
      ?.replace(/\.sql$/, '') ?? file.path;
  const line = file.lineOf(at.line);
  const known = imported.findings.list.some(
    (other) => other.file === file.from && other.line === line && other.what.includes(message),
  );
  if (known) return;
  imported.findings.add({
    kind: 'left_out',
    file: file.from,
    line,
    subject,
    what: `does not compile: ${message}`,
    remedy,
  });
}
