import type { CompiledModel } from '../../../warehouse/transform/index.ts';

/** A compiled model of a graph that stands for nothing: only what selection looks at is its own. */
export function graphModel(
  facts: Pick<CompiledModel, 'name' | 'domain' | 'dependencies'> & Partial<CompiledModel>,
): CompiledModel {
  const [layer = '', table = ''] = facts.name.split('.');
  const at = { file: '', line: 1, column: 1 };
  return {
    layer: layer === 'gold' ? 'gold' : 'silver',
    table,
    file: `sql/${layer}/${facts.domain}/${table}.sql`,
    description: '',
    materialized: 'table',
    key: [],
    incrementalBy: [],
    appends: false,
    columns: [],
    tests: [],
    tags: [],
    sql: '',
    bodyAt: at,
    boundColumns: [],
    fingerprint: facts.name,
    shape: { own: '', rows: '', columns: {}, reads: { rows: [], columns: {} } },
    inputs: [],
    usesAsOf: false,
    reachesAsOf: false,
    refresh: { kind: 'rebuild', why: '' },
    ...facts,
  };
}

/** A seeded stream of numbers in [0, 1): mulberry32. */
export function createRandom(seed: number): { below(n: number): number; pick<T>(list: readonly T[]): T } {
  let state = seed;
  const next = (): number => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
  const below = (n: number): number => Math.floor(next() * n);
  return {
    below,
    pick: (list) => {
      const item = list[below(list.length)];
      if (item === undefined) throw new RangeError('nothing to pick from');
      return item;
    },
  };
}
