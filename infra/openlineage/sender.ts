import { appendFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { messageOf } from '../../warehouse/core/errors.ts';
import type { Log } from '../../warehouse/core/log.ts';
import type { RunEvent } from './events.ts';

/** Carries events to a file or a receiver beside the run: in order, one at a time, and never so that the run notices. */

export interface EventSender {
  /** Takes an event, or what makes one; returns at once and never throws. */
  send(event: () => RunEvent | Promise<RunEvent>): void;
  /** Waits until all that was sent is carried or given up, for no longer than SETTLE_MS. */
  settle(): Promise<void>;
}

/** Longest answer of a receiver. */
const TIMEOUT_MS = 3000;
/** After a receiver did not answer, events are dropped for this long instead of waiting again for each. */
const REST_MS = 30_000;
const SETTLE_MS = 4000;
const MOST_WAITING = 10_000;

/** `url` is file:///path (one JSON object per line is appended) or http(s)://…, to which each event is posted. */
export function createEventSender(url: string, log: Log): EventSender {
  const carry = url.startsWith('file:') ? appendTo(fileURLToPath(url)) : postTo(url);
  let queue: Promise<void> = Promise.resolve();
  let waiting = 0;
  let restUntil = 0;
  let dropped = 0;
  const drop = () => {
    dropped += 1;
  };
  const deliver = async (event: () => RunEvent | Promise<RunEvent>): Promise<void> => {
    if (Date.now() < restUntil) return drop();
    try {
      await carry(JSON.stringify(await event()));
      if (dropped > 0)
        log.warn({ dropped }, 'the receiver of OpenLineage events is back; events meanwhile were dropped');
      dropped = 0;
    } catch (error) {
      drop();
      if (!(error instanceof Refused)) restUntil = Date.now() + REST_MS;
      log.warn({ reason: messageOf(error) }, 'an OpenLineage event was not taken; the run goes on without');
    }
  };
  return {
    send: (event) => {
      if (waiting >= MOST_WAITING) return drop();
      waiting += 1;
      queue = queue
        .then(() => deliver(event))
        .finally(() => {
          waiting -= 1;
        });
    },
    settle: async () => {
      const limit = new AbortController();
      await Promise.race([queue, delay(SETTLE_MS, undefined, { signal: limit.signal }).catch(() => undefined)]);
      limit.abort();
    },
  };
}

/** The receiver is there but does not want this event. */
class Refused extends Error {}

function appendTo(path: string): (line: string) => Promise<void> {
  return (line) => appendFile(path, `${line}\n`);
}

function postTo(url: string): (body: string) => Promise<void> {
  return async (body) => {
    const response = await fetch(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body,
      redirect: 'error',
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    await response.body?.cancel();
    if (response.status >= 500) throw new Error(`the receiver answers ${response.status}`);
    if (!response.ok) throw new Refused(`the receiver answers ${response.status}`);
  };
}
