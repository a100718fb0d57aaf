import { z } from 'zod';
import { isSluiceError } from '../core/errors.ts';
import type { Log } from '../core/log.ts';
import type { ObjectStore } from '../core/object-store.ts';

/**
 * One build at a time, by a lease with a fencing number. What a store can do is create and delete, so a lease is a number with signs of life:
 *
 *   warehouse/_turns/<20 digits>-0000000000   who took it; created only if absent, the highest number is the lease
 *   warehouse/_turns/<20 digits>-0000000007   the seventh sign of life
 *   warehouse/_turns/<20 digits>-end          the build is over
 *
 * It spares builds that would be thrown away. What keeps releases right is the pointer, which is created only if absent.
 */

const PREFIX = 'warehouse/_turns/';
const END = 'end';
const KEY = /^warehouse\/_turns\/(?<number>\d{20})-(?:\d{10}|end)$/;

const HOLDER = z.object({ holder: z.string(), since: z.string() });

/** A turn that this process has. */
export interface Turn {
  readonly number: number;
  /** False when another build took the next turn, for it saw no sign of life. */
  isLast(): Promise<boolean>;
  /** Lets the next one have its turn; the second call does nothing. */
  end(): Promise<void>;
}

/** Another build has its turn. */
export interface TurnTaken {
  /** Name of the newest sign of life: as long as it changes, somebody is at work. */
  readonly sign: string;
  readonly holder: string;
  /** ISO 8601, by the holder's clock. */
  readonly since: string;
}

export interface TurnRequest {
  /** Names this process in messages. */
  readonly holder: string;
  /** True for a holder that is known to be gone: of this machine, and not running. */
  readonly isGone: (holder: string) => boolean;
  /** Milliseconds between signs of life. */
  readonly signEveryMs: number;
  /** Asked before each sign of life. */
  readonly isAlive: () => boolean;
  /** A sign of life that has stood too long: whoever gave it is taken for dead. */
  readonly givenUp?: string | undefined;
  readonly now: () => Date;
}

export interface Turns {
  take(request: TurnRequest): Promise<{ readonly turn: Turn } | { readonly taken: TurnTaken }>;
}

export function openTurns(store: ObjectStore, log: Log): Turns {
  async function marks(): Promise<{
    readonly number: number;
    readonly keys: readonly string[];
    readonly last: string;
  }> {
    const keys: string[] = [];
    for await (const { key } of store.list(PREFIX)) if (KEY.test(key)) keys.push(key);
    const last = keys.at(-1) ?? '';
    return { number: Number(KEY.exec(last)?.groups?.['number'] ?? 0), keys, last };
  }

  async function remove(keys: readonly string[]): Promise<void> {
    for (const key of keys)
      await store
        .delete(key)
        .catch((error: unknown) => log.debug({ err: error, key }, 'an old turn stays in the lake'));
  }

  async function readHolder(number: number): Promise<Pick<TurnTaken, 'holder' | 'since'>> {
    const unknown = { holder: 'an unknown process', since: 'an unknown time' };
    try {
      const parsed: unknown = JSON.parse(Buffer.from(await store.get(keyOf(number, markOf(0)))).toString());
      return HOLDER.safeParse(parsed).data ?? unknown;
    } catch (error) {
      // Gone: the next one took its turn and cleared it away, which the next look shows.
      if (error instanceof SyntaxError || isSluiceError(error, 'OBJECT_NOT_FOUND')) return unknown;
      throw error;
    }
  }

  function hold(number: number, { signEveryMs, isAlive }: TurnRequest): Turn {
    let signs = 0;
    let ended = false;
    let signing: Promise<unknown> = Promise.resolve();
    const sign = async (): Promise<void> => {
      if (ended || !isAlive()) return;
      signs += 1;
      await store.putIfAbsent(keyOf(number, markOf(signs)), NOTHING);
      if (signs > 1) await store.delete(keyOf(number, markOf(signs - 1)));
    };
    const timer = setInterval(() => {
      signing = signing
        .then(sign)
        .catch((error: unknown) => log.debug({ err: error, number }, 'no sign of life given'));
    }, signEveryMs);
    timer.unref();
    return {
      number,
      isLast: async () => (await marks()).number === number,
      end: async () => {
        if (ended) return;
        ended = true;
        clearInterval(timer);
        await signing;
        await store
          .putIfAbsent(keyOf(number, END), NOTHING)
          .catch((error: unknown) => log.debug({ err: error, number }, 'the end of the turn could not be told'));
      },
    };
  }

  return {
    async take(request) {
      for (;;) {
        const { number, keys, last } = await marks();
        const holder = number === 0 ? undefined : await readHolder(number);
        const free =
          holder === undefined || last.endsWith(END) || last === request.givenUp || request.isGone(holder.holder);
        if (!free) return { taken: { ...holder, sign: last } };
        const own = Buffer.from(JSON.stringify({ holder: request.holder, since: request.now().toISOString() }));
        if (!(await store.putIfAbsent(keyOf(number + 1, markOf(0)), own))) continue;
        const after = await marks();
        // What was listed may be of long ago: others took and ended turns meanwhile.
        if (after.number !== number + 1) {
          await remove([keyOf(number + 1, markOf(0))]);
          continue;
        }
        await remove(keys);
        return { turn: hold(number + 1, request) };
      }
    },
  };
}

const NOTHING = Buffer.from('{}');
const markOf = (count: number): string => String(count).padStart(10, '0');
const keyOf = (number: number, mark: string): string => `${PREFIX}${String(number).padStart(20, '0')}-${mark}`;
