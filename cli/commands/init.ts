import { existsSync, realpathSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join, relative, resolve, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Config } from '../../infra/config.ts';
import { SLUICE_VERSION } from '../../infra/version.ts';
import { isSluiceError, SluiceError } from '../../warehouse/core/errors.ts';
import { quotePath } from '../../warehouse/core/quote.ts';
import {
  loadSources,
  proposeSources,
  renderSource,
  type SourceProposal,
  type SourceSurvey,
  surveySource,
  type TableProposal,
} from '../../warehouse/extract/index.ts';
import type { CommandContext, CommandHost } from '../context.ts';
import { createEnvironment, createSkeleton, replaceFile } from '../new-project.ts';
import type { Output } from '../output.ts';
import { toSnakeCase } from '../output.ts';
import { formatCount, formatTable } from '../table.ts';

interface InitOptions {
  readonly from?: string;
  readonly schema?: readonly string[];
  readonly views?: boolean;
  readonly force?: boolean;
}

export function registerInit({ program, action }: CommandHost): void {
  program
    .command('init')
    .summary('make a project, empty or from any Postgres')
    .description(
      'Without --from: the folders and files of an empty project. With --from: reads the catalog of a Postgres (14 or newer), proposes for every table how to carry it, with the reason, and writes models/sources/*.ts, one file per schema. Secrets are left out and personal data is masked until you say otherwise. No row is read.',
    )
    .option('--from <url>', 'the Postgres to look at: postgres://user:password@host:5432/database')
    .option('--schema <name...>', "only these schemas; all but the system's when absent")
    .option('--views', 'carry views and materialized views, too (whole each time)')
    .option('--force', 'write over source files that are there')
    .addHelpText(
      'after',
      '\nExamples:\n  $ sluice init --project shop\n  $ sluice init --from postgres://sluice:…@db.example.com/shop --project shop\n  $ sluice init --from postgres://localhost/shop --schema sales --schema stock --force',
    )
    .action(
      action<InitOptions>(
        async (context, options) => {
          if (options.from === undefined) return initEmpty(context, options);
          return initFrom(context, options, options.from);
        },
        { isNew: true },
      ),
    );
}

async function initEmpty({ config, output }: CommandContext, options: InitOptions): Promise<undefined> {
  for (const name of ['schema', 'views', 'force'] as const) {
    if (options[name] === undefined) continue;
    throw new SluiceError('USAGE', `init: --${name} says something about a database, and there is no --from.`, {
      remedy: 'Name the database: sluice init --from postgres://user:password@host:5432/database',
    });
  }
  await mkdir(config.projectDir, { recursive: true });
  const files = await createSkeleton(config.projectDir, { sources: false });
  const next = [
    { command: command(config, `init --from postgres://…`), why: 'proposes sources from a database' },
    { command: command(config, 'doctor'), why: 'says what is missing' },
  ];
  output.result({ project: config.projectDir, ...files, sources: [], next });
  output.line(`A project in ${config.projectDir}: ${files.created.join(', ') || 'everything was there already'}.`);
  printNext(output, next);
  return undefined;
}

