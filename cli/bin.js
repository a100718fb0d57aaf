#!/usr/bin/env node
// Runs the TypeScript command line under a Node that can: 22.18 or newer. Under an older one it hands over to the Node that npm installed
// with the project, so that `npx sluice` works wherever npm does.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { constants } from 'node:os';
import { fileURLToPath } from 'node:url';

const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
if (major > 22 || (major === 22 && minor >= 18)) {
  process.on('warning', () => undefined);
  await import('./quick-start.js');
  const { runCli } = await import('./main.ts');
  process.exitCode = await runCli(process.argv.slice(2));
} else {
  handOver(fileURLToPath(new URL('../node_modules/node/bin/node', import.meta.url)));
}

/** @param {string} node */
function handOver(node) {
  if (!existsSync(node)) {
    process.stderr.write(
      `sluice needs Node 22.18 or newer, this is ${process.versions.node}.\n  Run "npm ci" in the project, which brings one along.\n`,
    );
    process.exit(2);
  }
  const child = spawn(node, [fileURLToPath(import.meta.url), ...process.argv.slice(2)], { stdio: 'inherit' });
  // A Ctrl-C reaches both: the child decides how to end. Other signals come here only and are passed on.
  process.on('SIGINT', () => undefined);
  for (const signal of /** @type {const} */ (['SIGTERM', 'SIGHUP'])) process.on(signal, () => child.kill(signal));
  child.on('exit', (code, signal) => process.exit(code ?? 128 + (signal === null ? 1 : constants.signals[signal])));
}
