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
