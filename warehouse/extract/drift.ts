import type { TableContract } from '../core/bronze-table.ts';
import { SluiceError } from '../core/errors.ts';
import { widens } from './column-type.ts';

/** What a table's contract did since the last commit, and what that asks of the read. */
export type Drift =
  | { readonly kind: 'none' }
  /** Columns came, went or widened: every row is compared. */
  | { readonly kind: 'columns'; readonly why: string }
  /** Rows can no longer be told by their key: the table is replaced. */
  | { readonly kind: 'key'; readonly why: string }
  /** A column is masked otherwise, or held as another type although it has not changed in Postgres: the table is replaced, so that no query reads its raw values, other hashes or other forms any more. */
  | { readonly kind: 'carriage'; readonly why: string };

/** Throws SOURCE_TYPE_CHANGED where a type became one that does not hold the old values unchanged. */
export function compareContracts(table: string, before: TableContract, after: TableContract): Drift {
  const carriage = [...maskChanges(before, after), ...formChanges(before, after)];
  if (carriage.length > 0) return { kind: 'carriage', why: carriage.join(', ') };
  const old = new Map(before.columns.map((column) => [column.name, column]));
  const changes: string[] = [];
  for (const column of after.columns) {
    const known = old.get(column.name);
    old.delete(column.name);
    if (known === undefined) changes.push(`column ${column.name} added`);
    else if (!widens(known.duckdbType, column.duckdbType)) {
      throw new SluiceError(
        'SOURCE_TYPE_CHANGED',
        `The column ${table}.${column.name} was ${known.postgresType} and is now ${column.postgresType}, which does not hold what bronze has (${known.duckdbType}).`,
        {
          remedy:
            'Restore the type, carry the new values in a column of another name, or give the source a new name so that its history starts anew.',
          details: { table, column: column.name, before: known.postgresType, after: column.postgresType },
        },
      );
    } else if (known.postgresType !== column.postgresType) {
      changes.push(`column ${column.name} now ${column.postgresType}`);
    }
  }
  for (const name of old.keys()) changes.push(`column ${name} no longer carried`);
  if (JSON.stringify(before.key) !== JSON.stringify(after.key)) {
    const [was, is] = [before.key, after.key].map((key) => `(${key.join(', ')})`);
    return { kind: 'key', why: `key changed from ${was} to ${is}` };
  }
  if (changes.length > 0) return { kind: 'columns', why: changes.join(', ') };
  return { kind: 'none' };
}

/** A mask that came, went or has another secret: its column's old values and new ones cannot stand beside each other. */
function maskChanges(before: TableContract, after: TableContract): readonly string[] {
  const [old, now] = [before, after].map(
    (contract) => new Map(contract.columns.map((column) => [column.name, column.mask])),
  );
  const names = new Set([...before.columns, ...after.columns].map((column) => column.name));
  return [...names].flatMap((name) => {
    const [was, is] = [old?.get(name), now?.get(name)];
    if (was === is) return [];
    const kind = is?.split(':')[0];
    if (is === undefined) return [`column ${name} no longer masked`];
    return [
      was?.split(':')[0] === kind ? `column ${name} hashed with another secret` : `column ${name} now masked (${kind})`,
    ];
  });
}

/** The same values in another form: a policy that says text or no longer says it, or a lake of an earlier Sluice. */
function formChanges(before: TableContract, after: TableContract): readonly string[] {
  return after.columns.flatMap((column) => {
    const known = before.columns.find((other) => other.name === column.name);
    if (known === undefined || known.mask !== column.mask || known.postgresType !== column.postgresType) return [];
    return known.duckdbType === column.duckdbType
      ? []
      : [`column ${column.name} is carried as ${column.duckdbType}, no longer as ${known.duckdbType}`];
  });
}
