import type { CursorWatermark, ReadHow, SweepMark } from '../core/bronze-commit.ts';
import type { BronzeTable } from '../core/bronze-table.ts';
import { SluiceError } from '../core/errors.ts';
import { quoteIdentifier, quoteLiteral, quotePath } from '../core/quote.ts';
import type { BackfillSlice } from './backfill.ts';
import type { CatalogTable } from './catalog.ts';
import type { CursorProof } from './cursor-proof.ts';
import { compareContracts, type Drift } from './drift.ts';
import type { GuardReading } from './guard.ts';
import { type AppendCount, type SweepProof, sawTheSame, sweptSql, whyNoSweep, XMIN } from './xmin-sweep.ts';

/** How one table will be read, decided before a row moves: plain data. */
export interface ReadPlan {
  readonly how: ReadHow;
  /** Why a table is not read its mode's usual way; null when it is. */
  readonly why: string | null;
  /** first: rows are the first state. replace: earlier rows become void. compare: differences from the last state are carried. */
  readonly effect: 'first' | 'replace' | 'compare';
  readonly drift: Drift;
  readonly before: CursorWatermark | null;
  /** Proof under which a new watermark may be written; null when none may. */
  readonly proof: string | null;
  /** True when the old watermark stays valid although a new one cannot be computed. */
  readonly keepBefore: boolean;
  /** The mark that rows may be swept from in this read; null when none may. */
  readonly swept: SweepMark | null;
  /** The mark to write after it; null when none may. */
  readonly nextSweep: SweepMark | null;
  /** True when no transaction became visible since the mark: there is nothing to look for. */
  readonly idle: boolean;
  /** Set when rows are read again beside the usual runs. */
  readonly slice?: BackfillSlice;
}

export interface PlanFacts {
  readonly table: CatalogTable;
  readonly known: BronzeTable | undefined;
  readonly before: CursorWatermark | null;
  /** Server clock at the last commit. */
  readonly lastClock: string | null;
  readonly guard: GuardReading;
  /** pg_current_snapshot() of this read. */
  readonly snapshot: string;
  /** Both null with mode full. */
  readonly proof: CursorProof | null;
  readonly sweep: SweepProof | null;
}

/** cursor where the guard is proven, sweep where rows tell who wrote them, else the whole table. */
export function planRead(facts: PlanFacts): ReadPlan {
  const { table, known, before, guard, proof, sweep, snapshot } = facts;
  const { definition } = table;
  const drift: Drift =
    known === undefined
      ? { kind: 'none' }
      : compareContracts(`${table.schema}.${table.table}`, known.contract, table.contract);
  const effect =
    known === undefined ? 'first' : drift.kind === 'key' || drift.kind === 'carriage' ? 'replace' : 'compare';
  const driftWhy = drift.kind === 'none' ? null : drift.why;
  const common = { effect, drift, before, swept: null, nextSweep: null, idle: false } as const;
  if (definition.mode === 'full' || proof === null || sweep === null) {
    return { ...common, how: 'whole', why: driftWhy, proof: null, keepBefore: false };
  }
  const proven = 'proof' in proof ? proof.proof : null;
  const unproven = whyUnproven(facts);
  const sameProof = before !== null && before.column === definition.cursor?.column && before.proof === proven;
  const clockBack = facts.lastClock !== null && guard.clock < facts.lastClock;
  const noCursor =
    unproven ??
    (before === null || before.column === XMIN ? 'no watermark yet' : null) ??
    (sameProof ? null : 'the table, its trigger or the server changed') ??
    (clockBack ? 'the server’s clock went back' : null);
  const noSweep = whyNoSweep(before?.sweep, sweep, snapshot);
  const swept = known !== undefined && driftWhy === null && noSweep === null ? (before?.sweep ?? null) : null;
  const rest = {
    ...common,
    swept,
    nextSweep: 'proof' in sweep ? { snapshot, proof: sweep.proof } : null,
    proof: unproven === null ? proven : null,
    keepBefore: guard.prepared && sameProof && drift.kind === 'none',
  };
  const usual = definition.mode === 'append' && definition.cursor === undefined;
  if (known === undefined) return { ...rest, how: 'whole', why: usual ? null : unproven };
  if (driftWhy !== null) return { ...rest, how: 'whole', why: driftWhy };
  if (noCursor === null) return { ...rest, how: 'cursor', why: null };
  if (swept !== null) {
    const idle = sawTheSame(swept.snapshot, snapshot, guard.standby);
    return { ...rest, how: 'sweep', why: usual ? null : noCursor, idle };
  }
  const both = noSweep === null || noSweep === noCursor ? [noCursor] : [noCursor, noSweep];
  return { ...rest, how: 'whole', why: (usual ? both.slice(1) : both).join('; no sweep: ') };
}

function whyUnproven({ table, guard, proof }: PlanFacts): string | null {
  if (proof !== null && 'why' in proof) return proof.why;
  if (table.contract.key.length === 0) return 'without a key rows read twice could not be told apart';
  return guard.unprovable;
}

/** A table without a key that only grows: from the count it follows whether it only grew, and what the next mark must name. */
export function settleAppend(plan: ReadPlan, count: AppendCount, knownRows: number): ReadPlan {
  const nextSweep =
    plan.nextSweep === null || count.seen === null ? null : { ...plan.nextSweep, seen: [...count.seen] };
  if (plan.how !== 'sweep') return { ...plan, nextSweep };
  if (count.total - count.fresh === knownRows) return { ...plan, nextSweep, idle: count.fresh === 0 };
  const why = `rows were updated or deleted: of ${knownRows} carried ${count.total - count.fresh} are left`;
  return { ...plan, nextSweep, how: 'whole', why };
}

/** Reading again: compared like any other read, but neither first load nor replacement of columns, and the watermark stays as it is. */
export function planBackfill(
  facts: Pick<PlanFacts, 'table' | 'known' | 'before'> & {
    readonly slice: BackfillSlice;
    /** Tables without a key are replaced by what is read, and so begin anew. */
    readonly nextSweep: SweepMark | null;
  },
): ReadPlan {
  const { table, known, before, slice, nextSweep } = facts;
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
  const fixed = { why: 'backfill', effect: 'compare', drift, before, proof: null, swept: null, idle: false } as const;
  return { ...fixed, how, keepBefore: table.contract.key.length > 0, nextSweep, slice };
}

/**
 * The SELECT to copy: the contract's columns. `part`: of a whole read, only these rows. Cursor reads are inclusive and look at the rows
 * without a cursor, too.
 */
export function selectSql(
  table: CatalogTable,
  plan: Pick<ReadPlan, 'how' | 'before' | 'slice'> & Partial<Pick<ReadPlan, 'swept' | 'idle'>>,
  part: string | null = null,
): string {
  const columns = table.columns.map((column) => column.select).join(', ');
  const from = `select ${columns} from ${quotePath(table.schema, table.table)}`;
  if (plan.slice?.where != null) return `${from} where ${plan.slice.where}`;
  const swept = plan.swept === null || plan.swept === undefined ? null : sweptSql(plan.swept);
  if (plan.how === 'sweep' && swept !== null) return `${from} where ${plan.idle === true ? 'false' : swept}`;
  if (plan.how === 'whole' || plan.before === null) return part === null ? from : `${from} where ${part}`;
  const cursor = quoteIdentifier(plan.before.column);
  // Rows without a cursor would come in every run: of them, too, only those written since.
  const without = swept === null ? `${cursor} is null` : `(${cursor} is null and ${swept})`;
  return `${from} where ${cursor} >= ${quoteLiteral(plan.before.value)}::timestamptz or ${without}`;
}
