import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cp } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** `npm run build`: the program as JavaScript in dist/, or in the folder named, with the files beside it that it reads when it runs. */

const root = fileURLToPath(new URL('..', import.meta.url));
const READ_FILES = ['package.json', 'demo/schema', 'warehouse/transform/docs-site/browser'];

const dir = process.argv[2] ?? join(root, 'dist');
const compiler = spawn(
  join(root, 'node_modules/.bin/tsc'),
  ['-p', join(root, 'tsconfig.build.json'), '--outDir', dir],
  {
    stdio: 'inherit',
  },
);
const [code] = (await once(compiler, 'close')) as [number | null];
process.exitCode = code ?? 1;
if (code === 0) for (const path of READ_FILES) await cp(join(root, path), join(dir, path), { recursive: true });
