import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readdir, readFile, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
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

test('code kept from an earlier start is used as long as it is of the same file, and a start that can keep nothing works', async () => {
  const home = await mkdtemp(join(tmpdir(), 'sluice-start-'));
  const start = async (cache: string) => {
    const result = await runCli(['--version'], { env: { NODE_OPTIONS: undefined, HOME: cache } });
    assert.deepEqual([result.code, result.stderr], [0, '']);
    return result.stdout;
  };
  try {
    const folder = join(home, '.cache', 'sluice', 'code');
    const usual = await start(home);
    const names = (await readdir(folder)).filter((name) => /^[\da-f]{64}$/.test(name));
    assert.ok(names.length >= 3, `${names.length} files kept`);
    const kept = new Map<string, string>();
    for (const name of names) kept.set(name, await readFile(join(folder, name), 'utf8'));

    const [version] = [...kept].find(([, text]) => text.includes('VERSION')) ?? assert.fail('infra/version.ts is kept');
    const text = kept.get(version) ?? '';
    const planted = text.replace(/^/, "process.stdout.write('from the kept file ');");
    await writeFile(join(folder, version), planted);
    assert.equal(await start(home), `from the kept file ${usual}`, 'the same file: what is kept is what runs');
    await writeFile(join(folder, version), planted.slice(0, -1));
    assert.equal(await start(home), usual, 'cut short, as a full disk leaves it: made again');
    assert.equal(await readFile(join(folder, version), 'utf8'), text);

    const blocked = join(home, 'a-file');
    await writeFile(blocked, '');
    assert.equal(await start(blocked), usual);
    await mkdir(join(home, 'other', '.cache', 'sluice', 'code', version), { recursive: true });
    assert.equal(await start(join(home, 'other')), usual, 'one file that cannot be written');
  } finally {
    await rm(home, { recursive: true });
  }
});

test('code that was kept a month ago is forgotten once a day, when something new is kept', async () => {
  const home = await mkdtemp(join(tmpdir(), 'sluice-start-'));
  const folder = join(home, '.cache', 'sluice', 'code');
  const start = async () => {
    const result = await runCli(['--version'], { env: { NODE_OPTIONS: undefined, HOME: home } });
    assert.deepEqual([result.code, result.stderr], [0, '']);
  };
  const age = async (name: string, days: number) => {
    const then = new Date(Date.now() - days * 86_400_000);
    await utimes(join(folder, name), then, then);
  };
  const plant = async (name: string, days: number) => {
    await mkdir(join(folder, 'compiled', 'v0'), { recursive: true });
    await writeFile(join(folder, name), 'old');
    await age(name, days);
  };
  const has = async (name: string) => (await readdir(folder, { recursive: true })).includes(name);
  try {
    await plant('old', 31);
    await plant('compiled/v0/old', 31);
    await plant('younger', 29);
    await start();
    assert.deepEqual([await has('old'), await has('compiled/v0/old'), await has('younger')], [false, false, true]);
    const kept = (await readdir(folder)).filter((name) => /^[\da-f]{64}$/.test(name));
    assert.ok(kept.length >= 3, 'what this start kept stays');

    await plant('old', 31);
    await start();
    assert.ok(await has('old'), 'nothing new was kept');
    await rm(join(folder, kept[0] ?? ''));
    await start();
    assert.ok(await has('old'), 'looked for today already');
    await age('looked-for-old', 2);
    await rm(join(folder, kept[0] ?? ''));
    await start();
    assert.equal(await has('old'), false);
  } finally {
    await rm(home, { recursive: true });
  }
});
