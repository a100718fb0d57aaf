import { existsSync } from 'node:fs';
import { mkdir, readdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { parse as parseYaml } from 'yaml';
import {
  checkImported,
  type Finding,
  type Imported,
  importProject,
  type KnownColumn,
  type LayerRules,
  type OwnerChoice,
  sortFindings,
  writeAllOrNothing,
  writeReport,
} from '../../import-dbt/index.ts';
import { findBronzeTables } from '../../infra/compile-project.ts';
import { type Config, loadConfig } from '../../infra/config.ts';
import { openProject } from '../../infra/project.ts';
import { SluiceError } from '../../warehouse/core/errors.ts';
import type { Log } from '../../warehouse/core/log.ts';
import { loadSources } from '../../warehouse/extract/index.ts';
import { type BronzeTableFacts, loadProject } from '../../warehouse/transform/index.ts';
import type { CommandHost } from '../context.ts';
import { createSkeleton } from '../new-project.ts';
import type { Output } from '../output.ts';
import { toSnakeCase } from '../output.ts';
import { formatCounted, formatTable } from '../table.ts';

interface ImportOptions {
  readonly out?: string;
  readonly dryRun?: boolean;
  readonly force?: boolean;
  readonly owner?: string;
  readonly public?: string;
  readonly layer?: readonly string[];
  readonly source?: readonly string[];
  readonly target?: string;
  readonly var?: readonly string[];
}

export function registerImport({ program, action }: CommandHost): void {
  const group = program
    .command('import')
    .summary('a project of another tool as a Sluice project')
    .addHelpText('after', '\nExamples:\n  $ sluice import dbt ../shop-dbt --project shop --dry-run');
  group
    .command('dbt')
    .argument('<dir>', 'the folder with dbt_project.yml')
    .summary('a dbt project as a Sluice project, with a list of what it could not carry')
    .description(
      'Fills in the templates of a dbt project, writes its models, snapshots, tests and macros as files of a Sluice project, and lists by file and line what changed on the way and what could not be carried (IMPORT.md). dbt is not needed, nothing is run.',
    )
    .option('--out <dir>', 'the Sluice project to write (default: --project)')
    .option('--dry-run', 'show the list and write nothing')
    .option('--force', 'write over files that are there')
    .option('--owner <columns>', 'who owns a row of gold: org=COLUMN or org=COLUMN,user=COLUMN')
    .option('--public <why>', 'rows of gold may be read by every caller, and why')
    .option('--layer <folder=layer...>', 'the layer of a folder below models, e.g. core=gold')
    .option('--source <dbt=sluice...>', 'a source that has another name here')
    .option('--target <name>', 'what target.name is in templates', 'prod')
    .option('--var <name=value...>', 'a var, over that of dbt_project.yml; a value is read as YAML')
    .addHelpText(
      'after',
      '\nExamples:\n  $ sluice import dbt ../shop-dbt --project shop --dry-run\n  $ sluice import dbt ../shop-dbt --project shop --owner org=org_id,user=customer_id\n  $ sluice import dbt ../shop-dbt --out shop --layer core=gold --public "internal figures"',
    )
    .action(
      action<ImportOptions>(
        async ({ config, output, log }, options, args) => {
          const out = options.out === undefined ? config : loadConfig(options.out, undefined, { isNew: true });
          const known = await findKnownTables(out, log);
          const imported = await importProject({
            dir: resolve(args[0] ?? '.'),
            owner: toOwner(options),
            layers: toLayers(options.layer ?? []),
            sources: new Map(toPairs('--source', options.source ?? [])),
            vars: Object.fromEntries(
              toPairs('--var', options.var ?? []).map(([name, value]) => [name, parseYaml(value) as unknown]),
            ),
            bronze: known.columns,
            ...(options.target === undefined ? {} : { target: options.target }),
          });
          const files = await loadFiles(out.projectDir);
          const isCompiled = await checkImported(imported, { files, bronzeTables: known.facts });
          const report = writeReport(imported);
          if (options.dryRun !== true) await write(out.projectDir, imported, report, options.force === true);
          tell(output, imported, { dir: out.projectDir, isCompiled, isDry: options.dryRun === true });
          return undefined;
        },
        { isNew: true },
      ),
    );
}

async function write(dir: string, imported: Imported, report: string, force: boolean): Promise<void> {
  await mkdir(dir, { recursive: true });
  await writeAllOrNothing(dir, [...imported.files, { path: 'IMPORT.md', text: report }], { force });
  await createSkeleton(dir, { sources: existsSync(join(dir, 'models', 'sources')) });
}

/** What the project knows of its bronze: from the lake, else from Postgres, else the columns that its sources name. */
async function findKnownTables(
  config: Config,
  log: Log,
): Promise<{ columns: ReadonlyMap<string, readonly KnownColumn[]>; facts: readonly BronzeTableFacts[] }> {
  const definitions = await readdir(join(config.projectDir, 'models', 'sources')).catch(() => []);
  if (!definitions.some((file) => file.endsWith('.ts'))) return { columns: new Map(), facts: [] };
  const sources = await loadSources(config.projectDir);
  try {
    const { bronzeTables } = await findBronzeTables(openProject(config, log));
    const columns = bronzeTables.map(({ source, table, contract }): [string, readonly KnownColumn[]] => [
      `bronze.${source}.${table}`.toLowerCase(),
      contract.columns.map(({ name, duckdbType }) => ({ name, type: duckdbType })),
    ]);
    return { columns: new Map(columns), facts: bronzeTables };
  } catch (error) {
    log.debug({ err: error }, 'the columns of bronze are not known');
    const named = sources.flatMap((source) =>
      Object.entries(source.tables).map(([table, { columns }]): [string, readonly KnownColumn[]] => [
        `bronze.${source.name}.${table}`.toLowerCase(),
        columns.map((name) => ({ name })),
      ]),
    );
    return { columns: new Map(named), facts: [] };
  }
}

async function loadFiles(dir: string): ReturnType<typeof loadProject> {
  return existsSync(join(dir, 'sql')) ? loadProject(dir) : { models: [], macros: [], tests: [] };
}

function toOwner({ owner, public: why }: ImportOptions): OwnerChoice | undefined {
  if (owner !== undefined && why !== undefined)
    throw usage('--owner and --public exclude each other', 'Give one of them.');
  if (why !== undefined) return { kind: 'public', reason: why };
  if (owner === undefined) return undefined;
  const { org, user, ...rest } = Object.fromEntries(toPairs('--owner', owner.split(',')));
  if (org === undefined || Object.keys(rest).length > 0) {
    throw usage(`--owner ${owner} is not understood`, 'Write org=COLUMN or org=COLUMN,user=COLUMN.');
  }
  return { kind: 'columns', org, ...(user === undefined ? {} : { user }) };
}

function toLayers(list: readonly string[]): LayerRules {
  return toPairs('--layer', list)
    .map(([folder, layer]) => {
      if (layer !== 'silver' && layer !== 'gold')
        throw usage(`--layer ${folder}=${layer}: there is no layer ${layer}`, 'Layers are silver and gold.');
      return { folder: folder.replace(/^models\/|\/$/g, ''), layer } as const;
    })
    .toSorted((a, b) => b.folder.length - a.folder.length);
}

function toPairs(option: string, list: readonly string[]): [string, string][] {
  return list.map((item) => {
    const at = item.indexOf('=');
    if (at < 1) throw usage(`${option} ${item} is not understood`, 'Write NAME=VALUE.');
    return [item.slice(0, at).trim(), item.slice(at + 1).trim()];
  });
}

function usage(message: string, remedy: string): SluiceError {
  return new SluiceError('USAGE', `import: ${message}.`, { remedy });
}

function tell(
  output: Output,
  imported: Imported,
  { dir, isCompiled, isDry }: { readonly dir: string; readonly isCompiled: boolean; readonly isDry: boolean },
): void {
  const { carried, findings, headerTests, files, bronze } = imported;
  const of = (kind: Finding['kind']) => sortFindings(findings.list).filter((finding) => finding.kind === kind);
  output.result(
    toSnakeCase({
      project: dir,
      dryRun: isDry,
      compiled: isCompiled,
      files: files.map(({ path }) => path),
      carried,
      headerTests,
      changed: of('changed'),
      leftOut: of('left_out'),
      bronze,
    }),
  );
  const place = { title: 'place', value: ({ file, line }: Finding) => `${file}:${line}` };
  const columns = [
    place,
    { title: 'of', value: ({ subject }: Finding) => subject },
    { title: 'what', value: ({ what }: Finding) => what },
  ];
  for (const [title, list] of [
    ['Carried with a change', of('changed')],
    ['Not carried', of('left_out')],
  ] as const) {
    if (list.length === 0) continue;
    output.heading(title);
    output.line(formatTable(list, columns));
  }
  const count = (kind: string): number => carried.filter((item) => item.kind === kind).length;
  output.line(
    `\n${formatCounted(count('model'), 'model')}, ${formatCounted(count('snapshot'), 'snapshot')}, ${formatCounted(count('macro'), 'macro')} and ${formatCounted(count('test') + headerTests, 'test')} carried; ${formatCounted(of('changed').length, 'change')}; ${formatCounted(of('left_out').length, 'thing')} left to you.`,
  );
  output.line(
    isDry ? 'Nothing was written (--dry-run).' : `Written to ${dir}; the whole list with remedies is IMPORT.md.`,
  );
  if (!isCompiled) {
    output.line(
      'Not compiled: the columns of its sources are not known. sluice init --from postgres://… writes models/sources; import again, or sluice plan.',
    );
  }
}
