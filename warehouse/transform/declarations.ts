import { digest } from './digest.ts';
import type { CompiledModel, SqlTest } from './model.ts';

/**
 * Hash of what a project says about its tables besides their content: tests, owners, datasets, descriptions. When it moves, a build tests and
 * publishes again although no model runs; otherwise a new test would wait for new data, and a changed owner would not be obeyed.
 */
export function hashDeclarations(models: readonly string[], sqlTests: readonly SqlTest[]): string {
  return hash({
    format: 2,
    models,
    sqlTests: sqlTests.map(({ name, description, severity, warnIf, errorIf, sql }) => ({
      name,
      description,
      severity,
      warnIf,
      errorIf,
      sql,
    })),
  });
}

/** One model's part of it. */
export function hashDeclaration({ name, description, columns, tests, owner, dataset, key }: CompiledModel): string {
  return hash({
    name,
    description,
    columns: columns.map((column) => [column.name, column.description ?? null]),
    // Where a test stands in its file says nothing of what it tests.
    tests: tests.map(({ at: _at, ...test }) => test),
    owner: owner ?? null,
    dataset: dataset ?? null,
    key,
  });
}

function hash(facts: unknown): string {
  return digest(JSON.stringify(facts));
}
