import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rename, rm } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

/** pyarrow as an independent reader: installed from PyPI once per machine, outside the project. */

const VERSION = '26.0.1';
const run = promisify(execFile);

/** Runs a Python program that may import pyarrow; resolves with what it prints. Fails where Python or pip is not to be had. */
export async function runPyarrow(program: string, args: readonly string[]): Promise<string> {
  const packages = await installPyarrow();
  const { stdout } = await run('python3', ['-c', program, ...args], {
    env: { ...process.env, PYTHONPATH: packages, PYTHONNOUSERSITE: '1' },
    maxBuffer: 1 << 30,
  });
  return stdout;
}

/** Into a folder of its own, then renamed: two at a time do no harm. */
async function installPyarrow(): Promise<string> {
  const python = await must(
    'python3',
    ['-c', 'import platform; print(platform.python_version(), platform.machine(), sep="-")'],
    'Install Python 3 (for example apt-get install python3 python3-venv).',
  );
  const cache = join(homedir(), '.cache', 'sluice', 'python');
  const folder = join(cache, `pyarrow-${VERSION}-${python.trim()}`);
  if (existsSync(folder)) return folder;
  await mkdir(cache, { recursive: true });
  const work = await mkdtemp(join(cache, 'incoming-'));
  try {
    const target = join(work, 'packages');
    const remedy =
      'Install pip or venv for Python 3 (for example apt-get install python3-venv), and let it reach PyPI.';
    const install = ['-m', 'pip', 'install', '--quiet', '--no-deps', '--only-binary=:all:', '--target', target];
    const hasPip = await run('python3', ['-m', 'pip', '--version']).then(
      () => true,
      () => false,
    );
    if (!hasPip) await must('python3', ['-m', 'venv', join(work, 'venv')], remedy);
    await must(hasPip ? 'python3' : join(work, 'venv', 'bin', 'python3'), [...install, `pyarrow==${VERSION}`], remedy);
    await rename(target, folder).catch((error: unknown) => {
      if (!existsSync(folder)) throw error;
    });
  } finally {
    await rm(work, { recursive: true, force: true });
  }
  return folder;
}

async function must(command: string, args: readonly string[], remedy: string): Promise<string> {
  try {
    return (await run(command, [...args])).stdout;
  } catch (error) {
    throw new Error(
      `The tests read Parquet files with pyarrow, and ${command} ${args.slice(0, 3).join(' ')} failed. ${remedy}`,
      {
        cause: error,
      },
    );
  }
}
