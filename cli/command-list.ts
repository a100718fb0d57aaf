import { type Command, Option } from 'commander';

/** What the help says of each command, so that it need not load them: the engines behind the commands take most of a start's time. A test compares. */
export const COMMAND_LIST: Readonly<
  Record<string, { readonly takes?: string; readonly options?: true; readonly summary: string }>
> = {
  demo: { options: true, summary: 'a Postgres with data, the whole pipeline, one user’s figures' },
  init: { options: true, summary: 'make a project, empty or from any Postgres' },
  import: { summary: 'a project of another tool as a Sluice project' },
  run: { options: true, summary: 'extract what changed, build, test, publish' },
  plan: { options: true, summary: 'what a build would do, and why; changes nothing' },
  extract: { options: true, summary: 'carry what changed in Postgres to bronze, and stop there' },
  build: { options: true, summary: 'build, test and publish from the bronze there is' },
  test: { options: true, summary: 'run the unit tests of the models: rows in, rows out' },
  query: { options: true, takes: '<sql>', summary: 'one SQL statement over bronze, silver and gold' },
  shell: { options: true, summary: 'a DuckDB prompt with bronze, silver, gold and as_of()' },
  status: { summary: 'what bronze and gold hold, and how fresh they are' },
  diff: {
    options: true,
    takes: '[before] [after]',
    summary: 'what differs between two releases: models, rows, columns',
  },
  promote: { takes: '<name>', summary: 'publish a private release as it is' },
  verify: { options: true, summary: 'compare bronze with Postgres, or gold with a rebuild' },
  doctor: { summary: 'check configuration and servers, and say how to mend what fails' },
  releases: { options: true, summary: 'list the published releases' },
  rollback: { takes: '[release]', summary: 'make an earlier release current again' },
  gc: { options: true, summary: 'remove what killed runs left behind' },
  docs: { options: true, summary: 'write the project’s documentation as a site that opens from disk' },
  fmt: { options: true, summary: 'lay out the SQL of models and tests' },
  lint: { options: true, summary: 'what the compiler refuses, and what could be better' },
  serve: { options: true, summary: 'serve gold over HTTP, each caller only their own rows' },
  worker: { summary: 'do the steps of runs that a Temporal server orders' },
  schedule: { summary: 'bring the server’s schedules to what temporal.config.ts says' },
  backfill: {
    options: true,
    takes: '<source.table>',
    summary: 'read a table or a range of it again and carry what differs',
  },
  runs: { options: true, summary: 'runs on the Temporal server, with states and links' },
  token: { options: true, summary: 'make a development token for the service' },
};

/** Makes a command known to the help and to suggestions; false when the list does not have it. */
export function listCommand(program: Command, name: string): boolean {
  if (!Object.hasOwn(COMMAND_LIST, name)) return false;
  const { takes, options, summary = '' } = COMMAND_LIST[name] ?? {};
  const command = program.command(name).summary(summary);
  if (takes !== undefined) command.argument(takes);
  if (options === true) command.addOption(new Option('--options'));
  return true;
}
