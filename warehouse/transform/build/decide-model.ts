import type { AsOf, BronzeSnapshot } from '../../core/bronze-table.ts';
import type { ModelState } from '../../core/release.ts';
import { AS_OF } from '../delta/normal-query.ts';
import type { CompiledModel } from '../model.ts';
import type { ChangeCount } from './changed-rows.ts';
import { decideSnapshot } from './decide-snapshot.ts';
import { isLarge, refreshLimit } from './refresh-limit.ts';

/** What a model needs, from its ledger and the versions of its inputs. Pure, so that the plan and the build cannot disagree. */

export type Decision =
  | { readonly kind: 'unchanged'; readonly why: string }
  | { readonly kind: 'create-view'; readonly why: string }
  /** `isLarge`: so much changed that its table will be another. */
  | { readonly kind: 'rebuild'; readonly why: string; readonly isLarge?: boolean }
  | { readonly kind: 'refresh'; readonly why: string; readonly changed: readonly string[] };

export interface DecisionFacts {
  readonly model: CompiledModel;
  /** The model in the release the build began from. */
  readonly state: ModelState | undefined;
  /** Version of every input now: data version of a model, last commit of a bronze table. */
  readonly versions: ReadonlyMap<string, number>;
  /** True when the changed rows of an input since the version consumed are at hand. */
  readonly knowsChanges: (input: string, consumed: number) => boolean;
  /** How many of an input's rows those are, as far as it is known without reading any. */
  readonly countChanges: (input: string, consumed: number) => ChangeCount | undefined;
  /** In place of the shares that were measured (refresh-limit.ts). */
  readonly maxTouchedShare?: number | undefined;
  readonly asOf: AsOf;
  readonly fullRefresh: boolean;
  /** Snapshots whose history may go. */
  readonly dropHistory?: ReadonlySet<string>;
}

export function decideModel(facts: DecisionFacts): Decision {
  const { model, state, asOf } = facts;
  const remake = model.materialized === 'view' ? ('create-view' as const) : ('rebuild' as const);
  if (state === undefined) return { kind: remake, why: 'new' };
  if (state.materialized !== model.materialized) {
    return { kind: remake, why: `was ${withArticle(state.materialized)}, is ${withArticle(model.materialized)} now` };
  }
  if (model.materialized === 'snapshot') return decideSnapshot(facts, state);
  if (state.fingerprint !== model.fingerprint)
    return { kind: remake, why: `its ${model.materialized === 'seed' ? 'file' : 'definition'} changed` };
  // A silver view asks the run's own as_of() whenever it is read; in gold the date is part of the file.
  const keepsDate = model.reachesAsOf && !(model.materialized === 'view' && model.layer === 'silver');
  const isMoved = keepsDate && state.asOf !== asOf;
  if (isMoved && (facts.fullRefresh || state.asOf === undefined || !tracesDate(model))) {
    return { kind: remake, why: `as_of moved from ${state.asOf ?? 'nothing'} to ${asOf}` };
  }
  if (model.materialized === 'view') return { kind: 'unchanged', why: 'a view reads its inputs anew' };
  if (facts.fullRefresh) return { kind: 'rebuild', why: 'a full refresh was asked for' };
  return decideByInputs(facts, state, isMoved);
}

/** True when the rows that come or go with the logical date can be told. */
function tracesDate({ refresh }: CompiledModel): boolean {
  return refresh.kind !== 'rebuild' && refresh.reads[AS_OF] !== undefined;
}

function decideByInputs(facts: DecisionFacts, state: ModelState, isMoved: boolean): Decision {
  const { model, versions, knowsChanges } = facts;
  const inputs = model.inputs.filter((input) => state.consumed[input] !== (versions.get(input) ?? 0));
  const changed = isMoved ? [...inputs, AS_OF] : inputs;
  if (changed.length === 0) return { kind: 'unchanged', why: 'nothing it reads changed' };
  const why = `changed: ${changed.join(', ')}`;
  if (model.materialized !== 'incremental') return { kind: 'rebuild', why };
  if (model.refresh.kind === 'rebuild') return { kind: 'rebuild', why: `${why}; ${model.refresh.why}` };
  for (const input of changed) {
    if (model.refresh.reads[input] === undefined) {
      return { kind: 'rebuild', why: `${input} changed: ${model.refresh.others[input] ?? 'it is not traced'}` };
    }
    if (input === AS_OF) continue;
    const consumed = state.consumed[input];
    if (consumed === undefined || !knowsChanges(input, consumed)) {
      return { kind: 'rebuild', why: `the changed rows of ${input} are not known one by one` };
    }
    const count = model.refresh.kind === 'partition' ? facts.countChanges(input, consumed) : undefined;
    if (count !== undefined && isTooMuch(count, state.rows, facts.maxTouchedShare)) {
      const why = `${count.changed} of ${count.rows} rows of ${input} changed`;
      return { kind: 'rebuild', why, isLarge: isLarge(count.changed) };
    }
  }
  return { kind: 'refresh', why, changed };
}

/**
 * A change so large that to find out what it touches would cost much of a rebuild: large as a part of that input, which a rebuild reads whole,
 * and beside the model's own rows, so that a few rows of a small table never decide.
 */
function isTooMuch({ changed, rows }: ChangeCount, ownRows: number, maxShare: number | undefined): boolean {
  return changed > refreshLimit(rows, maxShare) && changed > refreshLimit(ownRows, maxShare);
}

function withArticle(word: string): string {
  return /^[aeiou]/.test(word) ? `an ${word}` : `a ${word}`;
}

/** Last commit of every bronze table, under both of its names. */
export function bronzeVersions(bronze: BronzeSnapshot): Map<string, number> {
  const versions = new Map<string, number>();
  for (const { source, table, lastCommit } of bronze.tables) {
    versions.set(`bronze.${source}.${table}`, lastCommit);
    versions.set(`bronze_log.${source}.${table}`, lastCommit);
  }
  return versions;
}
