import { SluiceError } from '../core/errors.ts';
import { quoteLiteral } from '../core/quote.ts';
import { openSession, type SessionOptions, type SourceSession } from './source-session.ts';

/** Sessions that see one snapshot: the one that holds it, and others that imported it. */
export interface SnapshotReaders {
  /** Sessions at most. */
  readonly connections: number;
  /**
   * Runs each task on a session of its own, as many at once as there are; the first failure ends the rest. A session other than the holder that
   * waits too long for a lock gives its task back: ALTER TABLE may stand in line between the holder's lock and its own, and would wait for ever.
   */
  readAll<T>(tasks: readonly ((session: SourceSession, signal: AbortSignal) => Promise<T>)[]): Promise<T[]>;
  close(): Promise<void>;
}

/** `connections` counts the holder; the others are opened when there is a second task. The holder must stay in its transaction until close. */
export function openReaders(
  holder: SourceSession,
  exported: string,
  options: SessionOptions,
  connections: number,
): SnapshotReaders {
  const others: SourceSession[] = [];
  const retired = new Set<SourceSession>();
  const join = async (): Promise<SourceSession> => {
    const session = await openSession(options);
    others.push(session);
    await session.rows('begin transaction isolation level repeatable read, read only');
    await session.rows(`set transaction snapshot ${quoteLiteral(exported)}`);
    return session;
  };
  return {
    connections,
    readAll: async <T>(tasks: readonly ((session: SourceSession, signal: AbortSignal) => Promise<T>)[]) => {
      const sessions = [holder, ...others.filter((session) => !retired.has(session))];
      while (sessions.length + retired.size < Math.min(connections, tasks.length)) sessions.push(await join());
      const failure = new AbortController();
      const results: T[] = [];
      let next = 0;
      const given: number[] = [];
      const work = async (session: SourceSession): Promise<void> => {
        for (;;) {
          const at = given.shift() ?? next++;
          const task = tasks[at];
          if (task === undefined || failure.signal.aborted) return;
          try {
            results[at] = await task(session, failure.signal);
          } catch (error) {
            if (session === holder || !isLockTimeout(error)) throw error;
            retired.add(session);
            given.push(at);
            return;
          }
        }
      };
      const workers = sessions.slice(0, tasks.length).map((session) =>
        work(session).catch((error: unknown) => {
          failure.abort(error);
          throw error;
        }),
      );
      // Every session must be idle before anything is cleaned up; the first failure is the one that is told.
      await Promise.allSettled(workers);
      if (given.length > 0 && !failure.signal.aborted) await work(holder);
      if (failure.signal.aborted) throw failure.signal.reason;
      return results;
    },
    close: async () => {
      await Promise.all(others.map((session) => session.close()));
    },
  };
}

function isLockTimeout(error: unknown): boolean {
  const cause = error instanceof SluiceError ? error.cause : error;
  return cause instanceof Error && 'code' in cause && cause.code === '55P03';
}
