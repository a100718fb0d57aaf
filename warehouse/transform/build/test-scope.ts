import { createHash } from 'node:crypto';
import type { AsOf, BronzeSnapshot } from '../../core/bronze-table.ts';
import type { ModelState, Release, TestResult } from '../../core/release.ts';
import type { CompiledModel, CompiledProject, ModelTest, SqlTest } from '../model.ts';
import type { ChangedRows } from './changed-rows.ts';

/**
 * What must be looked at to know a test's verdict on the whole table, given that the release before was tested:
 *
 *   unchanged   no row that the test sees has changed since then: its verdict stands
 *   changes     it found nothing then, and a new failure must be among the rows that changed since, of the table or of its parent
 *   whole       everything else: the first time, another definition, failures before, changes not known one by one
 */
export interface TestHistory {
  /** The earlier verdict on the same test when it found nothing; only from there can changed rows decide. */
  cleanVerdict(name: string, definition: string): TestResult | undefined;
  /** True when every row of the table or view is as it was in the release before. */
  isUnchanged(table: string): boolean;
  /** Relation of the rows of a model that changed since the release before, old and new; undefined when they are not known one by one. */
  changedRows(model: string): Promise<string | undefined>;
}

export interface HistoryFacts {
  readonly project: CompiledProject;
  readonly previous: Release | undefined;
  /** The models as they stand in this build. */
  readonly states: ReadonlyMap<string, ModelState>;
  readonly bronze: BronzeSnapshot;
  readonly changes: ChangedRows;
  readonly asOf: AsOf;
  /** Test everything whole. */
  readonly fullTests: boolean;
}

export function createTestHistory(facts: HistoryFacts): TestHistory {
  const { project, previous, states, bronze, changes, asOf } = facts;
  const verdicts = new Map((previous?.tests ?? []).map((result) => [result.name, result]));
  const before = new Map((previous?.models ?? []).map((state) => [state.name, state]));
  const models = new Map(project.models.map((model) => [model.name, model]));
  const tables = new Map(bronze.tables.map((table) => [`${table.source}.${table.table}`, table]));

  const isUnchanged = (name: string): boolean => {
    if (previous === undefined) return false;
    if (name.startsWith('bronze')) {
      const table = tables.get(name.slice(name.indexOf('.') + 1));
      return table !== undefined && table.lastCommit <= (previous.commits[table.source] ?? -1);
    }
    const model = models.get(name);
    const [was, is] = [before.get(name), states.get(name)];
    if (model === undefined || was === undefined || is === undefined) return false;
    if (was.dataVersion !== is.dataVersion) return false;
    if (model.materialized !== 'view') return true;
    // A view's rows are those of its inputs, whatever its own version says.
    return (
      was.fingerprint === model.fingerprint &&
      (!model.reachesAsOf || previous.asOf === asOf) &&
      model.inputs.every(isUnchanged)
    );
  };

  return {
    cleanVerdict(name, definition) {
      const verdict = facts.fullTests ? undefined : verdicts.get(name);
      const isClean = verdict?.definition === definition && verdict.status !== 'error' && verdict.failures === 0;
      return isClean ? verdict : undefined;
    },
    isUnchanged,
    async changedRows(model) {
      const was = before.get(model);
      if (was === undefined || models.get(model)?.materialized === 'view') return undefined;
      return changes.knows(model, was.dataVersion) ? changes.relationOf(model, was.dataVersion) : undefined;
    },
  };
}

/** Hash of what decides which rows fail; name, severity and thresholds do not. */
export function definitionOf(test: ModelTest | SqlTest, model?: CompiledModel): string {
  const facts =
    'kind' in test
      ? { ...test, name: undefined, at: undefined, severity: undefined, warnIf: undefined, errorIf: undefined }
      : { sql: test.sql };
  return createHash('sha256')
    .update(JSON.stringify({ ...facts, table: model?.name }))
    .digest('hex')
    .slice(0, 16);
}
