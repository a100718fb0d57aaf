import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

const BIN = fileURLToPath(new URL('../../cli/bin.js', import.meta.url));

/** How one command line ended. */
export interface CliResult {
  readonly stdout: string;
  readonly stderr: string;
  /** Exit code; -1 when a signal ended the process. */
  readonly code: number;
  readonly signal: NodeJS.Signals | null;
}

export interface CliOptions {
  /** The program, when it is not this repository's own `cli/bin.js`. */
  readonly bin?: string;
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Standard input; empty when absent. */
  readonly input?: string;
  /** Called with the process as soon as it runs: to signal it, or to watch what it prints. */
  readonly onSpawn?: (child: ChildProcess) => void;
}

/** Runs the real `cli/bin.js` in a process of its own. Options of Sluice come from `env` only, never from the caller's environment. */
export async function runCli(args: readonly string[], options: CliOptions = {}): Promise<CliResult> {
  const inherited = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('SLUICE_')));
  const child = spawn(process.execPath, [options.bin ?? BIN, ...args], {
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    env: { ...inherited, NO_COLOR: '1', FORCE_COLOR: undefined, ...options.env },
    stdio: 'pipe',
  });
  options.onSpawn?.(child);
  const output = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].setEncoding('utf8');
    child[name].on('data', (text: string) => (output[name] += text));
  }
  // A command that reads no input may be gone before the input is.
  child.stdin.on('error', () => undefined);
  child.stdin.end(options.input ?? '');
  const [code, signal] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null];
  return { ...output, code: code ?? -1, signal };
}

/** The one JSON object that a command printed. Fails when standard output holds anything else. */
export function parseJson({ stdout, stderr }: CliResult): Record<string, unknown> {
  assert.match(stdout, /^\{.*\}\n$/s, `one JSON object was expected, got ${stdout}${stderr}`);
  assert.equal(stdout.trimEnd().includes('\n'), false, 'one line, one object');
  return JSON.parse(stdout) as Record<string, unknown>;
}

/** The error of a failed command with --json. */
export function parseError(result: CliResult): { code: string; message: string; remedy: string; details: unknown } {
  const { error } = parseJson(result);
  assert.ok(typeof error === 'object' && error !== null, `an error was expected, got ${result.stdout}`);
  return error as ReturnType<typeof parseError>;
}

/** No stack trace, no module path of ours, no secret, anywhere. */
export function assertNoStack({ stdout, stderr }: CliResult): void {
  const text = stdout + stderr;
  assert.doesNotMatch(text, /^\s+at .+:\d+:\d+\)?$/m);
  assert.doesNotMatch(text, /node:internal|\.ts:\d+:\d+\)|UnhandledPromise/);
}
