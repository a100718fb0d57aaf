import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createRunEvent } from '../../../infra/openlineage/events.ts';
import { createEventSender } from '../../../infra/openlineage/sender.ts';
import { createLog } from '../../../warehouse/core/log.ts';
import { eventually } from '../../support/eventually.ts';
import { startReceiver } from './receiver.ts';

/** The sender against receivers that refuse, fail or never answer: which events they are offered. */

const JOBS = Array.from({ length: 40 }, (_, i) => `job ${i}`);

function sendAll(url: string) {
  const sender = createEventSender(url, createLog({ level: 'silent' }));
  for (const job of JOBS) {
    const facts = { type: 'START', at: new Date(0), runId: 'r', namespace: 'n', job, jobType: 'MODEL' } as const;
    sender.send(() => createRunEvent(facts));
  }
  return sender;
}

for (const answer of [201, 400] as const) {
  test(`a receiver that answers ${answer} is offered every event, once and in order`, async (t) => {
    const receiver = await startReceiver(t, answer);
    const sender = sendAll(receiver.url);
    await eventually('every event has come', () => receiver.events.length >= JOBS.length);
    await sender.settle();
    assert.deepEqual(
      receiver.events.map(({ job }) => job.name),
      JOBS,
    );
  });
}

for (const answer of [500, 'never'] as const) {
  test(`a receiver that answers ${answer} is offered one event and then left alone`, async (t) => {
    const receiver = await startReceiver(t, answer);
    await sendAll(receiver.url).settle();
    assert.deepEqual(
      receiver.events.map(({ job }) => job.name),
      JOBS.slice(0, 1),
    );
  });
}
