import type { TestEvent } from 'node:test/reporters';

/** What a run of the tests says of one file. */
export interface FileReport {
  readonly file: string;
  readonly ms: number;
  readonly failed: readonly string[];
}

/** Reporter for node --test: one line of JSON per file, when the run has ended. */
// oxlint-disable-next-line import/no-default-export -- node loads a reporter by it
export default async function* fileReport(events: AsyncIterable<TestEvent>): AsyncGenerator<string> {
  const files = new Map<string, { ms: number; failed: string[] }>();
  for await (const event of events) {
    if (event.type !== 'test:pass' && event.type !== 'test:fail') continue;
    const { file = '', name, nesting, details } = event.data;
    const entry = files.get(file) ?? { ms: 0, failed: [] };
    if (nesting === 0) entry.ms += details.duration_ms;
    if (event.type === 'test:fail') entry.failed.push(name);
    files.set(file, entry);
  }
  for (const [file, { ms, failed }] of files) yield `${JSON.stringify({ file, ms: Math.round(ms), failed })}\n`;
}
