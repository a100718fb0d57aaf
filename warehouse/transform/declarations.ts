import { createHash } from 'node:crypto';
import type { CompiledModel, SqlTest } from './model.ts';

/**
 * Hash of what a project says about its tables besides their content: tests, owners, datasets, descriptions. When it moves, a build tests and
 * publishes again although no model runs; otherwise a new test would wait for new data, and a changed owner would not be obeyed.
 */
export function hashDeclarations(models: readonly CompiledModel[], sqlTests: readonly SqlTest[]): string {
  const facts = {
    format: 1,
    models: models.map(({ name, description, columns, tests, owner, dataset, key }) => ({
      name,
      description,
      columns: columns.map((column) => [column.name, column.description ?? null]),
      // Where a test stands in its file says nothing of what it tests.
      tests: tests.map(({ at: _at, ...test }) => test),
      owner: owner ?? null,
      dataset: dataset ?? null,
      key,
    })),
    sqlTests: sqlTests.map(({ name, description, severity, warnIf, errorIf, sql }) => ({
      name,
      description,
      severity,
      warnIf,
      errorIf,
      sql,
    })),
  };
  return createHash('sha256').update(JSON.stringify(facts)).digest('hex').slice(0, 32);
}