async function initFrom(
  { config, output, signal }: CommandContext,
  options: InitOptions,
  url: string,
): Promise<undefined> {
  if (!/^postgres(ql)?:\/\//.test(url) || !URL.canParse(url)) {
    throw new SluiceError('USAGE', 'init: --from is not the URL of a Postgres.', {
      remedy: 'Write it as postgres://user:password@host:5432/database; percent-encode odd characters of the password.',
    });
  }
  const started = performance.now();
  const survey = await surveySource({
    url,
    schemas: options.schema,
    version: SLUICE_VERSION,
    signal,
    limits: { statementTimeoutMs: config.statementTimeoutMs, lockTimeoutMs: config.lockTimeoutMs },
  }).catch(nameFrom);
  const sources = proposeSources(survey, { views: options.views });
  if (sources.length === 0) throw nothingToCarry(survey, options);
  const files = sources.map((source) => ({ source, path: `models/sources/${source.name}.ts` }));
  await refuseOverwriting(config, files, options.force === true);

  await mkdir(config.projectDir, { recursive: true });
  const skeleton = await createSkeleton(config.projectDir, { sources: true });
  const engine = engineSeenFrom(config.projectDir);
  const origin = `the database ${survey.database} (Postgres ${survey.serverVersion.split(' ')[0]})`;
  for (const { source, path } of files)
    await replaceFile(join(config.projectDir, path), renderSource(source, { engine, origin }));
  const environment = await createEnvironment(config.projectDir, { url });
  // What was written must load: a proposal that the engine itself refuses would be a defect.
  await loadSources(config.projectDir);

  const next = nextSteps(config, sources, environment);
  output.result({
    ...(toSnakeCase({
      project: config.projectDir,
      database: survey.database,
      serverVersion: survey.serverVersion,
      files: files.map((file) => file.path),
      created: [...skeleton.created, ...(environment ? ['.env'] : [])],
      unprovable: survey.unprovable,
      ms: Math.round(performance.now() - started),
      next,
    }) as object),
    // Here names of tables and columns are data: they stay as they are.
    sources: sources.map(describeSource),
  });
  for (const source of sources) printSource(output, source);
  printPersonal(output, sources);
  if (survey.unprovable !== null && sources.some((source) => source.tables.some((table) => table.mode === 'cursor'))) {
    output.line(
      `\nUntil that is mended, each run scans cursor tables for rows of new transactions: ${survey.unprovable}.`,
    );
  }
  output.line(
    `\nWrote ${files.map((file) => file.path).join(', ')}${environment ? ', and .env with the URL and a secret for masks' : ''}.`,
  );
  printNext(output, next);
  return undefined;
}

/** The remedies of a session speak of the option that a run reads; here the URL came with --from. */
function nameFrom(error: unknown): never {
  if (!isSluiceError(error) || error.remedy?.includes('SLUICE_SOURCE_URL') !== true) throw error;
  const { code, message, remedy, retryable, details } = error;
  throw new SluiceError(code, message, {
    remedy: remedy.replaceAll('SLUICE_SOURCE_URL', '--from'),
    retryable,
    details,
    cause: error,
  });
}

function nothingToCarry(survey: SourceSurvey, options: InitOptions): SluiceError {
  const where =
    options.schema === undefined ? `The database ${survey.database}` : `The schema ${options.schema.join(', ')}`;
  const views = survey.tables.filter((table) => /view/.test(table.kind)).length;
  return new SluiceError('SOURCE_TABLE_MISSING', `${where} has no table that this role can carry.`, {
    remedy:
      views > 0 && options.views !== true
        ? `It has ${views === 1 ? 'a view' : `${views} views`}: --views carries ${views === 1 ? 'it' : 'them'}.`
        : 'Grant the role usage on the schema and select on its tables, or name another schema with --schema.',
    details: { schemas: survey.schemas, tables: survey.tables.length },
  });
}

async function refuseOverwriting(
  config: Config,
  files: readonly { readonly source: SourceProposal; readonly path: string }[],
  force: boolean,
): Promise<void> {
  const taken = files.filter((file) => existsSync(join(config.projectDir, file.path))).map((file) => file.path);
  if (taken.length > 0 && !force) {
    throw new SluiceError('USAGE', `init: ${taken.join(' and ')} ${taken.length === 1 ? 'is' : 'are'} there already.`, {
      remedy: 'Nothing was written. --force writes over; --project DIR makes a project elsewhere.',
      details: { files: taken },
    });
  }
  // A file of another name may define a source of the same name.
  const others = await loadSources(config.projectDir).catch(() => []);
  const twin = others.find((other) =>
    files.some((file) => file.source.name === other.name && !taken.includes(file.path)),
  );
  if (twin !== undefined) {
    throw new SluiceError('USAGE', `init: another file of models/sources defines the source ${twin.name} already.`, {
      remedy: 'Nothing was written. Rename one of the two, or use --project DIR.',
      details: { source: twin.name },
    });
  }
}

/** From where the written files import their type: by way of node_modules where Sluice is installed in the project, so that the path holds on every machine. */
function engineSeenFrom(projectDir: string): string {
  const engine = realpathSync(fileURLToPath(new URL('../..', import.meta.url)));
  const project = realpathSync(projectDir);
  const installed = join(project, 'node_modules', 'sluice');
  const seen = existsSync(installed) && realpathSync(installed) === engine ? installed : engine;
  const path = relative(join(project, 'models', 'sources'), join(seen, 'warehouse', 'extract', 'index.ts'));
  return path.split(sep).join('/');
}

