import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { glob } from 'node:fs/promises';
import { dirname, join, normalize } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

/** Reads every import of the product's code and fails on a wrong arrow, a cycle or a folder that knows too much. */

const root = fileURLToPath(new URL('..', import.meta.url));
const STAGES = ['extract', 'bronze', 'transform', 'release', 'serve'];
const TOP = [
  'warehouse',
  'activities',
  'workflows',
  'service',
  'cli',
  'infra',
  'models',
  'demo',
  'import-dbt',
  'temporal.config.ts',
];

interface Import {
  readonly from: string;
  readonly to: string;
  readonly typeOnly: boolean;
  readonly external: boolean;
}

function readImports(file: string): Import[] {
  const text = readFileSync(join(root, file), 'utf8');
  const found: Import[] = [];
  const pattern =
    /^\s*(?:import|export)\s+(type\s+)?(?:[^'";]*?\sfrom\s+)?'([^']+)'|\bimport\(\s*'([^']+)'\s*\)|new URL\(\s*'(\.[^']*\.ts)'/gm;
  for (const match of text.matchAll(pattern)) {
    const target = match[2] ?? match[3] ?? match[4];
    if (target === undefined) continue;
    const external = !target.startsWith('.');
    found.push({
      from: file,
      to: external ? target : normalize(join(dirname(file), target)),
      typeOnly: match[1] !== undefined,
      external,
    });
  }
  return found;
}

const files = (
  await Array.fromAsync(
    glob(['{warehouse,activities,workflows,service,cli,infra,models,demo,import-dbt}/**/*.{ts,js}', '*.config.ts'], {
      cwd: root,
    }),
  )
).sort();
const imports = files.flatMap(readImports);
const internal = imports.filter((entry) => !entry.external);
const topOf = (file: string): string => file.split('/')[0] ?? '';
const stageOf = (file: string): string | undefined => (file.startsWith('warehouse/') ? file.split('/')[1] : undefined);
const show = (wrong: readonly Import[]): string[] => wrong.map((entry) => `${entry.from} imports ${entry.to}`);

test('the scan sees the imports it judges', () => {
  assert.ok(files.length > 40, `only ${files.length} files found`);
  assert.ok(internal.length > 100, `only ${internal.length} imports found`);
});

test('stages import core and themselves only', () => {
  const wrong = internal.filter((entry) => {
    const stage = stageOf(entry.from);
    return (
      stage !== undefined &&
      (stageOf(entry.to) === undefined || (stageOf(entry.to) !== 'core' && stageOf(entry.to) !== stage))
    );
  });
  assert.deepEqual(show(wrong), []);
});

test('other folders enter a stage by its public edge', () => {
  const edges = new Set(STAGES.map((stage) => `warehouse/${stage}/index.ts`));
  const wrong = internal.filter(
    (entry) => topOf(entry.from) !== 'warehouse' && STAGES.includes(stageOf(entry.to) ?? '') && !edges.has(entry.to),
  );
  assert.deepEqual(show(wrong), []);
});

test('arrows point one way: warehouse ← activities ← workflows, and service, cli, infra on top', () => {
  const allowed: Readonly<Record<string, readonly string[]>> = {
    warehouse: ['warehouse'],
    activities: ['activities', 'warehouse'],
    workflows: ['workflows', 'activities', 'temporal.config.ts'],
    'temporal.config.ts': ['temporal.config.ts'],
    models: ['models', 'warehouse'],
    demo: ['demo', 'warehouse'],
    'import-dbt': ['import-dbt', 'warehouse'],
    service: ['service', 'warehouse'],
    infra: ['infra', 'activities', 'workflows', 'service', 'warehouse', 'demo', 'temporal.config.ts'],
    cli: TOP,
  };
  const wrong = internal.filter((entry) => !(allowed[topOf(entry.from)] ?? []).includes(topOf(entry.to)));
  assert.deepEqual(show(wrong), []);
});

test('workflows take activities, and models take the engine, as types only', () => {
  const wrong = internal.filter(
    (entry) =>
      !entry.typeOnly &&
      ((topOf(entry.from) === 'workflows' && topOf(entry.to) === 'activities') ||
        (topOf(entry.from) === 'models' && topOf(entry.to) === 'warehouse')),
  );
  assert.deepEqual(show(wrong), []);
});

test('the engine and the workflows know no server and no framework', () => {
  const engine = imports.filter(
    (entry) =>
      entry.external &&
      topOf(entry.from) === 'warehouse' &&
      /^(hono|@hono|@temporalio|commander|node:http|jose)/.test(entry.to),
  );
  const workflows = imports.filter(
    (entry) => entry.external && topOf(entry.from) === 'workflows' && !entry.to.startsWith('@temporalio/'),
  );
  assert.deepEqual(show([...engine, ...workflows]), []);
});

test('DuckDB is loaded in one place, by require', () => {
  const wrong = imports.filter((entry) => entry.to.startsWith('@duckdb/') && !entry.typeOnly);
  assert.deepEqual(show(wrong), []);
});

test('only infra/config.ts reads the environment', () => {
  const wrong = files.filter(
    (file) => file !== 'infra/config.ts' && /process\.env\b/.test(readFileSync(join(root, file), 'utf8')),
  );
  assert.deepEqual(wrong, []);
});

test('the engine names nothing of this repository’s own models', () => {
  const words =
    /\b(fct_\w+|dim_accounts|dim_tags|stg_\w+|bronze\.app|transaction_tags|balance_snapshots|institutions)\b/;
  const wrong = files.filter(
    (file) =>
      (topOf(file) === 'warehouse' || topOf(file) === 'service') &&
      words.test(stripComments(readFileSync(join(root, file), 'utf8'))),
  );
  assert.deepEqual(wrong, []);
});

function stripComments(text: string): string {
  return text.replaceAll(/\/\*[\s\S]*?\*\//g, '').replaceAll(/^\s*\/\/.*$/gm, '');
}

test('imports form no cycle', () => {
  const edges = new Map<string, string[]>();
  for (const entry of internal.filter((item) => !item.typeOnly))
    edges.set(entry.from, [...(edges.get(entry.from) ?? []), entry.to]);
  const state = new Map<string, 'open' | 'done'>();
  const visit = (file: string, path: readonly string[]): string[] | undefined => {
    if (state.get(file) === 'done') return undefined;
    if (state.get(file) === 'open') return [...path.slice(path.indexOf(file)), file];
    state.set(file, 'open');
    for (const next of edges.get(file) ?? []) {
      const cycle = visit(next, [...path, file]);
      if (cycle !== undefined) return cycle;
    }
    state.set(file, 'done');
    return undefined;
  };
  for (const file of edges.keys()) assert.equal(visit(file, [])?.join(' → '), undefined);
});

test('no file is longer than 480 lines', () => {
  const long = files.filter((file) => readFileSync(join(root, file), 'utf8').split('\n').length > 480);
  assert.deepEqual(long, []);
});
