import { mapSystemError } from '../../core/errors.ts';
import type { RowGroup } from '../../core/parquet/leaf-buffer.ts';
import type { SourceSession } from '../source-session.ts';
import type { CarriedColumn } from './carried-as.ts';
import { COPY_LIMITS, type CopyLimits, createCopyDecoder } from './copy-decoder.ts';
import { createCopyQuery } from './copy-query.ts';
import type { QuarantinedRow } from './misfit.ts';
import type { RowGroupMemory } from './row-groups.ts';
import type { WireType } from './wire-type.ts';

export interface ReadCopyOptions {
  readonly session: Pick<SourceSession, 'client' | 'mapError'>;
  /** Selects exactly `columns`, in their order, each as its `select` says. */
  readonly selectSql: string;
  /** Schema and name, for messages. */
  readonly table: string;
  /** Key columns, which name the row of a value that does not fit. */
  readonly key: readonly string[];
  readonly columns: readonly CarriedColumn[];
  /** Takes a row group; its buffers are used again once the promise is fulfilled. Called in order, up to limits.inFlight calls at a time. */
  readonly sink: (group: RowGroup) => Promise<void>;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((rows: number, bytes: number) => void) | undefined;
  readonly onQuarantine?: ((row: QuarantinedRow) => void) | undefined;
  readonly limits?: Partial<CopyLimits> | undefined;
  /** For row groups of these columns and limits. */
  readonly memory?: RowGroupMemory | undefined;
  /** Called once all rows have arrived: the session may take another statement while the last row groups are with the sink. */
  readonly onArrived?: (() => void) | undefined;
}

export interface ReadCopyResult {
  /** Rows handed to the sink. */
  readonly rows: number;
  /** Rows left out and reported. */
  readonly quarantined: number;
  /** Bytes of the COPY. */
  readonly bytes: number;
}

/** Fewer bytes at a time cost more to be woken for than to be decoded. */
const FEW_BYTES = 64 << 10;

/**
 * Reads a query by COPY (FORMAT BINARY) into row groups. All calls of the sink have ended when it returns or throws. After an error of the sink
 * or an abort the session is in the middle of the COPY: close it.
 * Throws SOURCE_VALUE_UNREPRESENTABLE, SOURCE_QUERY_FAILED, what the sink or a callback threw, or the signal's reason.
 */
export async function readCopy(options: ReadCopyOptions): Promise<ReadCopyResult> {
  const { session, signal, onProgress } = options;
  const limits = { ...COPY_LIMITS, ...options.limits };
  const decoder = createCopyDecoder({ ...options, limits, onFrame: (frame) => query.forward(frame) });
  const text = `copy (${options.selectSql}) to stdout (format binary)`;
  const query = createCopyQuery(text, (bytes) => decoder.add(bytes), session.mapError);
  // A server that knows no encoding would refuse a text that is no UTF-8 without saying where; raw, its decoder finds it.
  const isRaw = options.columns.some(({ wire }) => isUnchecked(wire));
  if (isRaw) await setEncoding(session, 'SQL_ASCII');
  signal?.throwIfAborted();
  session.client.query(query);
  const abort = (): void => query.fail(signal?.reason);
  signal?.addEventListener('abort', abort, { once: true });
  const flight = createFlight(options.sink, limits.inFlight, query.fail);
  let bytes = 0;
  try {
    const hand = async (group: RowGroup): Promise<void> => {
      flight.send(group, () => decoder.recycle(group));
      if (!flight.isFull()) return;
      query.pause();
      await flight.landed(signal);
      query.resume();
    };
    while (!decoder.isOver()) {
      const arrived = await query.more();
      for (let group = decoder.next(); group !== undefined; group = decoder.next()) await hand(group);
      if (decoder.bytes() > bytes) onProgress?.(decoder.rows(), decoder.bytes());
      bytes = decoder.bytes();
      if (arrived < FEW_BYTES && !decoder.isOver()) await query.rest();
    }
    const sent = await query.release(decoder.rest());
    const last = decoder.end();
    if (sent !== decoder.rows()) {
      throw new Error(`COPY of ${options.table} sent ${sent} rows, of which ${decoder.rows()} arrived`);
    }
    if (isRaw) await setEncoding(session, 'UTF8');
    options.onArrived?.();
    // The connection is no longer this COPY's to pause.
    if (last !== undefined) flight.send(last, () => decoder.recycle(last));
    await flight.all();
  } catch (error) {
    query.fail(error);
    await flight.settled();
    const failure = flight.failure() ?? { error };
    throw mapSystemError(failure.error, `the extraction of ${options.table}`);
  } finally {
    signal?.removeEventListener('abort', abort);
  }
  return { rows: decoder.rows() - decoder.quarantined(), quarantined: decoder.quarantined(), bytes };
}

function isUnchecked(wire: WireType): boolean {
  const scalar = wire.kind === 'list' ? wire.element : wire;
  return scalar.kind === 'text' && scalar.checked;
}

async function setEncoding(session: ReadCopyOptions['session'], encoding: string): Promise<void> {
  try {
    await session.client.query(`set client_encoding = '${encoding}'`);
  } catch (error) {
    throw session.mapError(error);
  }
}

interface Flight {
  send(group: RowGroup, done: () => void): void;
  /** True while no other group may be sent. */
  isFull(): boolean;
  /** Waits until another group may be sent; throws what the sink or the signal threw. */
  landed(signal: AbortSignal | undefined): Promise<void>;
  all(): Promise<void>;
  /** Waits for every call, whatever became of it. */
  settled(): Promise<void>;
  failure(): { readonly error: unknown } | undefined;
}

/** Calls of the sink under way. The first failure is told to `onFailure` at once. */
function createFlight(
  sink: (group: RowGroup) => Promise<void>,
  most: number,
  onFailure: (error: unknown) => void,
): Flight {
  const calls = new Set<Promise<void>>();
  let failure: { readonly error: unknown } | undefined;
  const check = (): void => {
    if (failure !== undefined) throw failure.error;
  };
  const call = async (group: RowGroup, done: () => void): Promise<void> => {
    try {
      await sink(group);
      done();
    } catch (error) {
      if (failure !== undefined) return;
      failure = { error };
      onFailure(error);
    }
  };
  return {
    send: (group, done) => {
      check();
      const sent: Promise<void> = call(group, done).finally(() => calls.delete(sent));
      calls.add(sent);
    },
    isFull: () => calls.size >= most,
    landed: async (signal) => {
      while (calls.size >= most) {
        await Promise.race(calls);
        check();
        signal?.throwIfAborted();
      }
      check();
    },
    all: async () => {
      await Promise.all(calls);
      check();
    },
    settled: async () => {
      await Promise.all(calls);
    },
    failure: () => failure,
  };
}
