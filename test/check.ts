import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/** The static part of the tests: types, format and lint, two at a time, with the time of each. Exit code 1 when one fails. */

const root = fileURLToPath(new URL('..', import.meta.url));
const bin = (name: string): string => `${root}node_modules/.bin/${name}`;

const CHECKS: readonly { readonly name: string; readonly command: string; readonly args: readonly string[] }[] = [
  { name: 'types (tsc)', command: bin('tsc'), args: ['-p', 'tsconfig.json'] },
  { name: 'format (biome)', command: bin('biome'), args: ['ci', '--colors=off', '.'] },
  { name: 'lint (oxlint, type-aware)', command: bin('oxlint'), args: ['--type-aware', '--deny-warnings'] },
];

async function runCheck(check: (typeof CHECKS)[number]): Promise<boolean> {
  const start = performance.now();
  const child = spawn(check.command, check.args, { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] });
  const chunks: Buffer[] = [];
  child.stdout.on('data', (chunk: Buffer) => chunks.push(chunk));
  child.stderr.on('data', (chunk: Buffer) => chunks.push(chunk));
  const code = await new Promise<number>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (exit) => resolve(exit ?? 1));
  });
  const seconds = ((performance.now() - start) / 1000).toFixed(1);
  console.log(`${code === 0 ? '✓' : '✗'} ${check.name} ${seconds} s`);
  if (code !== 0) console.log(Buffer.concat(chunks).toString());
  return code === 0;
}

const results = await Promise.all(CHECKS.map(runCheck));
process.exitCode = results.every(Boolean) ? 0 : 1;
