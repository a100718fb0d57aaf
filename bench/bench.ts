import { benchBuild } from './build.ts';
import { benchCompile } from './compile.ts';
import { benchDemo } from './demo.ts';
import { benchExtract } from './extract.ts';
import { benchIncrement } from './increment.ts';
import { benchLog } from './log.ts';
import { benchModels } from './models.ts';
import { benchQuery } from './query.ts';
import { readNumber } from './support.ts';

/** `npm run bench -- NAME [--scale S] [--rounds N]` (each one's own options: docs/benchmarks.md) prints a table, and as its last line one JSON object. Times are of this machine; compare ratios. */

const BENCHES = {
  demo: benchDemo,
  build: benchBuild,
  query: benchQuery,
  extract: benchExtract,
  increment: benchIncrement,
  compile: benchCompile,
  log: benchLog,
  models: benchModels,
} as const;

const [name = '', ...args] = process.argv.slice(2);
const bench = Object.entries(BENCHES).find(([key]) => key === name)?.[1];
if (bench === undefined) {
  console.error(
    `bench: ${JSON.stringify(name)} is none of ${Object.keys(BENCHES).join(', ')}\nExample: npm run bench -- query --scale 10`,
  );
  process.exit(2);
}
const result = await bench({
  scale: readNumber(args, 'scale', name === 'demo' ? 1 : 10),
  rounds: readNumber(args, 'rounds', 5),
  commits: readNumber(args, 'commits', 100_000),
  args,
});
console.log(JSON.stringify({ bench: name, ...result }));