function describeSource(source: SourceProposal): object {
  return {
    name: source.name,
    schema: source.schema,
    tables: source.tables.map(({ table, mode, why, key, cursor, rows, hints, columns }) => ({
      table,
      mode,
      why,
      key,
      cursor,
      estimated_rows: rows === null ? null : Math.round(rows),
      hints,
      columns,
    })),
    left_out: source.leftOut,
  };
}

function printSource(output: Output, source: SourceProposal): void {
  output.heading(
    `${source.name}: schema ${source.schema}, ${formatCount(source.tables.length)} table${source.tables.length === 1 ? '' : 's'}`,
  );
  output.line(
    formatTable<TableProposal>(source.tables, [
      { title: 'table', value: ({ table }) => table },
      {
        title: 'rows',
        value: ({ rows }) => (rows === null ? '?' : `~${formatCount(Math.round(rows))}`),
        align: 'right',
      },
      { title: 'mode', value: ({ mode }) => mode },
      { title: 'key', value: ({ key }) => key.join(', ') || '–' },
      { title: 'why', value: ({ why }) => why },
    ]),
  );
  if (source.leftOut.length === 0) return;
  output.line();
  output.line(
    formatTable(source.leftOut, [
      { title: 'left out', value: ({ table }) => table },
      { title: 'why', value: ({ why }) => why },
    ]),
  );
}

function printPersonal(output: Output, sources: readonly SourceProposal[]): void {
  const rows = sources.flatMap((source) =>
    source.tables.flatMap((table) =>
      table.columns
        .filter((column) => column.treatment !== 'carry')
        .map((column) => ({ ...column, at: `${source.name}.${table.table}.${column.name}` })),
    ),
  );
  if (rows.length === 0) return;
  output.heading('Not carried as they are, until you say otherwise');
  output.line(
    formatTable(rows, [
      { title: 'column', value: ({ at }) => at },
      { title: 'type', value: ({ type }) => type },
      { title: '', value: ({ treatment }) => (treatment === 'hash' ? 'masked: keyed hash' : 'left out') },
      { title: 'why', value: ({ why }) => why ?? '' },
    ]),
  );
  output.line('\nFound by name and type alone: look the others over, too.');
}

interface Step {
  readonly command: string;
  readonly why: string;
}

function nextSteps(config: Config, sources: readonly SourceProposal[], environment: boolean): readonly Step[] {
  const hashed = sources.some((source) =>
    source.tables.some((table) => table.columns.some((column) => column.treatment === 'hash')),
  );
  const first = sources[0];
  const table = first?.tables[0]?.table ?? '';
  const path = ['bronze', first?.name ?? '', table]
    .map((name) => (/^[a-z_][a-z0-9_]*$/.test(name) ? name : quotePath(name)))
    .join('.');
  const set: Step[] = [];
  if (!environment && config.sourceUrl === 'embedded')
    set.push({ command: "echo 'SLUICE_SOURCE_URL=…' >> .env", why: 'with the URL you gave --from' });
  if (!environment && hashed && config.maskSecret === undefined) {
    const line = 'echo "SLUICE_MASK_SECRET=$(openssl rand -base64 32)" >> .env';
    set.push({ command: line, why: 'the secret of masked columns’ hashes' });
  }
  const query = `query ${/["$`\\!]/.test(path) ? `'from ${path.replaceAll("'", `'\\''`)} limit 5'` : `"from ${path} limit 5"`}`;
  return [
    ...set,
    { command: command(config, 'doctor'), why: 'tries the connection and every table' },
    { command: command(config, 'run'), why: 'carries them to bronze (sluice extract does only that) and publishes' },
    { command: command(config, query), why: 'looks at what arrived' },
  ];
}

function command(config: Config, words: string): string {
  const here = resolve('.') === config.projectDir;
  return `sluice ${words}${here ? '' : ` --project ${relative('.', config.projectDir)}`}`;
}

function printNext(output: Output, steps: readonly Step[]): void {
  output.line('\nNext:');
  const width = Math.max(...steps.map((step) => step.command.length));
  for (const step of steps) output.line(`  ${step.command.padEnd(width)}   ${step.why}`);
}
