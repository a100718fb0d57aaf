import { spawn } from 'node:child_process';
import { readdir } from 'node:fs/promises';
import { availableParallelism, constants, setPriority, totalmem } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Host } from '../config.ts';
import { withFileLock } from './file-lock.ts';
import type { ToolPin } from './tool-pins.ts';

/** As the servers' own releases: no C compiler is needed, no profile is read. Without what a debugger needs, which is a fifth of the work. */
const FLAGS = ['-buildvcs=false', '-pgo=off', '-gcflags=all=-dwarf=false'];

/** Memory per compiler from which on it need not collect its garbage; below, it collects it less often than usual. */
const ROOMY_BYTES = 2 * 1024 ** 3;

/**
 * Builds the pinned version from source by `go install` into `dir`, at low priority; gives the program. Its sources are fetched at once; builds
 * follow one another, for they share most packages: what one has compiled the next ones find. Throws a plain reason.
 */
export async function buildTool(
  pin: ToolPin,
  dir: string,
  { host, onProgress }: { readonly host: Host; readonly onProgress: (note: string) => void },
): Promise<string> {
  const { module } = pin.build;
  const install = [...FLAGS, `-ldflags=${pin.build.ldflags}`, module];
  const environment = host.environment({ GOBIN: dir, CGO_ENABLED: '0', ...compilerMemory() });
  const report = (what: string): void => onProgress(`building ${module}: ${what}`);
  report('starting');
  // A dry run fetches what the real one needs.
  await runGo(['install', '-n', ...install], dir, environment, (line) => {
    if (line.startsWith('go: downloading')) report(line.slice('go: '.length));
  });
  await withFileLock(
    join(host.cacheDir, 'locks', 'build.lock'),
    async () => {
      const begin = Date.now();
      let packages = 0;
      const clock = setInterval(
        () =>
          report(`${packages} of about ${pin.build.packages} packages, ${Math.round((Date.now() - begin) / 1000)} s`),
        5_000,
      );
      try {
        await runGo(['install', '-v', ...install], dir, environment, () => {
          packages += 1;
        });
      } finally {
        clearInterval(clock);
      }
    },
    () => report('waiting for another build'),
  );
  const [program] = await readdir(dir);
  if (program === undefined) throw new Error(`go install ${module} made no program`);
  return join(dir, program);
}

/** How Go's compiler, which runs once per core, shall treat its memory. */
function compilerMemory(): Record<string, string> {
  const each = totalmem() / 2 / availableParallelism();
  return each < ROOMY_BYTES ? { GOGC: '400' } : { GOGC: 'off', GOMEMLIMIT: String(ROOMY_BYTES) };
}

/** Throws with the last lines that it printed when it fails. */
async function runGo(
  args: readonly string[],
  dir: string,
  env: Record<string, string>,
  onLine: (line: string) => void,
): Promise<void> {
  const child = spawn('go', args, { cwd: dir, env, stdio: ['ignore', 'ignore', 'pipe'] });
  const started = new Promise<void>((resolve, reject) => {
    child.once('spawn', resolve);
    child.once('error', (error) =>
      reject('code' in error && error.code === 'ENOENT' ? new Error('Go is not installed (go.dev/dl)') : error),
    );
  });
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
  await started;
  // It takes minutes; the machine stays usable, and a build that is in nobody's way is not slower.
  if (child.pid !== undefined) lowerPriority(child.pid);
  const end = (): void => void child.kill('SIGTERM');
  process.once('exit', end);
  try {
    const tail: string[] = [];
    for await (const line of createInterface({ input: child.stderr })) {
      tail.push(line);
      if (tail.length > 15) tail.shift();
      onLine(line);
    }
    const code = await ended;
    if (code !== 0)
      throw new Error(`go ${args.at(0)} ${args.at(-1)} failed (${code ?? 'killed'}):\n${tail.join('\n')}`);
  } finally {
    process.off('exit', end);
  }
}

function lowerPriority(pid: number): void {
  try {
    setPriority(pid, constants.priority.PRIORITY_LOW);
  } catch {
    // a courtesy only
  }
}
