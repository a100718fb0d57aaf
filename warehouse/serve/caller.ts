import type { Dataset } from '../core/dataset.ts';
import { SluiceError } from '../core/errors.ts';
import { quoteIdentifier } from '../core/quote.ts';
import { type ColumnType, fitValue, parseColumnType } from './column-type.ts';
import type { Binder } from './filter.ts';

/** Who asks, as proven by a token. */
export interface Caller {
  /** The user's id. */
  readonly sub: string;
  readonly orgId: string;
  readonly role: string;
}

/** One column that must hold one of the caller's own values. */
export interface OwnerTerm {
  readonly column: string;
  readonly type: ColumnType;
  readonly value: string;
}

/**
 * The columns and values that make a row the caller's; empty for a public dataset. Org and user must both match.
 * A claim that is not exactly a value of its column owns nothing: FORBIDDEN, with a body that says nothing of the column.
 */
export function ownerTerms(dataset: Dataset, caller: Caller): readonly OwnerTerm[] {
  const { owner } = dataset;
  if (owner.kind === 'public') return [];
  const terms = [termOf(dataset, owner.org, caller.orgId)];
  if (owner.user !== undefined) terms.push(termOf(dataset, owner.user, caller.sub));
  return terms;
}

/** The predicate over the owner columns. Equality is never true of NULL, so that a row without an owner is nobody's. */
export function compileOwner(terms: readonly OwnerTerm[], binder: Binder): string {
  if (terms.length === 0) return 'true';
  return terms.map((term) => `${quoteIdentifier(term.column)} = ${binder.bind(term.type, term.value)}`).join(' and ');
}

/** The one answer to everything a caller may not have, so that it tells nothing apart. */
export function forbidden(): SluiceError {
  return new SluiceError('FORBIDDEN', 'The request names something that is not the caller’s own.', {
    remedy: 'Use ids that the caller’s own datasets list.',
  });
}

function termOf(dataset: Dataset, column: string, claim: string): OwnerTerm {
  const declared = dataset.columns.find((candidate) => candidate.name === column);
  if (declared === undefined) throw forbidden();
  const type = parseColumnType(declared.type);
  const value = claim === '' ? undefined : fitValue(type, claim);
  if (value === undefined) throw forbidden();
  return { column, type, value };
}
