import type { CursorWatermark, ReadHow } from '../core/bronze-commit.ts';
import type { BronzeTable } from '../core/bronze-table.ts';
import { SluiceError } from '../core/errors.ts';
import { quoteIdentifier, quoteLiteral, quotePath } from '../core/quote.ts';
import type { BackfillSlice } from './backfill.ts';
import type { CatalogTable } from './catalog.ts';
import type { CursorProof } from './cursor-proof.ts';
import { compareContracts, type Drift } from './drift.ts';
import type { GuardReading } from './guard.ts';

/** How one table will be read, decided before a row moves: plain data. */
export interface ReadPlan {
  readonly how: ReadHow;
  /** Why a cursor table is read whole, or why a table is replaced; null for its mode's usual way. */
  readonly why: string | null;
  /** first: rows are the first state. replace: earlier rows become void. compare: differences from the last state are carried. */
  readonly effect: 'first' | 'replace' | 'compare';
  readonly drift: Drift;
  readonly before: CursorWatermark | null;
  /** Proof under which a new watermark may be written; null when none may. */
  readonly proof: string | null;
  /** True when the old watermark stays valid although a new one cannot be computed. */
  readonly keepBefore: boolean;
  /** Set when rows are read again beside the usual runs. */
  readonly slice?: BackfillSlice;
}

export function planRead(facts: {
  readonly table: CatalogTable;
  readonly known: BronzeTable | undefined;
  readonly before: CursorWatermark | null;
  /** Server clock at the last commit. */
  readonly lastClock: string | null;
  readonly guard: GuardReading;
  readonly proof: CursorProof | null;
}): ReadPlan {
  const { table, known, before, guard, proof } = facts;
  const drift: Drift =
    known === undefined
      ? { kind: 'none' }
      : compareContracts(`${table.schema}.${table.table}`, known.contract, table.contract);
  const effect = known === undefined ? 'first' : drift.kind === 'key' || drift.kind === 'mask' ? 'replace' : 'compare';
  const driftWhy = drift.kind === 'none' ? null : drift.why;
  if (table.definition.mode === 'full' || proof === null) {
    return { how: 'whole', why: driftWhy, effect, drift, before, proof: null, keepBefore: false };
  }
  const proven = 'proof' in proof ? proof.proof : null;
  const unproven = 'why' in proof ? proof.why : guard.unprovable;
  const sameProof = before !== null && before.proof === proven && before.column === table.definition.cursor?.column;
  const clockBack = facts.lastClock !== null && guard.clock < facts.lastClock;
  const why =
    known === undefined
      ? null
      : (unproven ??
        driftWhy ??
        (before === null ? 'no watermark yet' : null) ??
        (sameProof ? null : 'the table, its trigger or the server changed') ??
        (clockBack ? 'the server’s clock went back' : null));
  const how = known !== undefined && why === null ? 'cursor' : 'whole';
  return {
    how,
    why: unproven !== null && known === undefined ? unproven : why,
    effect,
    drift,
    before,
    proof: unproven === null ? proven : null,
    keepBefore: guard.prepared && sameProof && drift.kind === 'none',
  };
}

/** Reading again: compared like any other read, but neither first load nor replacement of columns, and the watermark stays as it is. */
export function planBackfill(facts: {
  readonly table: CatalogTable;
  readonly known: BronzeTable | undefined;
  readonly before: CursorWatermark | null;
  readonly slice: BackfillSlice;
}): ReadPlan {
  const { table, known, before, slice } = facts;
  const name = `${table.source}.${table.table}`;
  if (known === undefined) {
    throw new SluiceError('USAGE', `The table ${name} was never extracted; there is nothing to compare with.`, {
      remedy: 'Run the pipeline first: it reads the whole table.',
    });
  }
  const drift = compareContracts(`${table.schema}.${table.table}`, known.contract, table.contract);
  if (drift.kind !== 'none') {
    throw new SluiceError('USAGE', `The table ${name} is not as it was at its last extraction: ${drift.why}.`, {
      remedy: 'Run the pipeline first: it reads the whole table.',
    });
  }
  const how = slice.where === null ? 'whole' : 'range';
  return { how, why: 'backfill', effect: 'compare', drift, before, proof: null, keepBefore: true, slice };
}

/** The SELECT to copy: the contract's columns. `part`: of a whole read, only these rows. Cursor reads are inclusive and always bring the rows without a cursor. */
export function selectSql(
  table: CatalogTable,
  plan: Pick<ReadPlan, 'how' | 'before' | 'slice'>,
  part: string | null = null,
): string {
  const columns = table.columns.map((column) => column.select).join(', ');
  const from = `select ${columns} from ${quotePath(table.schema, table.table)}`;
  if (plan.slice !== undefined) return plan.slice.where === null ? from : `${from} where ${plan.slice.where}`;
  if (plan.how === 'whole' || plan.before === null) return part === null ? from : `${from} where ${part}`;
  const cursor = quoteIdentifier(plan.before.column);
  return `${from} where ${cursor} >= ${quoteLiteral(plan.before.value)}::timestamptz or ${cursor} is null`;
}
