import type { Header } from './header-schema.ts';
import type { Model, SnapshotRule } from './model.ts';
import type { BoundColumn } from './sql-engine.ts';

/** What a snapshot adds to the columns of its SELECT, and its rule as the header declares it. */

export const VALID_FROM = 'valid_from';
export const VALID_TO = 'valid_to';
export const IS_CURRENT = 'is_current';
export const IS_DELETED = 'is_deleted';
export const SNAPSHOT_COLUMNS: readonly string[] = [VALID_FROM, VALID_TO, IS_CURRENT, IS_DELETED];

const INSTANT = 'TIMESTAMP WITH TIME ZONE';

/** The header's rule with its defaults; undefined for any other model, and for a snapshot whose block is missing, which the check reports. */
export function toSnapshotRule({ materialized, snapshot, key = [] }: Header): SnapshotRule | undefined {
  if (materialized !== 'snapshot' || snapshot === undefined) return undefined;
  return {
    key,
    change:
      snapshot.strategy === 'timestamp'
        ? { kind: 'timestamp', updatedAt: snapshot.updated_at }
        : { kind: 'check', columns: snapshot.columns },
    hardDeletes: snapshot.hard_deletes ?? 'close',
    ...(snapshot.open_end === undefined ? {} : { openEnd: snapshot.open_end }),
  };
}

/** The columns of the model's table: those of its SELECT, and behind them a snapshot's own. */
export function withSnapshotColumns(model: Model, columns: readonly BoundColumn[]): readonly BoundColumn[] {
  const { snapshot } = model;
  if (snapshot === undefined) return columns;
  return [
    ...columns,
    { name: VALID_FROM, type: INSTANT },
    { name: VALID_TO, type: INSTANT },
    { name: IS_CURRENT, type: 'BOOLEAN' },
    ...(snapshot.hardDeletes === 'new_record' ? [{ name: IS_DELETED, type: 'BOOLEAN' }] : []),
  ];
}

/** True when its history follows from bronze's log alone: it reads bronze and views of bronze, so that each commit can be looked at in turn. */
export function isReplayable(model: { readonly inputs: readonly string[] }): boolean {
  return model.inputs.length > 0 && model.inputs.every((input) => input.startsWith('bronze'));
}
