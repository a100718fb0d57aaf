import { existsSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { SluiceError } from '../warehouse/core/errors.ts';
import { type Fields, readYaml, toFields, toText, toTexts, type YamlFile } from './yaml-file.ts';

/** A dbt project's files as text, by what they are. Nothing is evaluated here. */

export interface SourceFile {
  /** Relative to the dbt project, with `/`. */
  readonly file: string;
  readonly text: string;
  /** Folders below the path of dbt_project.yml that the file lies in. */
  readonly folders: readonly string[];
  /** Without the extension. */
  readonly name: string;
}

export interface DbtProject {
  readonly dir: string;
  readonly name: string;
  readonly settings: YamlFile;
  readonly vars: Fields;
  readonly models: readonly SourceFile[];
  readonly macros: readonly SourceFile[];
  /** Macros of installed packages, by package. */
  readonly packages: ReadonlyMap<string, readonly SourceFile[]>;
  readonly tests: readonly SourceFile[];
  readonly seeds: readonly SourceFile[];
  readonly snapshots: readonly SourceFile[];
  readonly analyses: readonly SourceFile[];
  /** Files with docs blocks. */
  readonly docs: readonly SourceFile[];
  /** schema.yml, sources.yml and their like, of all paths. */
  readonly properties: readonly YamlFile[];
  /** packages.yml or dependencies.yml, as far as they are there. */
  readonly requirements: readonly YamlFile[];
}

/** Errors: DBT_PROJECT_INVALID where there is no dbt_project.yml, or a YAML file is broken. */
export async function readDbtProject(dir: string): Promise<DbtProject> {
  const settingsPath = join(dir, 'dbt_project.yml');
  if (!existsSync(settingsPath)) {
    throw new SluiceError('DBT_PROJECT_INVALID', `The folder ${dir} holds no dbt_project.yml.`, {
      remedy: 'Name the folder of a dbt project: sluice import dbt DIR. Nothing was written.',
      details: { dir },
    });
  }
  const settings = readYaml('dbt_project.yml', await readFile(settingsPath, 'utf8'));
  const fields = toFields(settings.value);
  const name = toText(fields['name']);
  if (name === undefined) {
    throw new SluiceError('DBT_PROJECT_INVALID', 'dbt_project.yml:1: the project has no name.', {
      remedy: 'Add `name: <word>`, which dbt needs as well. Nothing was written.',
      details: { file: 'dbt_project.yml', line: 1 },
    });
  }
  const paths = (field: string, preset: string): readonly string[] => {
    const given = toTexts(fields[field]);
    return given.length === 0 ? [preset] : given.map((path) => path.replace(/^\.\/|\/$/g, ''));
  };
  const listed = async (field: string, preset: string, extensions: readonly string[]) =>
    (await Promise.all(paths(field, preset).map((path) => readFolder(dir, path, extensions)))).flat();
  const [models, macros, tests, seeds, snapshots, analyses] = await Promise.all([
    listed('model-paths', 'models', ['.sql', '.py']),
    listed('macro-paths', 'macros', ['.sql']),
    listed('test-paths', 'tests', ['.sql']),
    listed('seed-paths', 'seeds', ['.csv']),
    listed('snapshot-paths', 'snapshots', ['.sql']),
    listed('analysis-paths', 'analyses', ['.sql']),
  ]);
  const folders = ['model', 'seed', 'snapshot', 'macro', 'test', 'analysis'].flatMap((kind) =>
    paths(`${kind}-paths`, kind === 'analysis' ? 'analyses' : `${kind}s`),
  );
  const texts = (
    await Promise.all([...new Set(folders)].map((path) => readFolder(dir, path, ['.yml', '.yaml', '.md'])))
  ).flat();
  const required = ['packages.yml', 'dependencies.yml'].filter((file) => existsSync(join(dir, file)));
  return {
    dir,
    name,
    settings,
    vars: toFields(fields['vars']),
    models,
    macros,
    packages: await readPackages(dir, toText(fields['packages-install-path']) ?? 'dbt_packages'),
    tests,
    seeds,
    snapshots,
    analyses,
    docs: texts.filter(({ file }) => file.endsWith('.md')),
    properties: texts.filter(({ file }) => !file.endsWith('.md')).map(({ file, text }) => readYaml(file, text)),
    requirements: await Promise.all(
      required.map(async (file) => readYaml(file, await readFile(join(dir, file), 'utf8'))),
    ),
  };
}

async function readFolder(dir: string, path: string, extensions: readonly string[]): Promise<SourceFile[]> {
  const root = join(dir, path);
  if (!existsSync(root)) return [];
  const entries = await readdir(root, { recursive: true, withFileTypes: true });
  const files = entries
    .filter((entry) => entry.isFile() && extensions.some((extension) => entry.name.endsWith(extension)))
    .map((entry) => join(entry.parentPath, entry.name).slice(root.length).replaceAll('\\', '/').replace(/^\/+/, ''))
    .sort();
  return Promise.all(
    files.map(async (below) => {
      const folders = below.split('/');
      const name = (folders.pop() ?? '').replace(/\.\w+$/, '');
      const text = await readFile(join(root, below), 'utf8');
      return { file: `${path}/${below}`, text: text.replace(/^\ufeff/, ''), folders, name };
    }),
  );
}

async function readPackages(dir: string, path: string): Promise<ReadonlyMap<string, readonly SourceFile[]>> {
  const root = join(dir, path);
  if (!existsSync(root)) return new Map();
  const packages = new Map<string, readonly SourceFile[]>();
  for (const entry of await readdir(root, { withFileTypes: true })) {
    const settings = join(root, entry.name, 'dbt_project.yml');
    if (!entry.isDirectory() || !existsSync(settings)) continue;
    const file = `${path}/${entry.name}/dbt_project.yml`;
    const name = toText(toFields(readYaml(file, await readFile(settings, 'utf8')).value)['name']);
    packages.set(name ?? entry.name, await readFolder(dir, `${path}/${entry.name}/macros`, ['.sql']));
  }
  return packages;
}
