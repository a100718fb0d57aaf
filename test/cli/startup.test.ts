import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Command } from 'commander';
import { COMMAND_LIST } from '../../cli/command-list.ts';
import { createCommandHost } from '../../cli/context.ts';
import { COMMANDS } from '../../cli/main.ts';
import { runCli } from '../support/cli.ts';

/** What a start loads: counted, for times differ from machine to machine. */

async function loadedBy(args: readonly string[]): Promise<{ readonly loaded: string[]; readonly stdout: string }> {
  const preload = fileURLToPath(new URL('loaded-modules-preload.ts', import.meta.url));
  const { code, stderr, stdout } = await runCli(args, { env: { NODE_OPTIONS: `--import=${preload}` } });
  assert.equal(code, 0, stderr);
  return { loaded: stderr.split('\n').flatMap((line) => /^loaded (.+)$/.exec(line)?.[1] ?? []), stdout };
}

const packagesOf = (loaded: readonly string[]): string[] =>
  [...new Set(loaded.flatMap((url) => /\/node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(url)?.[1] ?? []))].sort();

test('the help loads commander and no engine', async () => {
  const { loaded, stdout } = await loadedBy(['--help']);
  assert.match(stdout, /sluice \[options\] \[command\]/);
  assert.deepEqual(packagesOf(loaded), ['commander']);
  assert.ok(loaded.length < 60, `${loaded.length} modules`);
});

test('the help of one command loads no Temporal and no AWS', async () => {
  const { loaded } = await loadedBy(['plan', '--help']);
  const heavy = packagesOf(loaded).filter((name) => /^(@temporalio|@aws-sdk|@smithy|@grpc|@swc)/.test(name));
  assert.deepEqual(heavy, []);
});

test('the list of commands says what the commands say of themselves', async () => {
  const program = new Command();
  const host = createCommandHost(program, () => undefined);
  for (const load of Object.values(COMMANDS)) (await load())(host);
  const help = program.createHelp();
  const listed = Object.entries(COMMAND_LIST).map(([name, { takes, options, summary }]) => [
    [name, ...(options === true ? ['[options]'] : []), ...(takes === undefined ? [] : [takes])].join(' '),
    summary,
  ]);
  assert.deepEqual(
    listed,
    program.commands.map((command) => [help.subcommandTerm(command), command.summary()]),
  );
});

test('help of a command by either way is the same', async () => {
  const [one, other] = await Promise.all([runCli(['help', 'build']), runCli(['build', '--help'])]);
  assert.match(one.stdout, /--full-refresh/);
  assert.equal(one.stdout, other.stdout);
});
