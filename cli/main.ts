import { readFileSync } from 'node:fs';
import { Command, CommanderError, Option } from 'commander';
import { CONFIG_OPTIONS } from '../infra/config.ts';
import { registerBuild } from './commands/build.ts';
import { registerDemo } from './commands/demo.ts';
import { registerDoctor } from './commands/doctor.ts';
import { registerExtract } from './commands/extract.ts';
import { registerPlan } from './commands/plan.ts';
import { registerQuery } from './commands/query.ts';
import { registerReleases } from './commands/releases.ts';
import { registerRollback } from './commands/rollback.ts';
import { registerRun } from './commands/run.ts';
import { registerServe } from './commands/serve.ts';
import { registerShell } from './commands/shell.ts';
import { registerStatus } from './commands/status.ts';
import { registerToken } from './commands/token.ts';
import { registerVerify } from './commands/verify.ts';
import { createCommandHost } from './context.ts';
import { toJson } from './output.ts';

/** Runs one command line (without `node` and the script); returns the exit code. Never throws. */
export async function runCli(argv: readonly string[]): Promise<number> {
  let exitCode = 0;
  const program = new Command();
  program
    .name('sluice')
    .description(
      'Carries what changed in Postgres into a lakehouse and serves it: extract → bronze → silver → gold → serve.',
    )
    .version(readVersion(), '-V, --version')
    .option('-p, --project <dir>', 'the project folder: models/, sql/ and .sluice/', '.')
    .option('--json', 'print one JSON object for machines and nothing else')
    .addOption(
      new Option('--log-level <level>', 'how much to log on standard error').choices(
        CONFIG_OPTIONS.SLUICE_LOG_LEVEL.schema.options,
      ),
    )
    .configureHelp({ showGlobalOptions: true, sortSubcommands: false })
    .showSuggestionAfterError(true)
    .showHelpAfterError('(sluice COMMAND --help shows the options with examples)')
    .addHelpText('after', EXAMPLES)
    .exitOverride();
  const host = createCommandHost(program, (code) => {
    exitCode = code;
  });
  for (const register of COMMANDS) register(host);
  const json = argv.includes('--json');
  for (const command of [program, ...program.commands]) {
    command.exitOverride();
    if (json) command.configureOutput({ writeErr: () => undefined });
  }
  try {
    await program.parseAsync([...argv], { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.exitCode === 0) return 0;
    if (json)
      process.stdout.write(
        `${toJson({ error: { code: 'USAGE', message: error.message.replace(/^error: /, ''), remedy: 'sluice COMMAND --help shows the options.', retryable: false, details: {} } })}\n`,
      );
    return 2;
  }
  return exitCode;
}

const COMMANDS = [
  registerDemo,
  registerRun,
  registerPlan,
  registerExtract,
  registerBuild,
  registerQuery,
  registerShell,
  registerStatus,
  registerVerify,
  registerDoctor,
  registerReleases,
  registerRollback,
  registerServe,
  registerToken,
] as const;

const EXAMPLES = `
Examples:
  $ sluice demo                       a Postgres with data, the whole pipeline, one user's figures
  $ sluice run                        extract what changed, build, test, publish
  $ sluice plan                       what a run would do, and why
  $ sluice query "from gold.dim_tags limit 5"
  $ sluice serve                      gold over HTTP, each caller's own rows

Exit codes: 0 done · 1 the answer is no (tests, build, verify) · 2 usage, configuration or a model · 3 a server, port or disk
            4 the data is not what was declared · 5 somebody else was first: run again · 70 a defect · 130 cancelled   (docs/errors.md)`;

function readVersion(): string {
  const text = readFileSync(new URL('../package.json', import.meta.url), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}
