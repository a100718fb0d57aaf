import assert from 'node:assert/strict';
import { test } from 'node:test';
import { stripVTControlCharacters } from 'node:util';
import { createLineView, createLiveView } from '../../cli/progress.ts';
import type { ProgressEvent } from '../../warehouse/core/progress.ts';

const EVENTS: readonly ProgressEvent[] = [
  { stage: 'load', item: 'postgres', state: 'started' },
  { stage: 'load', item: 'postgres', state: 'finished', ms: 10, note: 'port 5' },
  { stage: 'extract', item: 'app.a', state: 'started' },
  { stage: 'extract', item: 'app.a', state: 'running', rows: 50, totalRows: 200 },
  { stage: 'extract', item: 'app.a', state: 'finished', rows: 200, bytes: 2048, ms: 5, note: '+200 ~0 -0' },
  { stage: 'extract', item: 'app.b', state: 'finished', rows: 1000, ms: 5, note: 'unchanged' },
  { stage: 'silver', item: 'silver.a', state: 'skipped', rows: 5, note: 'unchanged: nothing changed' },
  { stage: 'test', item: 'silver.a', state: 'finished', note: '3 passed' },
  { stage: 'test', item: 'silver.b', state: 'finished', note: 'silver.b.x warn' },
  { stage: 'gold', item: 'gold.a', state: 'finished', rows: 5, ms: 1, note: 'rebuilt: new' },
  { stage: 'test', item: 'gold.a', state: 'failed', note: 'gold.a.unique fail' },
];

test('without a terminal: a line per finished item, a line for the tests of a layer, warnings and failures by name', () => {
  let text = '';
  const view = createLineView((more) => (text += more));
  for (const event of EVENTS) view.onProgress(event);
  view.done();
  view.done();
  assert.deepEqual(
    stripVTControlCharacters(text)
      .trimEnd()
      .split('\n')
      .map((line) => line.split(/ +/).slice(0, 3).join(' ')),
    [
      '✓ load postgres',
      '✓ extract app.a',
      '✓ extract app.b',
      '– silver silver.a',
      '! test silver.b',
      '✓ test 2',
      '✓ gold gold.a',
      '✗ test gold.a',
      '✗ test 1',
    ],
  );
});

test('on a terminal: what runs with a bar under a line per stage; only failures and warnings are lines that stay', () => {
  let kept = '';
  const pictures: string[] = [];
  const canvas = Object.assign((text: string) => void pictures.push(stripVTControlCharacters(text)), {
    clear: () => undefined,
    done: () => void pictures.push('done'),
  });
  let now = 0;
  const view = createLiveView(
    (more) => (kept += more),
    canvas,
    () => (now += 1000),
  );
  for (const event of EVENTS) view.onProgress(event);
  assert.ok(
    pictures.some((picture) => /^✓ load .*\n· extract +app\.a +█████░{15} {2}25 %/m.test(picture)),
    pictures.join('\n\n'),
  );
  view.done();
  assert.deepEqual(
    stripVTControlCharacters(kept)
      .trimEnd()
      .split('\n')
      .map((line) => line.replaceAll(/ +/g, ' ')),
    ['! test silver.b silver.b.x warn', '✗ test gold.a gold.a.unique fail'],
  );
  const last = pictures.at(-2) ?? '';
  assert.deepEqual(
    last.split('\n').map((line) => line.slice(0, 9).trim()),
    ['✓ load', '✓ extract', '✓ silver', '✗ test', '✓ gold'],
  );
  assert.match(last, /extract 2 tables · 1,200 rows · 2\.0 kB/);
  assert.equal(pictures.at(-1), 'done');
  view.done();
  assert.equal(pictures.at(-1), 'done', 'ending twice draws nothing');
});
