import { Command, CommanderError, Option } from 'commander';
import { LOG_LEVELS } from '../infra/log-levels.ts';
import { SLUICE_VERSION } from '../infra/version.ts';
import { listCommand } from './command-list.ts';
import { type CommandHost, createCommandHost } from './context.ts';
import { guardProcess, toJson } from './output.ts';

/** Every command, in the order of the help. Loaded only when it is wanted: the engines behind them take most of a start's time. */
export const COMMANDS: Readonly<Record<string, () => Promise<(host: CommandHost) => void>>> = {
  demo: async () => (await import('./commands/demo.ts')).registerDemo,
  init: async () => (await import('./commands/init.ts')).registerInit,
  import: async () => (await import('./commands/import.ts')).registerImport,
  run: async () => (await import('./commands/run.ts')).registerRun,
  plan: async () => (await import('./commands/plan.ts')).registerPlan,
  extract: async () => (await import('./commands/extract.ts')).registerExtract,
  build: async () => (await import('./commands/build.ts')).registerBuild,
  test: async () => (await import('./commands/test.ts')).registerTest,
  query: async () => (await import('./commands/query.ts')).registerQuery,
  shell: async () => (await import('./commands/shell.ts')).registerShell,
  status: async () => (await import('./commands/status.ts')).registerStatus,
  diff: async () => (await import('./commands/diff.ts')).registerDiff,
  promote: async () => (await import('./commands/promote.ts')).registerPromote,
  verify: async () => (await import('./commands/verify.ts')).registerVerify,
  doctor: async () => (await import('./commands/doctor.ts')).registerDoctor,
  releases: async () => (await import('./commands/releases.ts')).registerReleases,
  rollback: async () => (await import('./commands/rollback.ts')).registerRollback,
  gc: async () => (await import('./commands/gc.ts')).registerGc,
  docs: async () => (await import('./commands/docs.ts')).registerDocs,
  fmt: async () => (await import('./commands/fmt.ts')).registerFmt,
  lint: async () => (await import('./commands/lint.ts')).registerLint,
  serve: async () => (await import('./commands/serve.ts')).registerServe,
  worker: async () => (await import('./commands/worker.ts')).registerWorker,
  schedule: async () => (await import('./commands/schedule.ts')).registerSchedule,
  backfill: async () => (await import('./commands/backfill.ts')).registerBackfill,
  runs: async () => (await import('./commands/runs.ts')).registerRuns,
  token: async () => (await import('./commands/token.ts')).registerToken,
};

/** Runs one command line (without `node` and the script); returns the exit code. Never throws. */
export async function runCli(argv: readonly string[]): Promise<number> {
  const json = argv.includes('--json');
  guardProcess({ json });
  let exitCode = 0;
  const program = createProgram();
  const host = createCommandHost(program, (code) => {
    exitCode = code;
  });
  const named = findCommand(argv);
  for (const [name, load] of Object.entries(COMMANDS)) {
    if (named === name || (named === undefined && !listCommand(program, name))) (await load())(host);
  }
  let printed = '';
  for (const command of withSubcommands(program)) {
    command.exitOverride();
    if (json) command.configureOutput({ writeErr: () => undefined, writeOut: (text) => (printed += text) });
  }
  try {
    await program.parseAsync([...argv], { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.exitCode === 0) {
      if (json) process.stdout.write(`${toJson({ text: printed.trimEnd() })}\n`);
      return 0;
    }
    if (json) process.stdout.write(`${toJson({ error: toUsageError(error) })}\n`);
    return 2;
  }
  return exitCode;
}

function createProgram(): Command {
  return new Command()
    .name('sluice')
    .description(
      'Carries what changed in Postgres into a lakehouse and serves it: extract → bronze → silver → gold → serve.',
    )
    .version(SLUICE_VERSION, '-V, --version')
    .option('-p, --project <dir>', 'the project folder: models/, sql/ and .sluice/', '.')
    .option('--json', 'print one JSON object for machines and nothing else')
    .option('--no-cache', 'compile every model anew, whatever earlier compiles found out')
    .addOption(new Option('--log-level <level>', 'how much to log on standard error').choices(LOG_LEVELS))
    .configureHelp({ showGlobalOptions: true, sortSubcommands: false })
    .showSuggestionAfterError(true)
    .showHelpAfterError('(sluice COMMAND --help shows the options with examples)')
    .addHelpText('after', EXAMPLES);
}

/** The command of a command line; undefined when all must be known: for the help, for a word that is no command. */
function findCommand(argv: readonly string[]): string | undefined {
  for (let i = 0; i < argv.length; i++) {
    const arg = argv[i] ?? '';
    if (['-p', '--project', '--log-level'].includes(arg)) i++;
    else if (arg === 'help') continue;
    else if (!arg.startsWith('-')) return arg in COMMANDS ? arg : undefined;
  }
  return undefined;
}

function withSubcommands(command: Command): Command[] {
  return [command, ...command.commands.flatMap(withSubcommands)];
}

function toUsageError(error: CommanderError) {
  const message = error.code === 'commander.help' ? 'No command was given.' : error.message.replace(/^error: /, '');
  return {
    code: 'USAGE',
    message,
    remedy: 'sluice COMMAND --help shows the options with examples.',
    retryable: false,
    details: {},
  };
}

const EXAMPLES = `
Examples:
  $ sluice demo                       a Postgres with data, the whole pipeline, one user's figures
  $ sluice init --from postgres://…   a project that carries any Postgres
  $ sluice run                        extract what changed, build, test, publish
  $ sluice plan                       what a run would do, and why
  $ sluice test                       rows in, rows out: the unit tests of the models
  $ sluice query "from gold.dim_tags limit 5"
  $ sluice serve                      gold over HTTP, each caller's own rows

Exit codes: 0 done · 1 the answer is no (tests, build, verify) · 2 usage, configuration or a model · 3 a server, port or disk
            4 the data is not what was declared · 5 somebody else was first: run again · 70 a defect · 130 cancelled   (docs/errors.md)`;
