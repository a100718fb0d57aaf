#!/usr/bin/env node
// Runs the TypeScript command line under a Node that can: 22.18 or newer. Under an older one it hands over to the Node that npm installed
// with the project, so that `npx sluice` works wherever npm does.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
if (major > 22 || (major === 22 && minor >= 18)) {
  process.on('warning', () => undefined);
  const { runCli } = await import('./main.ts');
  process.exitCode = await runCli(process.argv.slice(2));
} else {
  const node = fileURLToPath(new URL('../node_modules/node/bin/node', import.meta.url));
  if (!existsSync(node)) {
    process.stderr.write(
      `sluice needs Node 22.18 or newer, this is ${process.versions.node}.\n  Run "npm ci" in the project, which brings one along.\n`,
    );
    process.exit(2);
  }
  const result = spawnSync(node, [fileURLToPath(import.meta.url), ...process.argv.slice(2)], { stdio: 'inherit' });
  process.exit(result.status ?? 1);
}
