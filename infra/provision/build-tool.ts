import { spawn } from 'node:child_process';
import { readdir } from 'node:fs/promises';
import { constants, setPriority } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Host } from '../config.ts';
import type { ToolPin } from './tool-pins.ts';

/** Without what a debugger needs, and with a compiler that collects its garbage less often, a build takes four fifths of the work. */
const QUICKLY = ['-gcflags=all=-dwarf=false'];

/** Builds the pinned version from source by `go install` into `dir`, at low priority; gives the program. Throws a plain reason. */
export async function buildTool(
  pin: ToolPin,
  dir: string,
  { host, onProgress }: { readonly host: Host; readonly onProgress: (note: string) => void },
): Promise<string> {
  const begin = Date.now();
  const flags = ['-v', '-buildvcs=false', ...QUICKLY, `-ldflags=${pin.build.ldflags}`];
  const child = spawn('go', ['install', ...flags, pin.build.module], {
    cwd: dir,
    env: host.environment({ GOBIN: dir, GOGC: '400' }),
    stdio: ['ignore', 'ignore', 'pipe'],
  });
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
  let packages = 0;
  const tail: string[] = [];
  const report = (what: string): void =>
    onProgress(`building ${pin.build.module}: ${what}, ${Math.round((Date.now() - begin) / 1000)} s`);
  const clock = setInterval(() => report(`${packages} of about ${pin.build.packages} packages`), 5_000);
  try {
    report('starting');
    for await (const line of createInterface({ input: child.stderr })) {
      tail.push(line);
      if (tail.length > 15) tail.shift();
      if (line.startsWith('go: downloading')) report(line.slice('go: '.length));
      else packages += 1;
    }
    const code = await ended;
    if (code !== 0) throw new Error(`go install ${pin.build.module} failed (${code ?? 'killed'}):\n${tail.join('\n')}`);
  } finally {
    clearInterval(clock);
    process.off('exit', end);
  }
  const [program] = await readdir(dir);
  if (program === undefined) throw new Error(`go install ${pin.build.module} made no program`);
  return join(dir, program);
}

function lowerPriority(pid: number): void {
  try {
    setPriority(pid, constants.priority.PRIORITY_LOW);
  } catch {
    // a courtesy only
  }
}
