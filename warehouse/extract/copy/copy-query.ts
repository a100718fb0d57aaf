import { setTimeout as sleep } from 'node:timers/promises';
import type { Connection, Submittable } from 'pg';
import { BORROWED } from '../source-socket.ts';

/**
 * A COPY … TO STDOUT as a query of pg's client that hands on the bytes of the socket as they arrive, frames and all: a Buffer per row, which
 * a stream of rows makes, costs more than decoding the row. pg still connects, speaks TLS, sends the statement and understands every frame
 * that is no row.
 *
 *   submit ── bytes to `onBytes` ── (end or error frame) ── release: the rest to pg's own parser ── handleReadyForQuery / handleError
 */
export interface CopyQuery extends Submittable {
  /** Resolves with the number of bytes that came since the last call, once there are any; throws the server's error, mapped, or what fail() was given. */
  more(): Promise<number>;
  /** No more bytes until resume(). */
  pause(): void;
  resume(): void;
  /** Lets bytes come together for a moment: a server sends 8 KB at a time, and a reader that is as fast would be woken, and wake the server, for each of them. */
  rest(): Promise<void>;
  /** Gives pg a frame that stood between rows. */
  forward(frame: Buffer): void;
  /** Gives the connection back with the bytes that are pg's, and resolves with the server's count of rows once it is ready for another statement. */
  release(rest: Buffer): Promise<number>;
  /** Ends more() and release() with this error; the connection is then of no more use. */
  readonly fail: (error: unknown) => void;
}

const REST_MS = 1;

type OnData = (bytes: Buffer) => void;

/** What pg's client calls besides. */
interface Handlers {
  handleError(error: unknown): void;
  handleCommandComplete(message: { readonly text: string }): void;
  handleReadyForQuery(): void;
}

/**
 * The query for pg's client.query(). `onBytes` has to copy what it keeps; `mapError` is given what the server or the connection to it ended with,
 * and nothing else: a file's ENOENT, told to the reads beside it by fail(), is no server's.
 */
export function createCopyQuery(
  text: string,
  onBytes: OnData,
  mapError: (error: unknown) => unknown,
): CopyQuery & Handlers {
  let stream: Connection['stream'] | undefined;
  let pgListener: OnData = () => undefined;
  let rows = 0;
  let arrived = 0;
  let outcome: { readonly rows: number } | { readonly error: unknown } | undefined;
  let wake = (): void => undefined;

  const take = (bytes: Buffer): void => {
    onBytes(bytes);
    arrived += bytes.length;
    wake();
  };
  const settle = (result: NonNullable<typeof outcome>): void => {
    outcome ??= result;
    wake();
  };
  const isSettled = (): boolean => outcome !== undefined;
  const until = async (isMet: () => boolean): Promise<void> => {
    while (!isMet() && !isSettled()) {
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
    if (outcome !== undefined && 'error' in outcome) throw outcome.error;
  };
  const detach = (): void => {
    stream?.off('data', take);
    stream?.off(BORROWED, take);
  };
  return {
    submit: (connection) => {
      stream = connection.stream;
      const [listener, ...others] = stream.listeners('data');
      if (listener === undefined || others.length > 0)
        throw new Error('the connection is read by more than its driver');
      pgListener = listener as OnData;
      stream.off('data', pgListener);
      stream.on('data', take);
      stream.on(BORROWED, take);
      connection.query(text);
    },
    more: async () => {
      await until(() => arrived > 0);
      const bytes = arrived;
      arrived = 0;
      return bytes;
    },
    pause: () => void stream?.pause(),
    resume: () => void stream?.resume(),
    rest: async () => {
      stream?.pause();
      await sleep(REST_MS);
      if (!isSettled()) stream?.resume();
    },
    forward: (frame) => pgListener(frame),
    release: async (rest) => {
      detach();
      stream?.on('data', pgListener);
      pgListener(rest);
      stream?.resume();
      await until(() => false);
      return rows;
    },
    fail: (error) => {
      // The server's own error leaves a connection that is in order.
      if (outcome !== undefined) return;
      stream?.pause();
      detach();
      settle({ error });
    },
    handleError: (error: unknown) => settle({ error: mapError(error) }),
    handleCommandComplete: ({ text: tag }: { readonly text: string }) => {
      rows = Number(/^COPY (\d+)$/.exec(tag)?.[1] ?? Number.NaN);
    },
    handleReadyForQuery: () => settle({ rows }),
  };
}
