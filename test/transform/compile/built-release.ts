import type { BronzeSnapshot } from '../../../warehouse/core/bronze-table.ts';
import type { Release } from '../../../warehouse/core/release.ts';
import type { BronzeTableFacts, CompiledProject } from '../../../warehouse/transform/index.ts';

/** What stands when a plan is made: bronze at a commit, and the release of a build before. */

/** Tables of 10 rows, all of them of this commit. */
export function bronzeOf(tables: readonly BronzeTableFacts[], commit: number): BronzeSnapshot {
  return {
    tables: tables.map((facts) => ({
      ...facts,
      files: [{ commit, path: `/${commit}`, rows: 10 }],
      lastCommit: commit,
      replacedAt: 0,
    })),
    commits: { app: commit },
  };
}

/** The release that building everything leaves behind. */
export function releaseOf(project: CompiledProject, bronze: BronzeSnapshot, asOf: string): Release {
  const last = new Map(bronze.tables.map(({ source, table, lastCommit }) => [`bronze.${source}.${table}`, lastCommit]));
  return {
    format: 1,
    asOf,
    commits: bronze.commits,
    datasets: [],
    declarations: project.declarations,
    tests: [],
    version: 'v1',
    number: 1,
    kind: 'publish',
    publishedAt: '2026-01-01T00:00:00Z',
    files: { silver: { key: 's', bytes: 1, sha256: 's' }, gold: { key: 'g', bytes: 1, sha256: 'g' } },
    models: project.models.map(({ name, materialized, fingerprint, shape, inputs, reachesAsOf, boundColumns }) => ({
      name,
      materialized,
      fingerprint,
      shape: { own: shape.own, rows: shape.rows, columns: shape.columns },
      dataVersion: 1,
      rows: 10,
      columns: boundColumns,
      consumed: Object.fromEntries(inputs.map((input) => [input, last.get(input) ?? 1])),
      ...(reachesAsOf && { asOf }),
    })),
  };
}
