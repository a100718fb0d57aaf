import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { TestContext } from 'node:test';

/** A receiver of OpenLineage events that keeps what it is sent and gives every one the same answer, or none. */

export interface Event {
  readonly eventType: string;
  readonly eventTime: string;
  readonly run: { readonly runId: string; readonly facets: Record<string, Record<string, unknown>> };
  readonly job: {
    readonly namespace: string;
    readonly name: string;
    readonly facets: Record<string, Record<string, unknown>>;
  };
  readonly inputs: readonly Dataset[];
  readonly outputs: readonly Dataset[];
}
interface Dataset {
  readonly namespace: string;
  readonly name: string;
  readonly facets?: Record<string, Record<string, unknown>>;
  readonly inputFacets?: Record<string, Record<string, unknown>>;
}

interface Receiver {
  readonly url: string;
  /** In the order of their arrival. */
  readonly events: readonly Event[];
}

/** Closed when the test ends. */
export async function startReceiver(t: TestContext, answer: number | 'never'): Promise<Receiver> {
  const events: Event[] = [];
  const server = createServer((request, response) => {
    let body = '';
    request.on('data', (chunk: Buffer) => (body += chunk.toString()));
    request.on('end', () => {
      assert.equal(request.headers['content-type'], 'application/json');
      events.push(JSON.parse(body) as Event);
      if (answer !== 'never') response.writeHead(answer).end();
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(async () => {
    server.closeAllConnections();
    server.close();
    await once(server, 'close');
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/api/v1/lineage`, events };
}
