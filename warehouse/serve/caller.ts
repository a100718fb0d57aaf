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

/** Whose rows are seen. There is no way to write "nobody asked, so everybody's": `everyone` is what a dataset declared as public. */
export type OwnerScope =
  | { readonly kind: 'own'; readonly terms: readonly [OwnerTerm, ...OwnerTerm[]] }
  | { readonly kind: 'everyone' };

/**
 * The columns and values that make a row the caller's. Org and user must both match.
 * A claim that is not exactly a value of its column owns nothing: FORBIDDEN, with a body that says nothing of the column.
 */
export function ownerScope(dataset: Dataset, caller: Caller): OwnerScope {
  return scopeOf(dataset, { org: () => caller.orgId, user: () => caller.sub });
}

/** A scope that can see nothing: the probe of a release before it is served. */
export function nobodysScope(dataset: Dataset): OwnerScope {
  return scopeOf(dataset, { org: nobodysValue, user: nobodysValue });
}

/** The predicate over the owner columns. Equality is never true of NULL, so that a row without an owner is nobody's. */
export function compileOwner(scope: OwnerScope, binder: Binder): string {
  if (scope.kind === 'everyone') return 'true';
  return scope.terms
    .map((term) => `${quoteIdentifier(term.column)} = ${binder.bind(term.type, term.value)}`)
    .join(' and ');
}

/** The one answer to everything a caller may not have, so that it tells nothing apart. */
export function forbidden(): SluiceError {
  return new SluiceError('FORBIDDEN', 'The request names something that is not the caller’s own.', {
    remedy: 'Use ids that the caller’s own datasets list.',
  });
}

type Claim = (type: ColumnType) => string;

function scopeOf(dataset: Dataset, claims: { readonly org: Claim; readonly user: Claim }): OwnerScope {
  const { owner } = dataset;
  if (owner.kind === 'public') return { kind: 'everyone' };
  const org = termOf(dataset, owner.org, claims.org);
  return { kind: 'own', terms: owner.user === undefined ? [org] : [org, termOf(dataset, owner.user, claims.user)] };
}

function termOf(dataset: Dataset, column: string, claim: Claim): OwnerTerm {
  const declared = dataset.columns.find((candidate) => candidate.name === column);
  if (declared === undefined) throw forbidden();
  const type = parseColumnType(declared.type);
  const text = claim(type);
  const value = text === '' ? undefined : fitValue(type, text);
  if (value === undefined) throw forbidden();
  return { column, type, value };
}

function nobodysValue(type: ColumnType): string {
  if (type.kind === 'integer') return type.min.toString();
  return type.kind === 'uuid' ? '00000000-0000-0000-0000-000000000000' : 'nobody';
}
