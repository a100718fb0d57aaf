import { defaultPayloadConverter, type PayloadConverter } from '@temporalio/common';
import { createFailure } from './failures.ts';

/**
 * Temporal's own converter, but for payloads that cannot be read: those would fail the task again and again while the run looks as if it worked.
 * Here they become a value that refuses to be looked at, so that the run fails with a sentence.
 */
export const payloadConverter: PayloadConverter = {
  toPayload: (value) => defaultPayloadConverter.toPayload(value),
  fromPayload: (payload) => {
    try {
      return defaultPayloadConverter.fromPayload(payload);
    } catch (error) {
      return createUnreadable(error instanceof Error ? error.message : String(error)) as never;
    }
  },
};

function createUnreadable(reason: string): object {
  const refuse = (): never => {
    throw createFailure(
      'USAGE',
      `What the workflow was given is not JSON: ${reason}.`,
      'Start it with one JSON object, e.g. {}.',
    );
  };
  return new Proxy(
    {},
    { get: refuse, has: refuse, ownKeys: refuse, getPrototypeOf: refuse, getOwnPropertyDescriptor: refuse },
  );
}
